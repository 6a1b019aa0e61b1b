using System.Reflection.PortableExecutable;
using Iced.Intel;

namespace HostProcessor;

/// <summary>The distinct instructions of the drivers in this repository, as compilers wrote them.</summary>
internal static class CompiledCode
{
    /// <summary>How many drivers there are.</summary>
    public static int Drivers => Names.Count();

    /// <summary>Each in its bytes, in an order that follows from the drivers alone.</summary>
    public static byte[][] Instructions { get; } =
        [.. Names.SelectMany(InstructionsOf).Select(Convert.ToHexString).Distinct().Order(StringComparer.Ordinal).Select(Convert.FromHexString)];

    private static IEnumerable<string> Names => typeof(CompiledCode).Assembly.GetManifestResourceNames().Where(name => name.EndsWith(".sys", StringComparison.Ordinal));

    private static IEnumerable<byte[]> InstructionsOf(string name)
    {
        using var file = typeof(CompiledCode).Assembly.GetManifestResourceStream(name)!;
        using var image = new PEReader(file);
        var found = new List<byte[]>();
        foreach (var section in image.PEHeaders.SectionHeaders)
        {
            if ((section.SectionCharacteristics & SectionCharacteristics.MemExecute) == 0) continue;
            var code = image.GetSectionData(section.VirtualAddress).GetContent(0, Math.Min(section.SizeOfRawData, section.VirtualSize)).ToArray();
            var decoder = Decoder.Create(64, code);
            while (decoder.IP < (ulong)code.Length)
            {
                var at = (int)decoder.IP;
                decoder.Decode(out var instruction);
                if (!instruction.IsInvalid) found.Add(code[at..(at + instruction.Length)]);
            }
        }
        return found;
    }
}
