using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Symbols;

/// <summary>llvm-pdbutil says the same of the same files; skipped where it is not installed.</summary>
public sealed partial class PdbutilTests : IDisposable
{
    private readonly Folder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(Pdbs.Kernel, 30)]
    [InlineData(Pdbs.MovedKernel, 30)]
    [InlineData(Pdbs.Driver, 2)]
    public void Every_public_symbol_lies_where_LLVM_has_it(string name, int atLeast)
    {
        var text = Dump(name, "-publics", "-section-headers");
        var sections = VirtualAddress().Matches(text).Select(match => uint.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToList();
        var symbols = Public().Matches(text).Select(match => (Name: match.Groups[1].Value, Rva: sections[Number(match.Groups[2]) - 1] + (uint)Number(match.Groups[3]))).ToList();
        symbols.Count.Should().BeGreaterThanOrEqualTo(atLeast);
        using var pdb = Pdbs.Open(name);
        pdb.Publics.Should().Be(symbols.Count);
        foreach (var (symbol, rva) in symbols)
        {
            pdb.AddressOf(symbol).Should().Be(rva, symbol);
            pdb.NameOf(rva)!.Value.Rva.Should().Be(rva, symbol);
        }
    }

    [Theory]
    [InlineData(Pdbs.Kernel, 800)]
    [InlineData(Pdbs.Driver, 1)]
    public void Every_field_of_every_structure_lies_where_LLVM_has_it(string name, int atLeast)
    {
        var records = Record().Split(Dump(name, "-types")).Skip(1).Chunk(2).ToDictionary(pair => pair[0], pair => pair[1]);
        using var pdb = Pdbs.Open(name);
        var compared = 0;
        foreach (var record in records.Values)
        {
            if (Structure().Match(record) is not { Success: true } structure || record.Contains("forward ref", StringComparison.Ordinal) || structure.Groups[1].Value.Contains("unnamed", StringComparison.Ordinal)) continue;
            pdb.SizeOf(structure.Groups[1].Value).Should().Be((uint)Number(structure.Groups[3]), record);
            for (var list = structure.Groups[2].Value; records.TryGetValue(list, out var fields); list = Continued().Match(fields).Groups[1].Value)
            {
                foreach (Match member in Member().Matches(fields))
                {
                    var bits = records.TryGetValue(member.Groups[2].Value, out var type) && Bits().Match(type) is { Success: true } of ? of : null;
                    var expected = new BitField((uint)Number(member.Groups[3]), bits is null ? 0 : Number(bits.Groups[1]), bits is null ? 0 : Number(bits.Groups[2]));
                    pdb.Field(structure.Groups[1].Value, member.Groups[1].Value).Should().Be(expected, "{0}.{1}", structure.Groups[1].Value, member.Groups[1].Value);
                    compared++;
                }
            }
        }

        compared.Should().BeGreaterThanOrEqualTo(atLeast);
    }

    private string Dump(string name, params string[] what)
    {
        var path = _folder[name];
        File.WriteAllBytes(path, Pdbs.Bytes(name));
        var tool = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Where(folder => folder.Length > 0)
            .SelectMany(folder => (string[])[Path.Combine(folder, "llvm-pdbutil"), Path.Combine(folder, "llvm-pdbutil.exe")]).FirstOrDefault(File.Exists);
        Assert.SkipWhen(tool is null, "llvm-pdbutil is not installed");
        using var process = Process.Start(new ProcessStartInfo(tool, ["dump", .. what, path]) { RedirectStandardOutput = true })!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        process.ExitCode.Should().Be(0);
        return text;
    }

    private static int Number(Group group) => int.Parse(group.ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("([0-9A-F]+) virtual address")]
    private static partial Regex VirtualAddress();

    [GeneratedRegex(@"S_PUB32 \[size = \d+\] `(.*)`\n.*addr = (\d+):(\d+)")]
    private static partial Regex Public();

    [GeneratedRegex(@"\n +(0x[0-9A-F]+) \| ")]
    private static partial Regex Record();

    [GeneratedRegex(@"^LF_(?:STRUCTURE|CLASS|UNION) .*`(.*)`[\s\S]*field list: (0x[0-9A-F]+|<no type>)[\s\S]*sizeof (\d+)")]
    private static partial Regex Structure();

    [GeneratedRegex(@"LF_MEMBER \[name = `(.*)`, Type = (0x[0-9A-F]+).*, offset = (\d+)")]
    private static partial Regex Member();

    [GeneratedRegex(@"LF_BITFIELD[\s\S]*bit offset = (\d+), # bits = (\d+)")]
    private static partial Regex Bits();

    [GeneratedRegex(@"LF_INDEX[\s\S]*?(0x[0-9A-F]+)")]
    private static partial Regex Continued();
}
