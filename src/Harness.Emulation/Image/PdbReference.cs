using System.Buffers.Binary;
using System.Text;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Image;

/// <summary>The PDB that a mapped image names: a CodeView entry "RSDS" of its debug directory ("PE Format", learn.microsoft.com).</summary>
/// <param name="Id">By which the PDB is known.</param>
/// <param name="Age">How often it was changed since it has that.</param>
/// <param name="Path">As the linker wrote it.</param>
internal sealed record PdbReference(Guid Id, uint Age, string Path)
{
    private const uint DebugDirectory = 6, EntrySize = 28, MostEntries = 16, CodeView = 2, HeaderSize = 24, Longest = HeaderSize + 512;

    /// <summary>That of the image at this address; null when it names none, or its headers or debug directory can't be read.</summary>
    public static PdbReference? Of(GuestMemory memory, ulong image, uint size)
    {
        // IMAGE_NT_HEADERS64: the data directories lie 0x88 behind its signature, 8 bytes each.
        if (U32(memory, image + 0x3C) is not { } pe || pe > 0x1000) return null;
        var directory = image + pe + 0x88 + (DebugDirectory * 8);
        if (U32(memory, directory) is not { } rva || U32(memory, directory + 4) is not { } length || rva == 0) return null;
        for (uint i = 0; i < Math.Min(length / EntrySize, MostEntries); i++)
        {
            // IMAGE_DEBUG_DIRECTORY: Type +0x0C, SizeOfData +0x10, AddressOfRawData +0x14.
            var entry = image + rva + (i * EntrySize);
            if (U32(memory, entry + 0x0C) != CodeView || U32(memory, entry + 0x10) is not { } bytes || bytes is <= HeaderSize or > Longest || U32(memory, entry + 0x14) is not { } data || data == 0 || data >= size) continue;
            var record = new byte[bytes];
            if (!memory.TryRead(image + data, record) || !record.AsSpan().StartsWith("RSDS"u8)) continue;
            var path = record.AsSpan((int)HeaderSize);
            var end = path.IndexOf((byte)0);
            if (end > 0) return new PdbReference(new Guid(record.AsSpan(4, 16)), BinaryPrimitives.ReadUInt32LittleEndian(record.AsSpan(20)), Encoding.Latin1.GetString(path[..end]));
        }
        return null;
    }

    private static uint? U32(GuestMemory memory, ulong address)
    {
        Span<byte> bytes = stackalloc byte[4];
        return memory.TryRead(address, bytes) ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : null;
    }
}
