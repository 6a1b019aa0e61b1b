using FluentAssertions;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Traces;

/// <summary>Every trace that the emulated machine leaves holds every rule of the format, and tells a story that does not contradict itself.</summary>
public sealed class TraceRulesTests
{
    public static TheoryData<string, int> EveryScenarioOnEveryMachine =>
        [.. ScenarioCatalogue.All.SelectMany(scenario => new[] { 1, 2, 4 }.Select(processors => (scenario.Name, processors)))];

    [Theory]
    [MemberData(nameof(EveryScenarioOnEveryMachine))]
    public void No_rule_is_broken(string scenario, int processors)
    {
        foreach (ulong seed in (ulong[])[0, 7])
        {
            TracedRun.Broken(TracedRun.Of(scenario, processors, seed, TimeSpan.FromSeconds(15)).File).Should().BeEmpty("of seed {0}", seed);
            TracedRun.Broken(TracedRun.Of(scenario, processors, seed, TimeSpan.FromSeconds(15), MyFault.Pend).File).Should().BeEmpty("of the sound driver with seed {0}", seed);
        }
    }
}
