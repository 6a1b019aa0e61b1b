using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>An I/O request packet, without its stack locations (wdm.h).</summary>
internal readonly record struct Irp(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(IRP) on x64, build 19041.</summary>
    public const int Size = 0xD0;

    public bool IsNull => Address == 0;

    /// <summary>IO_TYPE_IRP, 6.</summary>
    public ushort Type
    {
        get => Memory.ReadU16(Address);
        set => Memory.WriteU16(Address, value);
    }

    public ushort PacketSize
    {
        get => Memory.ReadU16(Address + 0x2);
        set => Memory.WriteU16(Address + 0x2, value);
    }

    public ulong MdlAddress
    {
        get => Memory.ReadU64(Address + 0x8);
        set => Memory.WriteU64(Address + 0x8, value);
    }

    public uint Flags
    {
        get => Memory.ReadU32(Address + 0x10);
        set => Memory.WriteU32(Address + 0x10, value);
    }

    /// <summary>AssociatedIrp.SystemBuffer; also MasterIrp and IrpCount.</summary>
    public ulong SystemBuffer
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    public ListHead ThreadListEntry => new(Memory, Address + 0x20);

    public NtStatus Status
    {
        get => new(Memory.ReadU32(Address + 0x30));
        set => Memory.WriteU32(Address + 0x30, value.Value);
    }

    /// <summary>In bytes, for transfers.</summary>
    public ulong Information
    {
        get => Memory.ReadU64(Address + 0x38);
        set => Memory.WriteU64(Address + 0x38, value);
    }

    public ProcessorMode RequestorMode
    {
        get => (ProcessorMode)Memory.ReadU8(Address + 0x40);
        set => Memory.WriteU8(Address + 0x40, (byte)value);
    }

    public bool PendingReturned
    {
        get => Memory.ReadU8(Address + 0x41) != 0;
        set => Memory.WriteU8(Address + 0x41, value ? (byte)1 : (byte)0);
    }

    public sbyte StackCount
    {
        get => (sbyte)Memory.ReadU8(Address + 0x42);
        set => Memory.WriteU8(Address + 0x42, (byte)value);
    }

    public sbyte CurrentLocation
    {
        get => (sbyte)Memory.ReadU8(Address + 0x43);
        set => Memory.WriteU8(Address + 0x43, (byte)value);
    }

    public bool Cancel
    {
        get => Memory.ReadU8(Address + 0x44) != 0;
        set => Memory.WriteU8(Address + 0x44, value ? (byte)1 : (byte)0);
    }

    public byte CancelIrql
    {
        get => Memory.ReadU8(Address + 0x45);
        set => Memory.WriteU8(Address + 0x45, value);
    }

    public byte ApcEnvironment
    {
        get => Memory.ReadU8(Address + 0x46);
        set => Memory.WriteU8(Address + 0x46, value);
    }

    /// <summary>The upper half of AllocationFlags, which Windows doesn't use (its flags end at 0x08, wdm.h), counts who holds the IRP; its highest bit tells that a walk has cancelled it.</summary>
    public const byte OneHold = 0x10, AllHolds = 0x70, Visited = 0x80;

    public byte AllocationFlags
    {
        get => Memory.ReadU8(Address + 0x47);
        set => Memory.WriteU8(Address + 0x47, value);
    }

    public ulong UserIosb
    {
        get => Memory.ReadU64(Address + 0x48);
        set => Memory.WriteU64(Address + 0x48, value);
    }

    public ulong UserEvent
    {
        get => Memory.ReadU64(Address + 0x50);
        set => Memory.WriteU64(Address + 0x50, value);
    }

    public ulong UserApcRoutine
    {
        get => Memory.ReadU64(Address + 0x58);
        set => Memory.WriteU64(Address + 0x58, value);
    }

    public ulong UserApcContext
    {
        get => Memory.ReadU64(Address + 0x60);
        set => Memory.WriteU64(Address + 0x60, value);
    }

    public ulong CancelRoutine
    {
        get => Memory.ReadU64(Address + 0x68);
        set => Memory.WriteU64(Address + 0x68, value);
    }

    public ulong UserBuffer
    {
        get => Memory.ReadU64(Address + 0x70);
        set => Memory.WriteU64(Address + 0x70, value);
    }

    public Apc TailApc => new(Memory, Address + 0x78);

    public Thread Thread
    {
        get => new(Memory, Memory.ReadU64(Address + 0x98));
        set => Memory.WriteU64(Address + 0x98, value.Address);
    }

    public ListHead ListEntry => new(Memory, Address + 0xA8);

    /// <summary>Tail.Overlay.CurrentStackLocation.</summary>
    public IoStackLocation Current
    {
        get => new(Memory, Memory.ReadU64(Address + 0xB8));
        set => Memory.WriteU64(Address + 0xB8, value.Address);
    }

    public FileObject OriginalFileObject
    {
        get => new(Memory, Memory.ReadU64(Address + 0xC0));
        set => Memory.WriteU64(Address + 0xC0, value.Address);
    }

    /// <summary>The n-th location, 1 = lowest.</summary>
    public IoStackLocation Location(int n) => new(Memory, Address + Size + ((ulong)(n - 1) * IoStackLocation.Size));

    public static Irp OfApc(Apc apc) => new(apc.Memory, apc.Address - 0x78);

    /// <summary>IRP_XXX of ntifs.h and ReactOS' iotypes.h.</summary>
    public const uint FlagNoCache = 0x1, FlagPagingIo = 0x2, FlagSynchronousApi = 0x4, FlagAssociatedIrp = 0x8, FlagBufferedIo = 0x10, FlagDeallocateBuffer = 0x20,
        FlagInputOperation = 0x40, FlagSynchronousPagingIo = 0x40, FlagCreateOperation = 0x80, FlagReadOperation = 0x100, FlagWriteOperation = 0x200, FlagCloseOperation = 0x400, FlagDeferIoCompletion = 0x800;
}
