using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KWAIT_BLOCK: one object one thread waits for (wdm.h).</summary>
internal readonly record struct WaitBlock(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(KWAIT_BLOCK) on x64, build 19041.</summary>
    public const int Size = 0x30;

    public bool IsNull => Address == 0;

    public ListHead WaitListEntry => new(Memory, Address);

    /// <summary>0 WaitAll, 1 WaitAny.</summary>
    public byte WaitType
    {
        get => Memory.ReadU8(Address + 0x10);
        set => Memory.WriteU8(Address + 0x10, value);
    }

    /// <summary>WaitBlockActive 4, WaitBlockInactive 5.</summary>
    public byte BlockState
    {
        get => Memory.ReadU8(Address + 0x11);
        set => Memory.WriteU8(Address + 0x11, value);
    }

    /// <summary>What the wait returns when this object satisfies it.</summary>
    public ushort WaitKey
    {
        get => Memory.ReadU16(Address + 0x12);
        set => Memory.WriteU16(Address + 0x12, value);
    }

    public Thread Thread
    {
        get => new(Memory, Memory.ReadU64(Address + 0x18));
        set => Memory.WriteU64(Address + 0x18, value.Address);
    }

    public DispatcherHeader Object
    {
        get => new(Memory, Memory.ReadU64(Address + 0x20));
        set => Memory.WriteU64(Address + 0x20, value.Address);
    }
}
