using System.Reflection.PortableExecutable;

namespace Harness.Emulation.Image;

/// <summary>Reads the import directory: IMAGE_IMPORT_DESCRIPTOR (20 bytes) and its thunks (8 bytes each).</summary>
internal static class ImportTable
{
    private const string What = "its import table";
    private const ulong ByOrdinal = 0x8000_0000_0000_0000;

    // Far beyond any driver; keeps a table without an end from being read for ever.
    private const int MostLibraries = 256;
    private const int MostImports = 16384;

    public static IReadOnlyList<ImageImport> Read(ImageBytes image, DirectoryEntry directory)
    {
        var imports = new List<ImageImport>();
        if (directory.RelativeVirtualAddress == 0) return imports;
        var descriptor = (uint)directory.RelativeVirtualAddress;
        for (var libraries = 0; image.U32(descriptor + 12, What) != 0; libraries++, descriptor += 20)
        {
            if (libraries == MostLibraries) throw image.Broken($"{What} names more than {MostLibraries} libraries");
            ReadLibrary(image, descriptor, imports);
        }
        return imports;
    }

    private static void ReadLibrary(ImageBytes image, uint descriptor, List<ImageImport> imports)
    {
        var library = image.Name(image.U32(descriptor + 12, What), What);
        var slot = image.U32(descriptor + 16, What);
        // A linker may leave the lookup table out: then the address table still holds the names.
        var lookup = image.U32(descriptor, What) is not 0 and var original ? original : slot;
        if (slot == 0) throw image.Broken($"{What} has no address table for {library}");
        for (; image.U64(lookup, What) is not 0 and var thunk; lookup += 8, slot += 8)
        {
            if (imports.Count == MostImports) throw image.Broken($"{What} has more than {MostImports} entries");
            _ = image.At(slot, sizeof(ulong), What);
            imports.Add((thunk & ByOrdinal) != 0
                ? new ImageImport(library, null, (ushort)thunk, slot)
                : new ImageImport(library, image.Name((uint)thunk + 2, What), image.U16((uint)thunk, What), slot));
        }
    }
}
