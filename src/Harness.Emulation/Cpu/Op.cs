using System.Runtime.InteropServices;

namespace Harness.Emulation.Cpu;

/// <summary>A decoded instruction, 64 bytes. Registers are byte offsets into <see cref="CpuCore"/>, so AH is simply RAX + 1.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal unsafe struct Op
{
    /// <summary>Executes it and answers the next one; null when the run loop must look at <see cref="CpuCore.After"/>.</summary>
    public delegate*<CpuCore*, Op*, Op*> Handler;

    public ulong Rip;

    /// <summary>Immediate, or the address a branch goes to.</summary>
    public ulong Immediate;

    /// <summary>The decoded instruction a branch goes to, once known.</summary>
    public Op* Target;

    public ulong Displacement;

    public ushort Destination;
    public ushort Source;

    /// <summary>A third register.</summary>
    public ushort Third;

    public ushort Base;
    public ushort Index;

    /// <summary>Where the segment's base is: gs, fs, or the constant zero.</summary>
    public ushort Segment;

    public byte Scale;
    public byte Length;

    public readonly ulong NextRip => Rip + Length;
}
