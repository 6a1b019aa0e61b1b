using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Harness.Emulation.Cpu;

/// <summary>All registers of one processor. Copying it saves them; assigning the copy restores them.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct CpuState
{
    public ulong Rax;
    public ulong Rcx;
    public ulong Rdx;
    public ulong Rbx;
    public ulong Rsp;
    public ulong Rbp;
    public ulong Rsi;
    public ulong Rdi;
    public ulong R8;
    public ulong R9;
    public ulong R10;
    public ulong R11;
    public ulong R12;
    public ulong R13;
    public ulong R14;
    public ulong R15;
    public ulong Rip;

    /// <summary>True to the processor between runs only.</summary>
    public ulong Rflags;

    public ulong GsBase;
    public ulong FsBase;
    public ulong KernelGsBase;
    public ulong Cr0;
    public ulong Cr2;
    public ulong Cr3;
    public ulong Cr4;

    /// <summary>The IRQL: 0 to 15.</summary>
    public ulong Cr8;

    /// <summary>What rdtsc reads; whoever owns the clock sets it.</summary>
    public ulong Tsc;

    /// <summary>The processor's number, which rdtscp reads.</summary>
    public ulong TscAux;

    public uint MxCsr;
    public uint Reserved;
    public Vector128<byte> Xmm0;
    public Vector128<byte> Xmm1;
    public Vector128<byte> Xmm2;
    public Vector128<byte> Xmm3;
    public Vector128<byte> Xmm4;
    public Vector128<byte> Xmm5;
    public Vector128<byte> Xmm6;
    public Vector128<byte> Xmm7;
    public Vector128<byte> Xmm8;
    public Vector128<byte> Xmm9;
    public Vector128<byte> Xmm10;
    public Vector128<byte> Xmm11;
    public Vector128<byte> Xmm12;
    public Vector128<byte> Xmm13;
    public Vector128<byte> Xmm14;
    public Vector128<byte> Xmm15;

    /// <summary>As an x64 kernel runs: paging, write protection and SSE on, flags clear, interrupts disabled.</summary>
    public static CpuState Initial => new() { Rflags = 2, Cr0 = 0x8005_0033, Cr4 = 0x6F8, MxCsr = 0x1F80 };

    /// <summary>Rflags.IF.</summary>
    public readonly bool InterruptsEnabled => (Rflags & 0x200) != 0;
}
