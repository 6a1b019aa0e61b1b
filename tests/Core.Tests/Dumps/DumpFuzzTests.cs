using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Xunit;

namespace Core.Tests.Dumps;

/// <summary>Files that somebody has damaged on purpose: whatever they hold, they are diagnosed or refused in one line, soon and within bounds.</summary>
public sealed partial class DumpFuzzTests
{
    // A long run: this many files, from another seed. CONTRIBUTING.md has the command.
    private const string MoreCases = "DRIVERFAULT_DUMP_CASES";
    private const string OtherSeed = "DRIVERFAULT_DUMP_SEED";

    /// <summary>A sound scene takes less than 1 MiB; a lie may cost more, but not without bound.</summary>
    private const long MostMemory = 32L << 20;

    private static readonly uint[] Edges =
        [0, 1, 2, 3, 7, 8, 0x2A, 0x2B, 0x40, 0x7F, 0x80, 0xFF, 0x200, 0xFFF, 0x1000, 0x1001, 0x2000, 0x7FFF, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_0000, 0xFFFF_F000, 0xFFFF_FFF8, 0xFFFF_FFFF];

    [Fact]
    public void A_damaged_file_is_diagnosed_or_refused_in_one_line_within_bounded_memory()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreCases) ?? "6000", CultureInfo.InvariantCulture);
        var seed = ulong.Parse(Environment.GetEnvironmentVariable(OtherSeed) ?? "1", CultureInfo.InvariantCulture);
        var chance = new Chance(seed * 0x9E3779B97F4A7C15);
        var files = Whole();
        var reasons = new Dictionary<string, int>();
        var (diagnosed, changed, most) = (0, 0, 0L);
        for (var number = 0; number < count; number++)
        {
            var (file, tables, sound) = files[chance.Below(files.Count)];
            var (damaged, undo) = Damage(file, tables, chance);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using var dump = KernelDump.Read(new FileBytes(damaged));
                var seen = Examination.Of(dump);
                diagnosed++;
                if (seen.Notes.Count > 0 || seen.Remains is not [var remains] || remains.Standing != sound) changed++;
            }
            catch (UnusableDumpException e)
            {
                if (e.Message.AsSpan().ContainsAny('\r', '\n')) Assert.Fail($"case {number} of seed {seed}: {e.Message}");
                var kind = Particulars().Replace(e.Message, "#");
                reasons[kind] = reasons.GetValueOrDefault(kind) + 1;
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"case {number} of seed {seed} escaped: {e.Message}", e);
            }

            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - before);
            undo.Reverse();
            foreach (var (at, bytes) in undo) bytes.CopyTo(file, at);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{count} files: {diagnosed} diagnosed, {changed} of them not as the whole file is, {count - diagnosed} refused for {reasons.Count} reasons, at most {most >> 10} KiB each");
        most.Should().BeLessThan(MostMemory);
        // Damage that always or never shows would try nothing.
        diagnosed.Should().BeInRange(count / 20, count * 19 / 20);
        changed.Should().BeGreaterThan(count / 50);
        reasons.Count.Should().BeGreaterThan(15, string.Join('\n', reasons.Keys));
    }

    /// <summary>One of each kind, where the numbers lie that lead through it, and what is known of the process in it.</summary>
    private static List<(byte[] File, int Tables, Standing Sound)> Whole()
    {
        var scene = new DumpScene();
        var images = scene.Kernel.Memory.Pages.Where(page => page >= 0xFFFFF803_00000000 && page < 0xFFFFF804_00000000).Select(page => new Harness.Core.Nt.KernelAddress(page)).ToArray();
        var elf = scene.Dump();
        var (ended, orphaned) = (new DumpScene(), new DumpScene());
        ended.EndFor("monitor.exe", levels: 1);
        orphaned.Kernel.Memory.ListHead(orphaned.Thread + orphaned.Kernel.Layout.EThread.IrpList);
        return
        [
            (ended.Dump().Full(), 0x1000, Standing.Ended), (orphaned.Dump().Bitmap(6), 0x2100, Standing.LikelyZombie),
            .. new (byte[] File, int Tables)[]
            {
            (scene.Dump().Full(), 0x1000), (scene.Dump(levels: 5).Full(), 0x1000), (scene.Dump(largeKernel: true).Bitmap(6), 0x2100), (scene.Dump(transition: 2).Bitmap(5), 0x2100),
            (scene.Dump().Ranges(0xA), 0x2200), (scene.Dump().Triage(scene.Thread, scene.Process, images), 0x2080), (elf.Elf(elf.Root << 12), 0xC00), (scene.Dump().Raw(stub: true), 0x4000),
            }.Select(file => (file.File, file.Tables, Standing.Zombie)),
        ];
    }

    private static (byte[] File, List<(int At, byte[] Bytes)> Undo) Damage(byte[] file, int tables, Chance chance)
    {
        var undo = new List<(int At, byte[] Bytes)>();
        for (var wounds = 1 + chance.Below(4); wounds > 0; wounds--)
        {
            // Headers, where most of the decisions are, or anything: page tables, lists, structures.
            var from = chance.Below(2) == 0 ? 0 : tables;
            var at = from + (chance.Below((from == 0 ? tables : file.Length - tables) - 8) & ~7);
            // Most of a page is nothing: look for a place that holds something.
            for (var i = 0; i < 64 && BitConverter.ToUInt64(file, at) == 0; i++) at = from + (chance.Below((from == 0 ? tables : file.Length - tables) - 8) & ~7);
            undo.Add((at, file[at..(at + 8)]));
            var word = BitConverter.ToUInt64(file, at);
            var value = chance.Below(8) switch
            {
                0 => 0UL,
                1 => ulong.MaxValue >> chance.Below(64),
                2 => (word & 0xFFFFFFFF_00000000) | Edges[chance.Below(Edges.Length)],
                3 => word ^ (1UL << chance.Below(64)),
                4 => word + ((ulong)chance.Below(0x400) * 8) - 0x1000,
                5 => chance.Next(),
                6 => BitConverter.ToUInt64(file, chance.Below(file.Length - 8) & ~7),
                _ => (word & ~0xFFFF_FFFFUL) | (uint)chance.Next(),
            };
            BitConverter.GetBytes(value).CopyTo(file, at);
        }

        return (chance.Below(16) == 0 ? file[..chance.Below(file.Length + 1)] : file, undo);
    }

    // Numbers, and names.
    [GeneratedRegex("0x[0-9a-f]+|[0-9]+|'[^']*'|[A-Z]+PROCESS[.a-zA-Z]+|[A-Z]+THREAD[.a-zA-Z]+")]
    private static partial Regex Particulars();
}
