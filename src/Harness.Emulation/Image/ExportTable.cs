using System.Reflection.PortableExecutable;

namespace Harness.Emulation.Image;

/// <summary>Reads the export directory: IMAGE_EXPORT_DIRECTORY (40 bytes), its addresses, names and ordinals.</summary>
internal static class ExportTable
{
    private const string What = "its export table";
    private const uint MostExports = 65536;

    public static IReadOnlyList<ImageExport> Read(ImageBytes image, DirectoryEntry directory)
    {
        if (directory.RelativeVirtualAddress == 0 || directory.Size == 0) return [];
        var table = (uint)directory.RelativeVirtualAddress;
        var count = image.U32(table + 20, What);
        var names = image.U32(table + 24, What);
        if (count > MostExports || names > MostExports) throw image.Broken($"{What} has more than {MostExports} entries");

        var nameOf = new Dictionary<uint, string>();
        for (var i = 0U; i < names; i++)
        {
            var index = image.U16(image.U32(table + 36, What) + (2 * i), What);
            nameOf[index] = image.Name(image.U32(image.U32(table + 32, What) + (4 * i), What), What);
        }

        var exports = new List<ImageExport>();
        for (var i = 0U; i < count; i++)
        {
            var rva = image.U32(image.U32(table + 28, What) + (4 * i), What);
            if (rva == 0) continue;
            var ordinal = (ushort)(image.U32(table + 16, What) + i);
            // An address inside the export directory itself is the text of a forwarder.
            var forwarded = rva >= table && rva < table + (uint)directory.Size;
            exports.Add(new ImageExport(nameOf.GetValueOrDefault(i), ordinal, forwarded ? 0 : rva, forwarded ? image.Name(rva, What) : null));
        }
        return exports;
    }
}
