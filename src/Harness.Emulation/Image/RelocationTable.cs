using System.Reflection.PortableExecutable;

namespace Harness.Emulation.Image;

/// <summary>A place that holds an address of the image.</summary>
/// <param name="Rva">Where.</param>
/// <param name="Type">IMAGE_REL_BASED_*.</param>
internal readonly record struct Relocation(uint Rva, RelocationType Type);

/// <summary>The base relocations an x64 image may have (PE format, "Base Relocation Types").</summary>
internal enum RelocationType
{
    Absolute = 0,
    High = 1,
    Low = 2,
    HighLow = 3,
    Dir64 = 10,
}

/// <summary>Reads the base relocation directory: blocks of a page RVA, a size and 16-bit entries.</summary>
internal static class RelocationTable
{
    private const string What = "its relocation table";

    // The largest drivers have some hundred thousands.
    private const int MostRelocations = 1 << 22;

    public static IReadOnlyList<Relocation> Read(ImageBytes image, DirectoryEntry directory)
    {
        var relocations = new List<Relocation>();
        if (directory.RelativeVirtualAddress == 0) return relocations;
        var block = (uint)directory.RelativeVirtualAddress;
        _ = image.At(block, (uint)directory.Size, What);
        var end = block + (uint)directory.Size;
        while (end - block >= 8)
        {
            var size = image.U32(block + 4, What);
            // Linkers may end the table with an empty block.
            if (size == 0) break;
            if (size < 8 || size > end - block || size % 2 != 0) throw image.Broken($"{What} has a block of {size} bytes at 0x{block:x}");
            var page = image.U32(block, What);
            for (var entry = block + 8; entry < block + size; entry += 2) ReadEntry(image, page, image.U16(entry, What), relocations);
            block += size;
        }
        return relocations;
    }

    /// <summary>Adds the distance between where the image is and where it was linked to be.</summary>
    public static ulong Apply(RelocationType type, ulong value, ulong delta) => type switch
    {
        RelocationType.High => (ushort)(((value << 16) + (uint)delta) >> 16),
        RelocationType.Low => (ushort)(value + delta),
        RelocationType.HighLow => (uint)(value + delta),
        _ => value + delta,
    };

    public static int SizeOf(RelocationType type) => type switch
    {
        RelocationType.High or RelocationType.Low => 2,
        RelocationType.HighLow => 4,
        _ => 8,
    };

    private static void ReadEntry(ImageBytes image, uint page, ushort entry, List<Relocation> relocations)
    {
        var type = (RelocationType)(entry >> 12);
        if (type == RelocationType.Absolute) return;
        if (type is not (RelocationType.High or RelocationType.Low or RelocationType.HighLow or RelocationType.Dir64))
            throw image.Broken($"{What} has an entry of type {(int)type}, which x64 images do not have");
        var rva = page + (entry & 0xFFFU);
        _ = image.At(rva, (uint)SizeOf(type), What);
        if (relocations.Count == MostRelocations) throw image.Broken($"{What} has more than {MostRelocations} entries");
        relocations.Add(new Relocation(rva, type));
    }
}
