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

    public static TheoryData<string> EveryTestDriver =>
        [.. Directory.EnumerateFiles(Repository.File("tests", "drivers", "bin", "gcc-O2"), "*.sys").Select(file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal)];

    // Whatever a driver does wrong, bug checks and what is not modelled included.
    [Theory]
    [MemberData(nameof(EveryTestDriver))]
    public void Nor_by_a_driver_that_breaks_everything_else_and_its_evidence_is_the_same(string driver)
    {
        foreach (var processors in (int[])[1, 4])
        {
            var run = TracedRun.Of("hang-irp", processors, 7, TimeSpan.FromSeconds(1), driver: driver);

            TracedRun.Broken(run.File).Should().BeEmpty("on {0} processors", processors);
            TracedRun.Bytes(run.Evidence).AsSpan().SequenceEqual(TracedRun.Bytes(run.WithoutTrace)).Should().BeTrue("on {0} processors", processors);
        }
    }
}
