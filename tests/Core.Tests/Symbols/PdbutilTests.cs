using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Xunit;

namespace Core.Tests.Symbols;

/// <summary>llvm-pdbutil says the same of the same files, and of any others that somebody names; skipped where it is not installed.</summary>
public sealed partial class PdbutilTests : IDisposable
{
    /// <summary>A folder of PDBs. CONTRIBUTING.md has the command.</summary>
    private const string MoreFiles = "DRIVERFAULT_PDBS";

    private readonly Folder _folder = new();

    public static TheoryData<string> Files =>
        [Pdbs.Kernel, Pdbs.MovedKernel, Pdbs.Driver, .. Environment.GetEnvironmentVariable(MoreFiles) is { } folder ? Directory.GetFiles(folder, "*.pdb") : []];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_public_symbol_lies_where_LLVM_has_it(string name)
    {
        var text = Dump(name, "-publics", "-section-headers");
        var sections = VirtualAddress().Matches(text).Select(match => uint.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToList();
        var all = Public().Matches(text).ToList();
        // Those behind the last section are absolute.
        var symbols = all.Where(match => Number(match.Groups[2]) <= sections.Count && Number(match.Groups[2]) > 0)
            .Select(match => (Name: match.Groups[1].Value, Rva: sections[Number(match.Groups[2]) - 1] + (uint)Number(match.Groups[3]))).ToLookup(symbol => symbol.Name, symbol => symbol.Rva);
        if (!Path.IsPathRooted(name)) symbols.Count.Should().BeGreaterThan(1);
        using var pdb = PdbFile.Read(new MemoryStream(Bytes(name)));
        pdb.Publics.Should().Be(symbols.Sum(symbol => symbol.Count()));
        foreach (var symbol in symbols)
        {
            pdb.AddressOf(symbol.Key).Should().Be(symbol.Min(), symbol.Key);
            pdb.NameOf(symbol.Min())!.Value.Rva.Should().BeLessThanOrEqualTo(symbol.Min(), symbol.Key);
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_procedure_is_named_where_LLVM_has_it(string name)
    {
        var text = Dump(name, "-symbols", "-section-headers");
        var sections = VirtualAddress().Matches(text).Select(match => uint.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToList();
        var procedures = Procedure().Matches(text).Where(match => Number(match.Groups[4]) > 0).Select(match => (Name: match.Groups[1].Value, Rva: sections[Number(match.Groups[2]) - 1] + (uint)Number(match.Groups[3])))
            .ToLookup(procedure => procedure.Rva, procedure => procedure.Name);
        using var pdb = PdbFile.Read(new MemoryStream(Bytes(name)));
        foreach (var procedure in procedures) procedure.Should().Contain(pdb.NameOf(procedure.Key)!.Value.Name, "it begins at 0x{0:x}", procedure.Key);
        if (name == Pdbs.Driver) procedures.Count.Should().Be(3);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_field_of_every_structure_lies_where_LLVM_has_it(string name)
    {
        var records = Record().Split(Dump(name, "-types")).Skip(1).Chunk(2).ToDictionary(pair => pair[0], pair => pair[1]);
        using var pdb = PdbFile.Read(new MemoryStream(Bytes(name)));
        var compared = new HashSet<string>();
        foreach (var record in records.Values)
        {
            if (Structure().Match(record) is not { Success: true } structure || record.Contains("forward ref", StringComparison.Ordinal) || structure.Groups[1].Value.Contains("unnamed", StringComparison.Ordinal)) continue;
            // Of several with one name the first is read.
            if (!compared.Add(structure.Groups[1].Value)) continue;
            pdb.SizeOf(structure.Groups[1].Value).Should().Be((uint)Number(structure.Groups[3]), record);
            for (var list = structure.Groups[2].Value; records.TryGetValue(list, out var fields); list = Continued().Match(fields).Groups[1].Value)
            {
                foreach (Match member in Member().Matches(fields))
                {
                    var bits = records.TryGetValue(member.Groups[2].Value, out var type) && Bits().Match(type) is { Success: true } of ? of : null;
                    var expected = new BitField((uint)Number(member.Groups[3]), bits is null ? 0 : Number(bits.Groups[1]), bits is null ? 0 : Number(bits.Groups[2]));
                    if (compared.Add($"{structure.Groups[1].Value}.{member.Groups[1].Value}")) pdb.Field(structure.Groups[1].Value, member.Groups[1].Value).Should().Be(expected, "{0}.{1}", structure.Groups[1].Value, member.Groups[1].Value);
                }
            }
        }

        if (name == Pdbs.Kernel) compared.Count.Should().BeGreaterThan(800);
    }

    private string Dump(string name, params string[] what)
    {
        var path = Path.Combine(_folder.Path, Path.GetFileName(name));
        File.WriteAllBytes(path, Bytes(name));
        var tool = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Where(folder => folder.Length > 0)
            .SelectMany(folder => (string[])[Path.Combine(folder, "llvm-pdbutil"), Path.Combine(folder, "llvm-pdbutil.exe")]).FirstOrDefault(File.Exists);
        Assert.SkipWhen(tool is null, "llvm-pdbutil is not installed");
        using var process = Process.Start(new ProcessStartInfo(tool, ["dump", .. what, path]) { RedirectStandardOutput = true })!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        process.ExitCode.Should().Be(0);
        return text;
    }

    private static byte[] Bytes(string name) => Path.IsPathRooted(name) ? File.ReadAllBytes(name) : Pdbs.Bytes(name);

    private static int Number(Group group) => int.Parse(group.ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("([0-9A-F]+) virtual address")]
    private static partial Regex VirtualAddress();

    [GeneratedRegex(@"S_PUB32 \[size = \d+\] `(.*)`\n.*addr = (\d+):(\d+)")]
    private static partial Regex Public();

    [GeneratedRegex(@"S_[GL]PROC32(?:_ID)? \[size = \d+\] `(.*)`\n.*addr = (\d+):(\d+), code size = (\d+)")]
    private static partial Regex Procedure();

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
