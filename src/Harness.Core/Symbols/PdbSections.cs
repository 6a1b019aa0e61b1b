using System.Buffers.Binary;

namespace Harness.Core.Symbols;

/// <summary>
/// Where a section's bytes lie in the image, by the section headers that a PDB carries. An image that was rearranged after it was linked has OMAP
/// tables (DbgHelp's OMAP): its symbols have the places before that, and are translated.
/// </summary>
internal sealed class PdbSections
{
    private const int HeaderSize = 40, VirtualAddress = 12, VirtualSize = 8, OmapSize = 8;

    private readonly byte[] _headers;
    private readonly byte[] _omap;

    /// <param name="headers">IMAGE_SECTION_HEADERs, those of the image before it was rearranged if it was.</param>
    /// <param name="omapFromSource">Pairs of an address before and after, sorted; empty: it was not rearranged.</param>
    public PdbSections(byte[] headers, byte[] omapFromSource) => (_headers, _omap) = (headers, omapFromSource);

    /// <summary>The address of section:offset relative to the image; null when there is no such section, or nothing of it is left.</summary>
    public uint? Rva(ushort section, uint offset)
    {
        // Sections are counted from 1. What lies behind the last one is absolute, and no address.
        if (section == 0 || section * HeaderSize > _headers.Length) return null;
        var header = _headers.AsSpan((section - 1) * HeaderSize);
        if (offset > BinaryPrimitives.ReadUInt32LittleEndian(header[VirtualSize..])) return null;
        var rva = (ulong)BinaryPrimitives.ReadUInt32LittleEndian(header[VirtualAddress..]) + offset;
        if (rva > uint.MaxValue) return null;
        return _omap.Length == 0 ? (uint)rva : Moved((uint)rva);
    }

    /// <summary>The section and offset of an address; null when it lies in none, or the image was rearranged.</summary>
    public (ushort Section, uint Offset)? Place(uint rva)
    {
        if (_omap.Length != 0) return null;
        for (var i = 0; (i + 1) * HeaderSize <= _headers.Length; i++)
        {
            var header = _headers.AsSpan(i * HeaderSize);
            var begin = BinaryPrimitives.ReadUInt32LittleEndian(header[VirtualAddress..]);
            if (rva >= begin && rva - begin < BinaryPrimitives.ReadUInt32LittleEndian(header[VirtualSize..])) return ((ushort)(i + 1), rva - begin);
        }

        return null;
    }

    private uint? Moved(uint rva)
    {
        int low = 0, high = _omap.Length / OmapSize;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Before(middle) <= rva) low = middle + 1;
            else high = middle;
        }

        if (low == 0) return null;
        var to = BinaryPrimitives.ReadUInt32LittleEndian(_omap.AsSpan(((low - 1) * OmapSize) + 4));
        // Zero: the linker's step after that left it out.
        return to == 0 ? null : unchecked(to + (rva - Before(low - 1)));
    }

    private uint Before(int index) => BinaryPrimitives.ReadUInt32LittleEndian(_omap.AsSpan(index * OmapSize));
}
