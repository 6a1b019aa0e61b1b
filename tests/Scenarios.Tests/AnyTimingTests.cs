using System.Globalization;
using FluentAssertions;
using Harness.Cli;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests;

/// <summary>The verdict is the driver's, not the scheduler's: the same on one, two and four processors, whatever the seed.</summary>
public sealed class AnyTimingTests
{
    // A long run: this many seeds.
    private const string MoreSeeds = "DRIVERFAULT_SEEDS";

    // A cancel routine that completes nothing is polled for every 10 ms of it.
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(5);

    public static TheoryData<string, int> EveryScenarioOnEveryMachine =>
        [.. ScenarioCatalogue.All.SelectMany(scenario => new[] { 1, 2, 4 }.Select(processors => (scenario.Name, processors)))];

    [Theory]
    [MemberData(nameof(EveryScenarioOnEveryMachine))]
    public void Every_seed_gives_one_verdict(string name, int processors)
    {
        var scenario = ScenarioCatalogue.Named(name)!;
        var expected = Said(Rehearsal.Of(scenario, settle: Settle));

        var seeds = ulong.Parse(Environment.GetEnvironmentVariable(MoreSeeds) ?? "15", CultureInfo.InvariantCulture);
        for (ulong seed = 0; seed < seeds; seed++)
            Said(Rehearsal.Of(scenario, settle: Settle, seed: seed, processors: processors)).Should().Be(expected, "of seed {0}", seed);
    }

    private static string Said(PlayedRun run) =>
        $"{run.Judgement.Verdict} {run.Judgement.Outcome} {string.Join(' ', run.Judgement.Findings.Select(finding => $"{finding.Id} of {finding.Driver}"))}";
}
