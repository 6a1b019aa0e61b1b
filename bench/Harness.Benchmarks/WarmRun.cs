using BenchmarkDotNet.Attributes;
using Harness.Cli;
using Harness.Cli.Arguments;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Harness.Emulation;
using Harness.Scenarios;

namespace Harness.Benchmarks;

/// <summary>The scenario hang-irp on the emulated target as the command runs it, verdict included, run folder and text not, in a process that has done so before.</summary>
public class WarmRun
{
    private static readonly EmulatedTarget Target = new();

    private readonly Scenario _scenario = ScenarioCatalogue.Named("hang-irp")!;
    private readonly DriverArgument _driver = DriverArgument.Of(null, null, Target);
    private readonly Choices _choices;

    public WarmRun() =>
        _choices = new RunRequest([_scenario], Target, _driver, null, [], null, null, null, RunRequest.UsualSeed).ChoicesFor(_scenario);

    [Benchmark]
    public Verdict HangIrp()
    {
        var run = PlayedRun.Play(PlayedRun.Describe("driverfault", _scenario, Target, _driver, _choices, RunRequest.UsualSeed), Target, _driver.Driver);
        return run.Judgement.Verdict == Verdict.Pass ? Verdict.Pass : throw new InvalidOperationException(run.Judgement.Because);
    }
}
