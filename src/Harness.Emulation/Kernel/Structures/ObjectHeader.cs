using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>OBJECT_HEADER, in front of every executive object (public symbols).</summary>
internal readonly record struct ObjectHeader(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(OBJECT_HEADER) on x64, build 19041.</summary>
    public const int Size = 0x38;

    public bool IsNull => Address == 0;

    public long PointerCount
    {
        get => (long)Memory.ReadU64(Address);
        set => Memory.WriteU64(Address, (ulong)value);
    }

    public long HandleCount
    {
        get => (long)Memory.ReadU64(Address + 0x8);
        set => Memory.WriteU64(Address + 0x8, (ulong)value);
    }

    public byte TypeIndex
    {
        get => Memory.ReadU8(Address + 0x18);
        set => Memory.WriteU8(Address + 0x18, value);
    }

    public byte InfoMask
    {
        get => Memory.ReadU8(Address + 0x1A);
        set => Memory.WriteU8(Address + 0x1A, value);
    }

    public byte Flags
    {
        get => Memory.ReadU8(Address + 0x1B);
        set => Memory.WriteU8(Address + 0x1B, value);
    }

    public ulong Body => Address + 0x30;

    public static ObjectHeader Of(GuestMemory memory, ulong body) => new(memory, body - 0x30);
}
