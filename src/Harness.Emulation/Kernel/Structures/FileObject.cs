using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>FILE_OBJECT (wdm.h).</summary>
internal readonly record struct FileObject(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(FILE_OBJECT) on x64, build 19041.</summary>
    public const int Size = 0xD8;

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

    public ulong FsContext
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    public ulong FsContext2
    {
        get => Memory.ReadU64(Address + 0x20);
        set => Memory.WriteU64(Address + 0x20, value);
    }

    public NtStatus FinalStatus
    {
        get => new(Memory.ReadU32(Address + 0x38));
        set => Memory.WriteU32(Address + 0x38, value.Value);
    }

    public FileObject RelatedFileObject
    {
        get => new(Memory, Memory.ReadU64(Address + 0x40));
        set => Memory.WriteU64(Address + 0x40, value.Address);
    }

    public bool LockOperation
    {
        get => Memory.ReadU8(Address + 0x48) != 0;
        set => Memory.WriteU8(Address + 0x48, value ? (byte)1 : (byte)0);
    }

    public bool ReadAccess
    {
        get => Memory.ReadU8(Address + 0x4A) != 0;
        set => Memory.WriteU8(Address + 0x4A, value ? (byte)1 : (byte)0);
    }

    public bool WriteAccess
    {
        get => Memory.ReadU8(Address + 0x4B) != 0;
        set => Memory.WriteU8(Address + 0x4B, value ? (byte)1 : (byte)0);
    }

    public uint Flags
    {
        get => Memory.ReadU32(Address + 0x50);
        set => Memory.WriteU32(Address + 0x50, value);
    }

    public UnicodeString FileName => new(Memory, Address + 0x58);

    public uint Waiters
    {
        get => Memory.ReadU32(Address + 0x70);
        set => Memory.WriteU32(Address + 0x70, value);
    }

    public uint Busy
    {
        get => Memory.ReadU32(Address + 0x74);
        set => Memory.WriteU32(Address + 0x74, value);
    }

    public DispatcherHeader Lock => new(Memory, Address + 0x80);

    public DispatcherHeader Event => new(Memory, Address + 0x98);

    public ulong CompletionContext
    {
        get => Memory.ReadU64(Address + 0xB0);
        set => Memory.WriteU64(Address + 0xB0, value);
    }

    public ulong IrpListLock
    {
        get => Memory.ReadU64(Address + 0xB8);
        set => Memory.WriteU64(Address + 0xB8, value);
    }

    public ListHead IrpList => new(Memory, Address + 0xC0);

    /// <summary>FO_XXX of wdm.h.</summary>
    public const uint FlagSynchronousIo = 2, FlagAlertableIo = 4, FlagCleanupComplete = 0x4000, FlagHandleCreated = 0x40000;

    public bool IsSynchronous => (Flags & FlagSynchronousIo) != 0;

    public bool IsAlertable => (Flags & FlagAlertableIo) != 0;
}
