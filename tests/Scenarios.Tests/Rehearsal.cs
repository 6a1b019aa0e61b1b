using Harness.Cli;
using Harness.Cli.Arguments;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.Scenarios;

namespace Scenarios.Tests;

/// <summary>Plays a scenario as the command would, without a run folder.</summary>
internal static class Rehearsal
{
    /// <summary>A driver that is not MyFault and is never executed.</summary>
    public static readonly DriverArgument Other = new("other.sys", new DriverUnderTest("other.sys", [1, 2, 3], @"\Device\Other"), IsMyFault: false);

    /// <summary>MyFault, as <c>run</c> without --driver has it.</summary>
    public static DriverArgument CommittedMyFault => DriverArgument.Committed(MyFault.Device);

    /// <summary>Plays it; what is left out is as the command's own default.</summary>
    public static PlayedRun Of(Scenario scenario, DriverArgument? driver = null, uint? ioctl = null, Outcome? expect = null, TimeSpan? settle = null,
        byte[]? input = null, int? outputLength = null, ulong seed = 1, int processors = 1, ITarget? target = null, string command = "driverfault", RequestKind kind = RequestKind.Control, bool cancelled = false)
    {
        target ??= ChosenTarget.For(ref settle, seed, processors);
        var request = new RunRequest([scenario], target, driver ?? CommittedMyFault, ioctl, input ?? [], outputLength, expect, settle, new Conditions(seed, processors), kind, cancelled);
        var run = ChosenTarget.Play(PlayedRun.Describe(command, scenario, target, request.Driver, request.ChoicesFor(scenario), request.Conditions), target, request.Driver.Driver);
        return run.Defect is { } defect ? throw new InvalidOperationException($"The harness itself failed on {scenario.Name}: {defect.Message}", defect) : run;
    }

    /// <summary>One of tests/drivers, as this compiler made it.</summary>
    public static DriverArgument TestDriver(string variant, string name, string device)
    {
        var path = Repository.File("tests", "drivers", "bin", variant, name + ".sys");
        return DriverArgument.Read(path, @"\Device\" + device);
    }

    /// <summary>The compilers of tests/drivers/bin.</summary>
    public static readonly string[] Variants = ["gcc-O0", "gcc-O2", "clang-O2"];
}
