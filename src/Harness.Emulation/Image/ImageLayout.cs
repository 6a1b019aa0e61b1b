using System.Reflection.PortableExecutable;
using Harness.Core.Targets;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Image;

/// <summary>Lays the file's headers and sections out as in memory.</summary>
internal static class ImageLayout
{
    /// <summary>Larger drivers exist nowhere we know; a hostile header must not make us allocate.</summary>
    public const int LargestImage = 64 << 20;

    /// <exception cref="UnusableDriverException">The file is cut short, or sections overlap or leave the image.</exception>
    public static (ImageBytes Bytes, IReadOnlyList<ImageSection> Sections) Of(byte[] file, string fileName, PEHeaders headers)
    {
        var header = headers.PEHeader!;
        if (header.SizeOfImage is <= 0 or > LargestImage)
            throw new UnusableDriverException($"{fileName} claims {(uint)header.SizeOfImage} bytes of memory; at most {LargestImage} are possible");
        if (header.SizeOfHeaders > file.Length) throw CutShort(fileName, "its headers");
        if (header.SizeOfHeaders <= 0 || header.SizeOfHeaders > header.SizeOfImage)
            throw new UnusableDriverException($"{fileName} is a broken image: its headers do not fit into it");

        var image = new byte[header.SizeOfImage];
        file.AsSpan(0, header.SizeOfHeaders).CopyTo(image);
        var sections = new List<ImageSection>();
        var end = (uint)header.SizeOfHeaders;
        foreach (var section in headers.SectionHeaders)
        {
            var name = Printable(section.Name);
            var rva = (uint)section.VirtualAddress;
            var size = (uint)(section.VirtualSize != 0 ? section.VirtualSize : section.SizeOfRawData);
            var raw = Math.Min((uint)section.SizeOfRawData, size);
            if ((ulong)rva + size > (ulong)image.Length)
                throw new UnusableDriverException($"{fileName} is a broken image: section '{name}' leaves it (0x{rva:x} + 0x{size:x})");
            if (rva < end)
                throw new UnusableDriverException($"{fileName} is a broken image: section '{name}' overlaps what is before it (0x{rva:x})");
            if (raw > 0 && (ulong)(uint)section.PointerToRawData + raw > (ulong)file.Length) throw CutShort(fileName, $"section '{name}'");
            if (raw > 0) file.AsSpan(section.PointerToRawData, (int)raw).CopyTo(image.AsSpan((int)rva));
            sections.Add(new ImageSection(name, rva, size, AccessOf(section), Has(section, SectionCharacteristics.MemDiscardable)));
            end = rva + size;
        }
        return (new ImageBytes(image, fileName), sections);
    }

    // Eight bytes that may hold anything, and are told to the user.
    private static string Printable(string name) => string.Concat(name.Select(letter => letter is >= ' ' and <= '~' ? letter : '?'));

    private static PageAccess AccessOf(SectionHeader section) =>
        PageAccess.Read
        // Drivers have their pageable code and data in sections whose names begin so (learn.microsoft.com, "Making Drivers Pageable").
        | (section.Name.StartsWith("PAGE", StringComparison.Ordinal) ? PageAccess.Pageable : PageAccess.None)
        | (Has(section, SectionCharacteristics.MemWrite) ? PageAccess.Write : PageAccess.None)
        | (Has(section, SectionCharacteristics.MemExecute) ? PageAccess.Execute : PageAccess.None);

    private static bool Has(SectionHeader section, SectionCharacteristics flag) => (section.SectionCharacteristics & flag) != 0;

    private static UnusableDriverException CutShort(string fileName, string where) =>
        new($"{fileName} is cut short: {where} should go on after the end of the file");
}
