using System.Runtime.InteropServices;

namespace HostProcessor;

/// <summary>Registers and the memory an instruction can reach, before or after it. The same addresses hold for host and guest.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct Picture
{
    /// <summary>Bytes of memory that are compared.</summary>
    public const int WindowSize = 512;

    /// <summary>Where they are: in the middle of 64 KiB that are mapped.</summary>
    public const ulong Window = DataRegion + 0x8000;

    /// <summary>64 KiB, readable and writable.</summary>
    public const ulong DataRegion = 0x1000_0000;

    /// <summary>Bytes mapped at <see cref="DataRegion"/>.</summary>
    public const ulong DataSize = 0x1_0000;

    /// <summary>rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15.</summary>
    public fixed ulong Registers[16];

    /// <summary>The arithmetic flags and DF.</summary>
    public ulong Flags;

    /// <summary>xmm0 … xmm15.</summary>
    public fixed byte Xmm[256];

    /// <summary>The bytes at <see cref="Window"/>.</summary>
    public fixed byte Memory[WindowSize];
}

/// <summary>One instruction and what it finds.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct Trial
{
    /// <summary>Where the instruction is.</summary>
    public const ulong CodeRegion = 0x2000_0000;

    /// <summary>Where a branch goes.</summary>
    public const ulong BranchTarget = CodeRegion + 64;

    /// <summary>Bytes of <see cref="Code"/> in use.</summary>
    public byte Length;

    /// <summary>The instruction.</summary>
    public fixed byte Code[15];

    /// <summary>What it finds.</summary>
    public Picture Before;
}

/// <summary>What an instruction did.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Outcome
{
    /// <summary>0, or the signal the host's kernel answered it with.</summary>
    public int Signal;

    /// <summary>0: went on to the next instruction; 1: went to <see cref="Trial.BranchTarget"/>.</summary>
    public int Branched;

    /// <summary>What it left; nothing when there was a signal.</summary>
    public Picture After;
}
