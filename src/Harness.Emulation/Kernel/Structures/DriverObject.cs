using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>DRIVER_OBJECT (wdm.h).</summary>
internal readonly record struct DriverObject(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(DRIVER_OBJECT) on x64, build 19041.</summary>
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

    public DeviceObject DeviceObject
    {
        get => new(Memory, Memory.ReadU64(Address + 0x8));
        set => Memory.WriteU64(Address + 0x8, value.Address);
    }

    public uint Flags
    {
        get => Memory.ReadU32(Address + 0x10);
        set => Memory.WriteU32(Address + 0x10, value);
    }

    public ulong DriverStart
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    public uint DriverSize
    {
        get => Memory.ReadU32(Address + 0x20);
        set => Memory.WriteU32(Address + 0x20, value);
    }

    public ulong DriverSection
    {
        get => Memory.ReadU64(Address + 0x28);
        set => Memory.WriteU64(Address + 0x28, value);
    }

    public ulong DriverExtension
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    public UnicodeString DriverName => new(Memory, Address + 0x38);

    public ulong HardwareDatabase
    {
        get => Memory.ReadU64(Address + 0x48);
        set => Memory.WriteU64(Address + 0x48, value);
    }

    public ulong FastIoDispatch
    {
        get => Memory.ReadU64(Address + 0x50);
        set => Memory.WriteU64(Address + 0x50, value);
    }

    public ulong DriverInit
    {
        get => Memory.ReadU64(Address + 0x58);
        set => Memory.WriteU64(Address + 0x58, value);
    }

    public ulong DriverStartIo
    {
        get => Memory.ReadU64(Address + 0x60);
        set => Memory.WriteU64(Address + 0x60, value);
    }

    public ulong DriverUnload
    {
        get => Memory.ReadU64(Address + 0x68);
        set => Memory.WriteU64(Address + 0x68, value);
    }

    public ulong MajorFunction(IrpMajor major) => Memory.ReadU64(Address + 0x70 + ((ulong)major * 8));

    public void SetMajorFunction(IrpMajor major, ulong routine) => Memory.WriteU64(Address + 0x70 + ((ulong)major * 8), routine);
}
