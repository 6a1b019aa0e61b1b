using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KLDR_DATA_TABLE_ENTRY: a loaded module (ntddk.h and public symbols).</summary>
internal readonly record struct LoaderEntry(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(KLDR_DATA_TABLE_ENTRY) on x64, build 19041.</summary>
    public const int Size = 0xA0;

    public bool IsNull => Address == 0;

    public ListHead InLoadOrderLinks => new(Memory, Address);

    public ulong ExceptionTable
    {
        get => Memory.ReadU64(Address + 0x10);
        set => Memory.WriteU64(Address + 0x10, value);
    }

    public uint ExceptionTableSize
    {
        get => Memory.ReadU32(Address + 0x18);
        set => Memory.WriteU32(Address + 0x18, value);
    }

    public ulong DllBase
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    public ulong EntryPoint
    {
        get => Memory.ReadU64(Address + 0x38);
        set => Memory.WriteU64(Address + 0x38, value);
    }

    public uint SizeOfImage
    {
        get => Memory.ReadU32(Address + 0x40);
        set => Memory.WriteU32(Address + 0x40, value);
    }

    public UnicodeString FullDllName => new(Memory, Address + 0x48);

    public UnicodeString BaseDllName => new(Memory, Address + 0x58);

    public uint Flags
    {
        get => Memory.ReadU32(Address + 0x68);
        set => Memory.WriteU32(Address + 0x68, value);
    }

    public ushort LoadCount
    {
        get => Memory.ReadU16(Address + 0x6C);
        set => Memory.WriteU16(Address + 0x6C, value);
    }

    public uint CheckSum
    {
        get => Memory.ReadU32(Address + 0x78);
        set => Memory.WriteU32(Address + 0x78, value);
    }

    public uint TimeDateStamp
    {
        get => Memory.ReadU32(Address + 0x9C);
        set => Memory.WriteU32(Address + 0x9C, value);
    }
}
