using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KTIMER (wdm.h).</summary>
internal readonly record struct Timer(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(KTIMER) on x64, build 19041.</summary>
    public const int Size = 0x40;

    public bool IsNull => Address == 0;

    public DispatcherHeader Header => new(Memory, Address);

    /// <summary>Interrupt time, in 100 ns units.</summary>
    public ulong DueTime
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    public ListHead TimerListEntry => new(Memory, Address + 0x20);

    public ulong Dpc
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    /// <summary>Milliseconds; 0: once.</summary>
    public uint Period
    {
        get => Memory.ReadU32(Address + 0x3C);
        set => Memory.WriteU32(Address + 0x3C, value);
    }

    /// <summary>DISPATCHER_HEADER.Inserted: the timer is counting.</summary>
    public bool Inserted
    {
        get => (Memory.ReadU8(Address + DispatcherHeaderLayout.TimerMiscFlags) & DispatcherHeaderLayout.TimerInserted) != 0;
        set => Memory.WriteU8(Address + DispatcherHeaderLayout.TimerMiscFlags, value ? DispatcherHeaderLayout.TimerInserted : (byte)0);
    }
}
