using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KDPC (wdm.h).</summary>
internal readonly record struct Dpc(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(KDPC) on x64, build 19041.</summary>
    public const int Size = 0x40;

    public bool IsNull => Address == 0;

    public byte Type
    {
        get => Memory.ReadU8(Address);
        set => Memory.WriteU8(Address, value);
    }

    public byte Importance
    {
        get => Memory.ReadU8(Address + 0x1);
        set => Memory.WriteU8(Address + 0x1, value);
    }

    public ushort Number
    {
        get => Memory.ReadU16(Address + 0x2);
        set => Memory.WriteU16(Address + 0x2, value);
    }

    public ListHead DpcListEntry => new(Memory, Address + 0x8);

    public ulong DeferredRoutine
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    public ulong DeferredContext
    {
        get => Memory.ReadU64(Address + 0x20);
        set => Memory.WriteU64(Address + 0x20, value);
    }

    public ulong SystemArgument1
    {
        get => Memory.ReadU64(Address + 0x28);
        set => Memory.WriteU64(Address + 0x28, value);
    }

    public ulong SystemArgument2
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    /// <summary>Not null while queued.</summary>
    public ulong DpcData
    {
        get => Memory.ReadU64(Address + 0x38);
        set => Memory.WriteU64(Address + 0x38, value);
    }
}
