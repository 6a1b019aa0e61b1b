using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KPROCESS and EPROCESS. Offsets: Nt/nt-offsets.json, build 19041; those not in it: public symbols of the same build.</summary>
internal readonly record struct Process(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(EPROCESS) on x64, build 19041.</summary>
    public const int Size = 0xA40;

    /// <summary>Bytes behind the EPROCESS: the harness's own.</summary>
    public const int OwnSize = 0x10;

    public bool IsNull => Address == 0;

    /// <summary>User pages that MDLs of drivers keep locked.</summary>
    public ulong LockedPages
    {
        get => Memory.ReadU64(Address + Size);
        set => Memory.WriteU64(Address + Size, value);
    }

    public DispatcherHeader Header => new(Memory, Address);

    public ListHead ProfileListHead => new(Memory, Address + 0x18);

    public ulong DirectoryTableBase
    {
        get => Memory.ReadU64(Address + 0x28);
        set => Memory.WriteU64(Address + 0x28, value);
    }

    public ListHead ThreadListHeadOfKernel => new(Memory, Address + 0x30);

    public ulong UniqueProcessId
    {
        get => Memory.ReadU64(Address + 0x440);
        set => Memory.WriteU64(Address + 0x440, value);
    }

    public ListHead ActiveProcessLinks => new(Memory, Address + 0x448);

    public ulong RundownProtect
    {
        get => Memory.ReadU64(Address + 0x458);
        set => Memory.WriteU64(Address + 0x458, value);
    }

    /// <summary>Bit 2 ProcessExiting, bit 3 ProcessDelete.</summary>
    public uint Flags
    {
        get => Memory.ReadU32(Address + 0x464);
        set => Memory.WriteU32(Address + 0x464, value);
    }

    public ulong CreateTime
    {
        get => Memory.ReadU64(Address + 0x468);
        set => Memory.WriteU64(Address + 0x468, value);
    }

    public ulong InheritedFromUniqueProcessId
    {
        get => Memory.ReadU64(Address + 0x540);
        set => Memory.WriteU64(Address + 0x540, value);
    }

    public ulong Peb
    {
        get => Memory.ReadU64(Address + 0x550);
        set => Memory.WriteU64(Address + 0x550, value);
    }

    public ulong ObjectTable
    {
        get => Memory.ReadU64(Address + 0x570);
        set => Memory.WriteU64(Address + 0x570, value);
    }

    public ListHead ThreadListHead => new(Memory, Address + 0x5E0);

    public uint ActiveThreads
    {
        get => Memory.ReadU32(Address + 0x5F0);
        set => Memory.WriteU32(Address + 0x5F0, value);
    }

    public NtStatus ExitStatus
    {
        get => new(Memory.ReadU32(Address + 0x7D4));
        set => Memory.WriteU32(Address + 0x7D4, value.Value);
    }

    public ulong ExitTime
    {
        get => Memory.ReadU64(Address + 0x840);
        set => Memory.WriteU64(Address + 0x840, value);
    }

    public const uint FlagExiting = 4;
    public const uint FlagDelete = 8;

    /// <summary>EPROCESS.ImageFileName: 15 characters.</summary>
    public string ImageFileName
    {
        get
        {
            Span<byte> name = stackalloc byte[15];
            Memory.Read(Address + 0x5A8, name);
            var end = name.IndexOf((byte)0);
            return System.Text.Encoding.ASCII.GetString(end < 0 ? name : name[..end]);
        }
        set
        {
            Span<byte> name = stackalloc byte[15];
            name.Clear();
            System.Text.Encoding.ASCII.GetBytes(value.AsSpan(0, Math.Min(14, value.Length)), name);
            Memory.Write(Address + 0x5A8, name);
        }
    }
}
