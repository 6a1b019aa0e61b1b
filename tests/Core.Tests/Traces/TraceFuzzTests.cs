using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Traces;
using Xunit;

namespace Core.Tests.Traces;

/// <summary>Files that somebody has damaged on purpose: whatever they hold, what can be read of them is, soon and within bounds.</summary>
public sealed partial class TraceFuzzTests
{
    // A long run: this many files, from another seed. CONTRIBUTING.md has the command.
    private const string MoreCases = "DRIVERFAULT_TRACE_CASES";
    private const string OtherSeed = "DRIVERFAULT_TRACE_SEED";

    /// <summary>A sound scene takes some kilobytes. A compressed buffer of up to 24 KiB may grow 256 times, in each of the three passes.</summary>
    private const long MostMemory = 32L << 20;

    [Fact]
    public void A_damaged_file_is_read_as_far_as_it_goes_or_refused_in_one_line_within_bounded_memory()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreCases) ?? "20000", CultureInfo.InvariantCulture);
        var seed = ulong.Parse(Environment.GetEnvironmentVariable(OtherSeed) ?? "1", CultureInfo.InvariantCulture);
        var chance = new Chance(seed * 0x9E3779B97F4A7C15);
        var files = Damage.Traces();
        var whole = files.Select(file => Read(file).Events).ToArray();
        var kinds = new HashSet<string>();
        var (read, noted, fewer, most) = (0, 0, 0, 0L);
        for (var number = 0; number < count; number++)
        {
            var which = chance.Below(files.Count);
            var (damaged, heal) = Damage.Wound(files[which], chance);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var (events, notes) = Read(damaged);
                read++;
                if (notes.Count > 0) noted++;
                if (events < whole[which]) fewer++;
                // Every record has a place of its own in the file, or in what that inflates to.
                if (events > damaged.Length * 256L / 8) Assert.Fail($"case {number} of seed {seed}: {events} events in {damaged.Length} bytes");
                foreach (var note in notes) kinds.Add(Particulars().Replace(note, "#"));
            }
            catch (UnusableTraceException e)
            {
                if (e.Message.AsSpan().ContainsAny('\r', '\n')) Assert.Fail($"case {number} of seed {seed}: {e.Message}");
                kinds.Add(Particulars().Replace(e.Message, "#"));
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"case {number} of seed {seed} escaped: {e.Message}", e);
            }

            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - before);
            heal();
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{count} files: {read} read, {noted} of them with notes, {fewer} with fewer events than there were, {count - read} refused; {kinds.Count} kinds of trouble, at most {most >> 10} KiB each");
        most.Should().BeLessThan(MostMemory);
        // Damage that always or never shows would try nothing.
        read.Should().BeInRange(count / 2, count * 99 / 100);
        noted.Should().BeInRange(count / 20, count * 19 / 20);
        fewer.Should().BeGreaterThan(count / 20);
        kinds.Count.Should().BeGreaterThan(9, string.Join('\n', kinds));
    }

    /// <summary>Reads everything there is.</summary>
    private static (int Events, IReadOnlyList<string> Notes) Read(byte[] file)
    {
        using var trace = TraceFile.Read(new MemoryStream(file));
        var (events, sum) = (0, 0L);
        var reader = trace.Events();
        while (reader.Next())
        {
            var record = reader.Record;
            events++;
            sum += record.Provider.GetHashCode() + record.Opcode + record.Version + record.Id + record.ThreadId + record.ProcessId + (long)record.ProcessorTime + record.Payload.Length + record.Counters.Length + trace.Header.FileTime(record.Time);
            var items = record.ExtendedItems;
            while (TraceRecord.NextItem(ref items, out var type, out var data)) sum += type + data.Length;
        }

        var stacks = CachedStacks.Of(trace);
        sum += stacks.Find(77, sum).Length + stacks.LeftOut;
        return (events, [.. trace.Notes, .. reader.Notes]);
    }

    [GeneratedRegex("0x[0-9a-f]+|[0-9]+")]
    private static partial Regex Particulars();
}
