using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>DEVICE_OBJECT (wdm.h).</summary>
internal readonly record struct DeviceObject(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(DEVICE_OBJECT) on x64, build 19041.</summary>
    public const int Size = 0x150;

    public bool IsNull => Address == 0;

    public ushort Type
    {
        get => Memory.ReadU16(Address);
        set => Memory.WriteU16(Address, value);
    }

    public ushort ObjectSize
    {
        get => Memory.ReadU16(Address + 0x2);
        set => Memory.WriteU16(Address + 0x2, value);
    }

    public int ReferenceCount
    {
        get => (int)Memory.ReadU32(Address + 0x4);
        set => Memory.WriteU32(Address + 0x4, (uint)value);
    }

    public DriverObject DriverObject
    {
        get => new(Memory, Memory.ReadU64(Address + 0x8));
        set => Memory.WriteU64(Address + 0x8, value.Address);
    }

    public DeviceObject NextDevice
    {
        get => new(Memory, Memory.ReadU64(Address + 0x10));
        set => Memory.WriteU64(Address + 0x10, value.Address);
    }

    public DeviceObject AttachedDevice
    {
        get => new(Memory, Memory.ReadU64(Address + 0x18));
        set => Memory.WriteU64(Address + 0x18, value.Address);
    }

    public ulong CurrentIrp
    {
        get => Memory.ReadU64(Address + 0x20);
        set => Memory.WriteU64(Address + 0x20, value);
    }

    public ulong IoTimer
    {
        get => Memory.ReadU64(Address + 0x28);
        set => Memory.WriteU64(Address + 0x28, value);
    }

    public uint Flags
    {
        get => Memory.ReadU32(Address + 0x30);
        set => Memory.WriteU32(Address + 0x30, value);
    }

    public uint Characteristics
    {
        get => Memory.ReadU32(Address + 0x34);
        set => Memory.WriteU32(Address + 0x34, value);
    }

    public ulong DeviceExtension
    {
        get => Memory.ReadU64(Address + 0x40);
        set => Memory.WriteU64(Address + 0x40, value);
    }

    public uint DeviceType
    {
        get => Memory.ReadU32(Address + 0x48);
        set => Memory.WriteU32(Address + 0x48, value);
    }

    public byte StackSize
    {
        get => Memory.ReadU8(Address + 0x4C);
        set => Memory.WriteU8(Address + 0x4C, value);
    }

    public ulong DeviceQueue => Address + 0xA0;

    public ulong Dpc => Address + 0xC8;

    public ulong DeviceLock => Address + 0x118;

    public ulong DeviceObjectExtension
    {
        get => Memory.ReadU64(Address + 0x138);
        set => Memory.WriteU64(Address + 0x138, value);
    }

    public const uint FlagBufferedIo = 4, FlagExclusive = 8, FlagDirectIo = 0x10, FlagDeviceInitializing = 0x80;

    /// <summary>DEVOBJ_EXTENSION.ExtensionFlags: DOE_XXX (ReactOS' iotypes.h).</summary>
    public uint ExtensionFlags
    {
        get => Memory.ReadU32(DeviceObjectExtension + 0x20);
        set => Memory.WriteU32(DeviceObjectExtension + 0x20, value);
    }

    public const uint ExtensionUnloadPending = 1, ExtensionDeletePending = 2;

    /// <summary>DEVOBJ_EXTENSION.AttachedTo: the device below.</summary>
    public DeviceObject AttachedTo
    {
        get => new(Memory, Memory.ReadU64(DeviceObjectExtension + 0x30));
        set => Memory.WriteU64(DeviceObjectExtension + 0x30, value.Address);
    }
}
