using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>DISPATCHER_HEADER: what every object that can be waited for begins with (wdm.h).</summary>
internal readonly record struct DispatcherHeader(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(DISPATCHER_HEADER) on x64, build 19041.</summary>
    public const int Size = 0x18;

    public bool IsNull => Address == 0;

    public DispatcherType Type
    {
        get => (DispatcherType)Memory.ReadU8(Address);
        set => Memory.WriteU8(Address, (byte)value);
    }

    public byte Signalling
    {
        get => Memory.ReadU8(Address + 0x1);
        set => Memory.WriteU8(Address + 0x1, value);
    }

    /// <summary>In 32-bit words.</summary>
    public byte HeaderSize
    {
        get => Memory.ReadU8(Address + 0x2);
        set => Memory.WriteU8(Address + 0x2, value);
    }

    public int SignalState
    {
        get => (int)Memory.ReadU32(Address + 0x4);
        set => Memory.WriteU32(Address + 0x4, (uint)value);
    }

    public ListHead WaitListHead => new(Memory, Address + 0x8);

    public void Initialize(DispatcherType type, int size, int signalState)
    {
        Memory.WriteU32(Address, (uint)type | (uint)(size / 4) << 16);
        SignalState = signalState;
        WaitListHead.Initialize();
    }
}
