using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Xunit;

namespace Core.Tests.Symbols;

/// <summary>PDBs that somebody has damaged on purpose: whatever they hold, they give names and structures or are refused in one line, soon and within bounds.</summary>
public sealed partial class PdbFuzzTests
{
    // A long run: this many files, from another seed. CONTRIBUTING.md has the command.
    private const string MoreCases = "DRIVERFAULT_PDB_CASES";
    private const string OtherSeed = "DRIVERFAULT_PDB_SEED";

    /// <summary>Of one file; it has at most 200 KB, and all that is read of it is not more than ten times as much.</summary>
    private const long MostMemory = 8L << 20;

    private static readonly uint[] Edges = [0, 1, 2, 3, 4, 7, 8, 0x1F, 0x3F, 0x40, 0x7F, 0x80, 0xFF, 0x1FF, 0x200, 0xFFF, 0x1000, 0x7FFF, 0x8000, 0x8004, 0xFFFE, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFF];

    [Fact]
    public void A_damaged_file_is_read_or_refused_in_one_line_within_bounded_memory()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreCases) ?? "5000", CultureInfo.InvariantCulture);
        var seed = ulong.Parse(Environment.GetEnvironmentVariable(OtherSeed) ?? "1", CultureInfo.InvariantCulture);
        var chance = new Chance(seed * 0x9E3779B97F4A7C15);
        byte[][] files = [Pdbs.Bytes(Pdbs.Driver), Rearranged(), Typed(), Pdbs.Bytes(Pdbs.Kernel)];
        var whole = files.Select(file => Told(file).Told).ToList();
        var reasons = new Dictionary<string, int>();
        var (read, changed, most) = (0, 0, 0L);
        for (var number = 0; number < count; number++)
        {
            // The large one costs a hundred times as much as the others.
            var which = number % 100 == 0 ? 3 : chance.Below(3);
            var damaged = Damage(files[which], chance);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var (told, reason) = Told(damaged);
                if (reason is not null) reasons[Particulars().Replace(reason, "#")] = reasons.GetValueOrDefault(Particulars().Replace(reason, "#")) + 1;
                else read++;
                if (reason is null && told != whole[which]) changed++;
                if (told.AsSpan().ContainsAny('\r', '\n')) Assert.Fail($"case {number} of seed {seed}: {told}");
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"case {number} of seed {seed} escaped: {e.Message}", e);
            }

            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{count} files: {read} read, {changed} of them not as the whole file is, {count - read} refused for {reasons.Count} reasons, at most {most >> 10} KiB each");
        most.Should().BeLessThan(MostMemory);
        // Damage that always or never shows would try nothing.
        read.Should().BeInRange(count / 20, count * 19 / 20);
        changed.Should().BeGreaterThan(count / 20);
        reasons.Count.Should().BeGreaterThan(8, string.Join('\n', reasons.Keys));
    }

    /// <summary>All that anybody asks of a PDB.</summary>
    private static (string Told, string? Reason) Told(byte[] bytes)
    {
        try
        {
            using var pdb = PdbFile.Read(new MemoryStream(bytes));
            var names = string.Join(' ', new uint[] { 0, 0x1004, 0x1010, 0x1032, 0x1110, 0x2010, 0x3010, 0x5014, 0x7FFF_FFFF, uint.MaxValue }.Select(rva => pdb.NameOf(rva)));
            var layout = NtLayout.FromSymbols(19041, pdb, out var lacks);
            return ($"{pdb.Guid} {pdb.Age} {pdb.Publics} {names} {pdb.AddressOf("DriverEntry")} {pdb.Field("Device", "requests")} {pdb.SizeOf("Device")} {pdb.Field("_LONG", "Last")} {layout?.Irp.Thread} {layout?.KThread.Alertable} {lacks}", null);
        }
        catch (UnusablePdbException e)
        {
            return (e.Message, e.Message);
        }
    }

    private static byte[] Damage(byte[] file, Chance chance)
    {
        var damaged = chance.Below(12) == 0 ? file[..chance.Below(file.Length + 1)] : (byte[])file.Clone();
        for (var wounds = 1 + chance.Below(4); wounds > 0 && damaged.Length > 64; wounds--)
        {
            // The container's head, or anything; most of a page is nothing, so look for a place that holds something.
            var at = chance.Below(8) == 0 ? 32 + (chance.Below(6) * 4) : chance.Below(damaged.Length - 8) & ~1;
            for (var i = 0; i < 256 && BitConverter.ToUInt32(damaged, at) == 0; i++) at = chance.Below(damaged.Length - 8) & ~1;
            var word = BitConverter.ToUInt32(damaged, at);
            var value = chance.Below(7) switch
            {
                0 => 0u,
                1 => (word & 0xFFFF_0000) | (ushort)Edges[chance.Below(Edges.Length)],
                2 => Edges[chance.Below(Edges.Length)],
                3 => word ^ (1u << chance.Below(32)),
                4 => word + (uint)chance.Below(16) - 8,
                5 => (uint)chance.Next(),
                _ => BitConverter.ToUInt32(damaged, chance.Below(damaged.Length - 8) & ~3),
            };
            BitConverter.GetBytes(value).CopyTo(damaged, at);
        }

        return damaged;
    }

    private static byte[] Rearranged() => new PdbWriter { BlockSize = 512, Omap = { (0x1000, 0x5000), (0x1100, 0), (0x1200, 0x3000) } }.Section(0x1000, 0x1000)
        .Public(1, 0x10, "Moved").Public(1, 0x110, "LeftOut").Public(1, 0x210, "?Read@Device@@QEAAHH@Z").Public(1, 0x210, "label", function: false).Build();

    /// <summary>The driver's types with small blocks, so that a wound in the head of one meets many.</summary>
    private static byte[] Typed() => new PdbWriter { BlockSize = 512, Types = Pdbs.Stream(Pdbs.Driver, 2) }.Section(0x1000, 0x1000).Public(1, 0x10, "DriverEntry").Build();

    [GeneratedRegex("0x[0-9a-f]+|[0-9]+")]
    private static partial Regex Particulars();
}
