using System.CommandLine;
using Harness.Cli.Arguments;
using Harness.Core.Targets;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault run</c>: plays scenarios one after the other, each into a run folder of its own.</summary>
internal sealed class RunCommand
{
    private readonly Surroundings _around;
    private readonly RequestOptions _options = new();
    private readonly Option<string?> _target = RequestOptions.Text("--target", "TARGET", "where the driver runs: emulated (default), local, the kernel of this Windows machine, or hyperv, a virtual machine of this host");
    private readonly Option<string?> _driver = RequestOptions.Text("--driver", "FILE.sys", "the driver under test; default: the myfault.sys that comes with the harness");
    private readonly Option<string?> _results = RequestOptions.Text("--results", "DIR", "where run folders go; default: the repository's results folder");
    private readonly Option<string?> _dump = new("--dump") { HelpName = "full|bitmap", Arity = ArgumentArity.ZeroOrOne, Description = "leave the machine's memory in the run folder too, as a kernel dump (MEMORY.DMP); default: none" };
    private readonly Option<bool> _trace = new("--trace") { Description = "leave an event trace of the machine's kernel in the run folder too (trace.etl), as a session of the NT Kernel Logger would" };
    private readonly Option<string?> _format = RequestOptions.Text("--format", "text|json", "text (default), or JSON Lines with one object for each run");

    public RunCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("run", "Run scenarios and judge what they leave.") { _options.Scenarios, _target, _driver };
        _options.AddTo(Command);
        foreach (var option in (Option[])[_results, _dump, _trace, _format]) Command.Add(option);
        Command.SetAction(parsed => (int)Run(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Run(ParseResult parsed)
    {
        var format = Formats.Parse(parsed.GetValue(_format));
        var scenarios = _options.Named(parsed);
        var target = _options.Target(parsed, _around, parsed.GetValue(_target) ?? "emulated");
        var driver = DriverArgument.Of(parsed.GetValue(_driver), parsed.GetValue(_options.Device), target);
        var request = _options.LeaveOut(parsed, _options.Understand(parsed, scenarios, target, driver), _around.Error);
        var stage = new Stage(_around, target, _around.ResultsIn(parsed.GetValue(_results)), format, Dump(parsed, target), Trace(parsed, target));
        var played = request.Scenarios.Select(scenario =>
        {
            var run = PlayedRun.Describe(_around.Command, scenario, target, driver, request.ChoicesFor(scenario), request.Conditions, _around.Clock.GetUtcNow());
            return stage.Play(run, driver.Driver);
        }).ToList();
        if (format == Format.Text && played.Count > 1) Summarise(played);
        return played.Select(run => ExitCodes.Of(run.Judgement.Verdict)).Aggregate(ExitCodes.Worst);
    }

    private DumpKind? Dump(ParseResult parsed, ITarget target)
    {
        if (parsed.GetResult(_dump) is null) return null;
        var kind = parsed.GetValue(_dump)?.ToLowerInvariant() switch
        {
            null or "full" => DumpKind.Full,
            "bitmap" => DumpKind.Bitmap,
            var other => throw new UsageException($"--dump: '{other}' is neither full nor bitmap"),
        };
        return target is IRecordingTarget { LeavesDumps: true } ? kind : throw new UsageException($"--dump: target '{target.Name}' cannot leave its memory");
    }

    // A real machine is traced whether somebody asks for it or not.
    private bool Trace(ParseResult parsed, ITarget target) =>
        parsed.GetValue(_trace) && target is not IMachineTarget && (target is IRecordingTarget { LeavesTraces: true } ? true : throw new UsageException($"--trace: target '{target.Name}' cannot leave an event trace"));

    private void Summarise(IReadOnlyList<PlayedRun> played)
    {
        _around.Out.WriteLine();
        foreach (var run in played) _around.Out.WriteLine($"{run.Judgement.Verdict.ToString().ToUpperInvariant(),-13} {run.Description.Scenario,-24} {DriverFault.FirstLine(run.Judgement.Because)}");
    }
}
