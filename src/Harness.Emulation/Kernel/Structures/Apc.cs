using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KAPC (wdm.h). Tail of an IRP while it is completing.</summary>
internal readonly record struct Apc(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(KAPC) on x64, build 19041.</summary>
    public const int Size = 0x58;

    public bool IsNull => Address == 0;

    public byte Type
    {
        get => Memory.ReadU8(Address);
        set => Memory.WriteU8(Address, value);
    }

    public byte StructureSize
    {
        get => Memory.ReadU8(Address + 0x2);
        set => Memory.WriteU8(Address + 0x2, value);
    }

    public Thread Thread
    {
        get => new(Memory, Memory.ReadU64(Address + 0x8));
        set => Memory.WriteU64(Address + 0x8, value.Address);
    }

    public ListHead ApcListEntry => new(Memory, Address + 0x10);

    public ulong KernelRoutine
    {
        get => Memory.ReadU64(Address + 0x20);
        set => Memory.WriteU64(Address + 0x20, value);
    }

    public ulong RundownRoutine
    {
        get => Memory.ReadU64(Address + 0x28);
        set => Memory.WriteU64(Address + 0x28, value);
    }

    public ulong NormalRoutine
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    public ulong NormalContext
    {
        get => Memory.ReadU64(Address + 0x38);
        set => Memory.WriteU64(Address + 0x38, value);
    }

    public ulong SystemArgument1
    {
        get => Memory.ReadU64(Address + 0x40);
        set => Memory.WriteU64(Address + 0x40, value);
    }

    public ulong SystemArgument2
    {
        get => Memory.ReadU64(Address + 0x48);
        set => Memory.WriteU64(Address + 0x48, value);
    }

    public byte ApcStateIndex
    {
        get => Memory.ReadU8(Address + 0x50);
        set => Memory.WriteU8(Address + 0x50, value);
    }

    public ProcessorMode ApcMode
    {
        get => (ProcessorMode)Memory.ReadU8(Address + 0x51);
        set => Memory.WriteU8(Address + 0x51, (byte)value);
    }

    public bool Inserted
    {
        get => Memory.ReadU8(Address + 0x52) != 0;
        set => Memory.WriteU8(Address + 0x52, value ? (byte)1 : (byte)0);
    }
}
