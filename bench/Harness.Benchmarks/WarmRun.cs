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
    private readonly EmulatedTarget _target = new();
    private readonly Scenario _scenario = ScenarioCatalogue.Named("hang-irp")!;
    private readonly DriverArgument _driver = DriverArgument.Of(null, null);
    private readonly Choices _choices;

    public WarmRun() =>
        _choices = new RunRequest([_scenario], _target, _driver, null, [], null, null, null, RunRequest.UsualSeed).ChoicesFor(_scenario);

    [Benchmark]
    public Verdict HangIrp()
    {
        var run = PlayedRun.Play(PlayedRun.Describe(_scenario, _target, _driver, _choices, RunRequest.UsualSeed), _target, _driver.Driver);
        return run.Judgement.Verdict == Verdict.Pass ? Verdict.Pass : throw new InvalidOperationException(run.Judgement.Because);
    }
}
