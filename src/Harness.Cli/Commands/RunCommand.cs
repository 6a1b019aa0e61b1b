using System.CommandLine;
using Harness.Cli.Arguments;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Scenarios;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault run</c>: plays scenarios one after the other, each into a run folder of its own.</summary>
internal sealed class RunCommand
{
    private readonly Surroundings _around;
    private readonly Argument<string[]> _scenarios = new("SCENARIO") { Arity = ArgumentArity.ZeroOrMore, Description = "what to run; all when none is named ('driverfault list')" };
    private readonly Option<string?> _target = Text("--target", "TARGET", "where the driver runs: emulated (default), or local, the kernel of this Windows machine");
    private readonly Option<string?> _driver = Text("--driver", "FILE.sys", "the driver under test; default: the myfault.sys that comes with the harness");
    private readonly Option<string?> _device = Text("--device", "NAME", @"the device the client opens: X, \\.\X or \Device\X");
    private readonly Option<string?> _request = Text("--request", "control|read|write", "how the client sends the request: DeviceIoControl (default), ReadFile of --output-length bytes, or WriteFile of --input");
    private readonly Option<string?> _ioctl = Text("--ioctl", "CODE", "the I/O control code of the request: a number, or a name of myfault.sys's");
    private readonly Option<string?> _input = Text("--input", "HEX|@FILE", "its input bytes");
    private readonly Option<string?> _outputLength = Text("--output-length", "N", "its output buffer's length in bytes");
    private readonly Option<string?> _expect = Text("--expect", "zombie|ended|cancelled", "what should become of the client; 'cancelled': it ends, and a cancel routine saw to it; default: 'ended', and of myfault.sys's own requests what they are for");
    private readonly Option<string?> _settle = Text("--settle", "TIME", "how long the story waits after the kill: 10m, 15s, 50ms or hh:mm:ss");
    private readonly Option<string?> _results = Text("--results", "DIR", "where run folders go; default: the repository's results folder");
    private readonly Option<string?> _seed = Text("--seed", "N", "the seed of all chance in the run; default: 1");
    private readonly Option<string?> _processors = Text("--processors", "N", "processors of the emulated machine, 1 to 4; default: 1");
    private readonly Option<string?> _dump = new("--dump") { HelpName = "full|bitmap", Arity = ArgumentArity.ZeroOrOne, Description = "leave the machine's memory in the run folder too, as a kernel dump (MEMORY.DMP); default: none" };
    private readonly MachineArguments _machine = new();
    private readonly Option<bool> _trace = new("--trace") { Description = "leave an event trace of the machine's kernel in the run folder too (trace.etl), as a session of the NT Kernel Logger would" };
    private readonly Option<string?> _format = Text("--format", "text|json", "text (default), or JSON Lines with one object for each run");

    public RunCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("run", "Run scenarios and judge what they leave.")
        {
            _scenarios, _target, _driver, _device, _request, _ioctl, _input, _outputLength, _expect, _settle, _results, _seed, _processors, _dump, _trace, _format, _machine.Known, _machine.Timeout,
        };
        Command.SetAction(parsed => (int)Run(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Run(ParseResult parsed)
    {
        var format = Formats.Parse(parsed.GetValue(_format));
        var request = Understand(parsed);
        if (parsed.GetValue(_scenarios) is not { Length: > 0 }) request = LeaveOut(request);
        var stage = new Stage(_around, request.Target, _around.ResultsIn(parsed.GetValue(_results)), format, Dump(parsed, request.Target), Trace(parsed, request.Target));
        var played = request.Scenarios.Select(scenario =>
        {
            var run = PlayedRun.Describe(_around.Command, scenario, request.Target, request.Driver, request.ChoicesFor(scenario), request.Conditions, _around.Clock.GetUtcNow());
            return stage.Play(run, request.Driver.Driver);
        }).ToList();
        if (format == Format.Text && played.Count > 1) Summarise(played);
        return played.Select(run => ExitCodes.Of(run.Judgement.Verdict)).Aggregate(ExitCodes.Worst);
    }

    private RunRequest Understand(ParseResult parsed)
    {
        string? Said(Option<string?> option) => parsed.GetValue(option);

        var names = parsed.GetValue(_scenarios) ?? [];
        var scenarios = names.Length == 0 ? ScenarioCatalogue.All : [.. names.Select(Scenario)];
        var target = _around.TargetNamed(Said(_target) ?? "emulated", _machine.Read(parsed));
        var driver = DriverArgument.Of(Said(_driver), Said(_device), target);
        var kind = Said(_request) is { } request ? RequestArgument.Kind(request) : RequestKind.Control;
        if (!driver.IsMyFault && kind != RequestKind.Control && Said(_ioctl) is not null) throw new UsageException($"--ioctl: a {RequestArgument.Text(kind)} has no control code");
        if (!driver.IsMyFault && kind == RequestKind.Control && Said(_ioctl) is null)
            throw new UsageException($"--driver: name the request to send to {driver.Driver.FileName} too, with --ioctl (its control code, such as 0x222000)");
        return new RunRequest(scenarios, target, driver,
            Said(_ioctl) is { } ioctl ? RequestArgument.Ioctl(ioctl) : null,
            Said(_input) is { } input ? RequestArgument.Input(input) : [],
            Said(_outputLength) is { } length ? NumberArgument.OutputLength(length) : null,
            Said(_expect) is { } expected ? Expected(expected) : null,
            Said(_settle) is { } settle ? TimeArgument.Settle(settle) : null,
            new Conditions(
                Said(_seed) is { } seed ? NumberArgument.Seed(seed) : RunRequest.Usual.Seed,
                Said(_processors) is { } processors ? NumberArgument.Processors(processors) : RunRequest.Usual.Processors), kind, Said(_expect)?.ToLowerInvariant() == Cancelled);
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

    // Some stories send requests of MyFault's besides the one the user chose. What those do to another driver nobody knows, so that they are only
    // sent when such a story is named.
    private RunRequest LeaveOut(RunRequest request)
    {
        if (request.Driver.IsMyFault) return request;
        var strange = request.Scenarios.Where(scenario => request.NotChosen(scenario).Any()).ToList();
        foreach (var scenario in strange)
            _around.Error.WriteLine($"driverfault: {scenario.Name} is left out: it sends {string.Join(", ", request.NotChosen(scenario).Select(code => HexText.Of(code)))} too, a request of {MyFault.FileName}'s; name the scenario to run it all the same");
        return request with { Scenarios = [.. request.Scenarios.Except(strange)] };
    }

    // What no option is called is an argument to the parser, so a mistyped option comes as a scenario's name.
    private Scenario Scenario(string name) => ScenarioCatalogue.Named(name) ?? throw new UsageException(name.StartsWith('-')
        ? $"there is no option '{name}'{NearMiss.Hint(name, Command.Options.Select(option => option.Name))}"
        : $"there is no scenario '{name}'{NearMiss.Hint(name, ScenarioCatalogue.All.Select(scenario => scenario.Name))} ('driverfault list' tells them)");

    /// <summary>The client ends, and its request was cancelled.</summary>
    private const string Cancelled = "cancelled";

    private static Outcome Expected(string text) => text.ToLowerInvariant() switch
    {
        "zombie" => Outcome.Zombie,
        "ended" or Cancelled => Outcome.Ended,
        _ => throw new UsageException($"--expect: '{text}' is none of zombie, ended and cancelled"),
    };

    private void Summarise(IReadOnlyList<PlayedRun> played)
    {
        _around.Out.WriteLine();
        foreach (var run in played) _around.Out.WriteLine($"{run.Judgement.Verdict.ToString().ToUpperInvariant(),-13} {run.Description.Scenario,-24} {DriverFault.FirstLine(run.Judgement.Because)}");
    }

    private static Option<string?> Text(string name, string value, string description) => new(name) { HelpName = value, Description = description };
}
