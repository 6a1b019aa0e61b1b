using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Harness.Emulation.Cpu;

/// <summary>The XMM registers by number, for who saves and restores them.</summary>
internal static class CpuRegisters
{
    public static void ReadXmm(ref CpuState state, int number, Span<byte> into) => Unsafe.Add(ref state.Xmm0, number).CopyTo(into);

    public static void WriteXmm(ref CpuState state, int number, ReadOnlySpan<byte> from) => Unsafe.Add(ref state.Xmm0, number) = Vector128.Create(from);
}
