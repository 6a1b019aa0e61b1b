using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>An I/O stack location: one driver's part of an IRP (wdm.h).</summary>
internal readonly record struct IoStackLocation(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(IO_STACK_LOCATION) on x64, build 19041.</summary>
    public const int Size = 0x48;

    public bool IsNull => Address == 0;

    public IrpMajor MajorFunction
    {
        get => (IrpMajor)Memory.ReadU8(Address);
        set => Memory.WriteU8(Address, (byte)value);
    }

    public byte MinorFunction
    {
        get => Memory.ReadU8(Address + 0x1);
        set => Memory.WriteU8(Address + 0x1, value);
    }

    public byte Flags
    {
        get => Memory.ReadU8(Address + 0x2);
        set => Memory.WriteU8(Address + 0x2, value);
    }

    public byte Control
    {
        get => Memory.ReadU8(Address + 0x3);
        set => Memory.WriteU8(Address + 0x3, value);
    }

    public ulong Argument1
    {
        get => Memory.ReadU64(Address + 0x8);
        set => Memory.WriteU64(Address + 0x8, value);
    }

    public ulong Argument2
    {
        get => Memory.ReadU64(Address + 0x10);
        set => Memory.WriteU64(Address + 0x10, value);
    }

    public ulong Argument3
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    public ulong Argument4
    {
        get => Memory.ReadU64(Address + 0x20);
        set => Memory.WriteU64(Address + 0x20, value);
    }

    public DeviceObject DeviceObject
    {
        get => new(Memory, Memory.ReadU64(Address + 0x28));
        set => Memory.WriteU64(Address + 0x28, value.Address);
    }

    public FileObject FileObject
    {
        get => new(Memory, Memory.ReadU64(Address + 0x30));
        set => Memory.WriteU64(Address + 0x30, value.Address);
    }

    public ulong CompletionRoutine
    {
        get => Memory.ReadU64(Address + 0x38);
        set => Memory.WriteU64(Address + 0x38, value);
    }

    public ulong Context
    {
        get => Memory.ReadU64(Address + 0x40);
        set => Memory.WriteU64(Address + 0x40, value);
    }

    public uint OutputBufferLength
    {
        get => Memory.ReadU32(Address + 8);
        set => Memory.WriteU32(Address + 8, value);
    }

    public uint InputBufferLength
    {
        get => Memory.ReadU32(Address + 0x10);
        set => Memory.WriteU32(Address + 0x10, value);
    }

    public uint IoControlCode
    {
        get => Memory.ReadU32(Address + 0x18);
        set => Memory.WriteU32(Address + 0x18, value);
    }

    /// <summary>SL_XXX of wdm.h.</summary>
    public const byte PendingReturned = 1, ErrorReturned = 2, InvokeOnCancel = 0x20, InvokeOnSuccess = 0x40, InvokeOnError = 0x80;
}
