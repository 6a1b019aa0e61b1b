using System.Globalization;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Emulation;
using Harness.Scenarios;
using Scenarios.Tests.Vocabulary;
using Xunit;

namespace Scenarios.Tests;

/// <summary>Drivers that are not MyFault: the verdict follows the machine code. The rows are in test-drivers.txt.</summary>
public sealed class TestDriversTests
{
    private static readonly IReadOnlyList<Row> Rows = [.. File.ReadLines(Repository.File("tests", "Scenarios.Tests", "test-drivers.txt"))
        .Where(line => line.Contains(" | ", StringComparison.Ordinal) && !line.StartsWith('#')).Select(Row.Parse)];

    // A cancel routine that completes nothing is polled for every 10 ms of it.
    private static readonly TimeSpan Settle = TimeSpan.FromMinutes(1);

    public static TheoryData<string, string, string, string> EveryRowInEveryVariant =>
        [.. Rows.SelectMany(row => Variants(row.Driver).Select(variant => (row.Driver, variant, row.Scenario, row.Request)))];

    [Theory]
    [MemberData(nameof(EveryRowInEveryVariant))]
    public void Is_judged_by_what_its_machine_code_does(string driver, string variant, string scenario, string request)
    {
        var row = Rows.Single(row => row.Driver == driver && row.Scenario == scenario && row.Request == request);

        row.Hold(row.Play(variant, 1, RunRequest.UsualSeed));
    }

    // A loop that never ends is executed two hundred million times, whichever the processor.
    public static TheoryData<string, string, string> EveryRow => [.. Rows.Where(row => row.Driver != "loops").Select(row => (row.Driver, row.Scenario, row.Request))];

    [Theory]
    [MemberData(nameof(EveryRow))]
    public void Is_judged_alike_on_two_and_four_processors(string driver, string scenario, string request)
    {
        var row = Rows.Single(row => row.Driver == driver && row.Scenario == scenario && row.Request == request);
        var variant = Variants(driver).Last();
        foreach (var (processors, seed) in ((int, ulong)[])[(2, 0), (2, 1), (4, 0), (4, 2)])
            row.Hold(row.Play(variant, processors, seed));
    }

    [Fact]
    public void Every_driver_has_a_row_and_every_row_a_driver()
    {
        var built = Rehearsal.Variants.SelectMany(Built).Distinct().Where(name => name != "myfault");

        Rows.Select(row => row.Driver).Distinct().Should().BeEquivalentTo(built);
    }

    [Theory]
    [InlineData("gcc-O0")]
    [InlineData("gcc-O2")]
    [InlineData("clang-O2")]
    public void Myfault_is_myfault_whoever_compiled_it(string variant)
    {
        var driver = Rehearsal.TestDriver(variant, "myfault", "MyFault");

        driver.IsMyFault.Should().BeTrue();
        foreach (var scenario in ScenarioCatalogue.All) Rehearsal.Of(scenario, driver).Should().Pass();
    }

    private static IEnumerable<string> Variants(string driver) => Rehearsal.Variants.Where(variant => Built(variant).Contains(driver));

    private static IEnumerable<string> Built(string variant) =>
        Directory.EnumerateFiles(Repository.File("tests", "drivers", "bin", variant), "*.sys").Select(file => Path.GetFileNameWithoutExtension(file));

    // late-dpc makes \Device\LateDpc.
    private static string DeviceOf(string driver) => string.Concat(driver.Split('-').Select(word => char.ToUpperInvariant(word[0]) + word[1..]));

    private sealed record Row(string Driver, string Scenario, string Request, string[] Verdicts, string Outcome, string After, string Wait, string[] Says)
    {
        public static Row Parse(string line)
        {
            var cells = line.Split(" | ", StringSplitOptions.TrimEntries);
            return cells.Length == 8
                ? new Row(cells[0], cells[1], cells[2], cells[3].Split('|'), cells[4], cells[5], cells[6], cells[7].Split('|'))
                : throw new FormatException($"test-drivers.txt: {cells.Length} cells instead of 8: {line}");
        }

        public PlayedRun Play(string variant, int processors, ulong seed)
        {
            var words = Request.Split(' ');
            return Rehearsal.Of(ScenarioCatalogue.Named(Scenario)!, Rehearsal.TestDriver(variant, Driver, DeviceOf(Driver)), checked((uint)HexText.ParseUInt64(words[0])),
                settle: Settle, input: words.Length > 1 ? Convert.FromHexString(words[1]) : [],
                outputLength: words.Length > 2 ? int.Parse(words[2], CultureInfo.InvariantCulture) : null, seed: seed, target: new EmulatedTarget { Processors = processors });
        }

        public void Hold(PlayedRun run)
        {
            var should = run.Should();
            var verdict = run.Judgement.Verdict.ToString().ToLowerInvariant();
            should.Demand(Verdicts.Contains(verdict), $"the verdict {string.Join(" or ", Verdicts)}", $"{verdict} ({run.Judgement.Because})");
            if (Outcome != "*")
                should.Demand(Told(run.Judgement.Outcome) == Outcome, $"the outcome {Outcome}", Told(run.Judgement.Outcome));
            if (After == "0") should.EndWithin(TimeSpan.FromMilliseconds(1));
            if (After.StartsWith('<'))
            {
                var most = TimeSpan.FromMilliseconds(int.Parse(After[1..], CultureInfo.InvariantCulture));
                // The timer began before the kill, by as much as the kill came after the request; at most a millisecond.
                should.EndWithin(most).EndNotBefore(most - TimeSpan.FromMilliseconds(1));
            }

            if (Wait.Split(" in ") is [var reason, var function])
            {
                var zombie = should.LeaveZombie("victim").WaitingIn(function).Because(Enum.Parse<WaitReason>(reason));
                if (function == "nt!IopCancelAlertedRequest") zombie.HeldBy(Driver + ".sys");
                else zombie.WithoutCancelledIrps();
            }

            if (verdict == "inconclusive" && Says is [not "*"]) should.BeInconclusive(Says[0]);
            if (verdict == "pass") should.WithoutFindings();
            if (verdict == "fail")
                should.Demand(run.Judgement.Findings.Any(finding => !finding.Expected && finding.Driver == Driver + ".sys" && (Says is ["*"] || Says.Contains(finding.Id))),
                    $"a finding {string.Join(" or ", Says)} of {Driver}.sys", string.Join(", ", run.Judgement.Findings.Select(finding => $"{finding.Id} of {finding.Driver ?? "nobody"}")));
        }

        private static string Told(Outcome? outcome) => outcome switch
        {
            null => "-",
            Harness.Core.Stories.Outcome.NotPending => "notPending",
            _ => outcome.Value.ToString().ToLowerInvariant(),
        };
    }
}
