using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>UNICODE_STRING (ntdef.h).</summary>
internal readonly record struct UnicodeString(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(UNICODE_STRING) on x64, build 19041.</summary>
    public const int Size = 0x10;

    public bool IsNull => Address == 0;

    /// <summary>In bytes.</summary>
    public ushort Length
    {
        get => Memory.ReadU16(Address);
        set => Memory.WriteU16(Address, value);
    }

    /// <summary>In bytes.</summary>
    public ushort MaximumLength
    {
        get => Memory.ReadU16(Address + 0x2);
        set => Memory.WriteU16(Address + 0x2, value);
    }

    public ulong Buffer
    {
        get => Memory.ReadU64(Address + 0x8);
        set => Memory.WriteU64(Address + 0x8, value);
    }

    public string Text
    {
        get
        {
            var length = Length & ~1;
            if (length == 0 || Buffer == 0) return "";
            var bytes = new byte[length];
            Memory.Read(Buffer, bytes);
            return System.Text.Encoding.Unicode.GetString(bytes);
        }
    }
}
