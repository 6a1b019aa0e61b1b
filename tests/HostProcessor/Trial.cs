using System.Runtime.InteropServices;

namespace HostProcessor;

/// <summary>Registers and the memory an instruction can reach, before or after it. The same addresses hold for host and guest.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct Picture
{
    /// <summary>Bytes of memory that are compared.</summary>
    public const int WindowSize = 512;

    /// <summary>Where they are: at the end of what can be written.</summary>
    public const ulong Window = ReadOnlyRegion - WindowSize;

    /// <summary>64 KiB, readable and writable.</summary>
    public const ulong DataRegion = 0x1000_0000;

    /// <summary>Bytes mapped at <see cref="DataRegion"/>.</summary>
    public const ulong DataSize = 0x1_0000;

    /// <summary>A page of zeros that can only be read; behind it there is nothing.</summary>
    public const ulong ReadOnlyRegion = DataRegion + DataSize;

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
    /// <summary><see cref="Trap"/> when there was none.</summary>
    public const int NoTrap = -1;

    /// <summary>The exception's vector, 14 for a page fault; or <see cref="NoTrap"/>.</summary>
    public int Trap;

    /// <summary>0: went on to the next instruction; 1: went to <see cref="Trial.BranchTarget"/>. 0 after an exception.</summary>
    public int Branched;

    /// <summary>Of a page fault: the error code, without the bit that tells user mode.</summary>
    public ulong ErrorCode;

    /// <summary>Of a page fault: cr2.</summary>
    public ulong FaultAddress;

    /// <summary>What it left, or what the exception found.</summary>
    public Picture After;
}
