using FluentAssertions;
using Harness.Cli.Arguments;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Scenarios;
using Scenarios.Tests.Vocabulary;
using Xunit;

namespace Scenarios.Tests;

/// <summary>Every scenario catches its defect and passes a sound driver. The rows are in scenarios.txt.</summary>
public sealed class ScenarioMatrixTests
{
    // Any seed chooses between threads that could both go; two of them are two orders.
    private static readonly ulong[] Seeds = [1, 7];

    // A cancel routine that completes nothing is polled for every 10 ms of it.
    private static readonly TimeSpan Settle = TimeSpan.FromMinutes(1);

    private static readonly IReadOnlyList<Row> Rows = [.. File.ReadLines(Repository.File("tests", "Scenarios.Tests", "scenarios.txt"))
        .Where(line => line.Contains(" | ", StringComparison.Ordinal) && !line.StartsWith('#')).Select(Row.Parse)];

    public static TheoryData<int, string> EveryRow => [.. Rows.Select((row, i) => (i, row.ToString()))];

    [Theory]
    [MemberData(nameof(EveryRow))]
    public void Comes_as_the_row_says(int index, string row)
    {
        row.Should().Be(Rows[index].ToString());
        foreach (var seed in Seeds) Rows[index].Hold(seed);
    }

    [Fact]
    public void Every_scenario_is_caught_with_its_defect_and_passes_a_sound_driver() =>
        ScenarioCatalogue.All.Select(scenario => scenario.Name).Should().OnlyContain(name =>
            Rows.Any(row => row.Scenario == name && row.Verdict == "fail" && row.Findings.Contains('!'))
            && Rows.Any(row => row.Scenario == name && row.Verdict == "pass" && row.Findings == "-"));

    private sealed record Row(string Scenario, string Driver, string Request, string Expect, string Verdict, string Outcome, string Findings)
    {
        public static Row Parse(string line)
        {
            var cells = line.Split('|', StringSplitOptions.TrimEntries);
            return cells.Length == 7
                ? new Row(cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6])
                : throw new FormatException($"scenarios.txt: {cells.Length} cells instead of 7: {line}");
        }

        public override string ToString() => $"{Scenario} {Driver} {Request} {Expect}";

        public void Hold(ulong seed)
        {
            var words = Request.Split(' ');
            var driver = Driver == "myfault" ? Rehearsal.CommittedMyFault : Rehearsal.TestDriver("gcc-O2", Driver, string.Concat(Driver.Split('-').Select(word => char.ToUpperInvariant(word[0]) + word[1..])));
            var kind = words.Length == 2 ? RequestArgument.Kind(words[0]) : RequestKind.Control;
            // A read of a few bytes; every other request is as MyFault takes it.
            var run = Rehearsal.Of(ScenarioCatalogue.Named(Scenario)!, driver,
                ioctl: words[^1] == "-" ? null : RequestArgument.Ioctl(words[^1]),
                expect: Expect == "-" ? null : Enum.Parse<Outcome>(Expect, ignoreCase: true), settle: Settle,
                input: kind == RequestKind.Write ? [1, 2, 3] : null, outputLength: kind == RequestKind.Read ? 8 : null, seed: seed, kind: kind);

            var should = run.Should();
            should.Demand(Told(run.Judgement.Verdict) == Verdict, $"the verdict {Verdict}", $"{Told(run.Judgement.Verdict)} ({run.Judgement.Because})");
            should.Demand(Told(run.Judgement.Outcome) == Outcome, $"the outcome {Outcome}", Told(run.Judgement.Outcome));
            var found = run.Judgement.Findings.Select(finding => (finding.Expected ? "+" : "!") + finding.Id).Order(StringComparer.Ordinal).ToList();
            should.Demand(found.SequenceEqual(Findings == "-" ? [] : Findings.Split(' ').Order(StringComparer.Ordinal)), $"the findings {Findings}", string.Join(' ', found));
            should.Demand(run.Judgement.Findings.All(finding => finding.Driver == Driver + ".sys"), $"every finding to be of {Driver}.sys", string.Join(' ', run.Judgement.Findings.Select(finding => finding.Driver ?? "nobody")));
        }

        private static string Told<T>(T value) => value?.ToString() is { } text ? char.ToLowerInvariant(text[0]) + text[1..] : "-";
    }
}
