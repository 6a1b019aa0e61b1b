using System.CommandLine;
using Harness.Cli.Arguments;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.HyperV;
using Harness.Scenarios;

namespace Harness.Cli.Commands;

/// <summary>The options that say what is sent to a driver and under which conditions, of each command that runs scenarios.</summary>
internal sealed class RequestOptions
{
    private readonly Option<string?> _request = Text("--request", "control|read|write", "how the client sends the request: DeviceIoControl (default), ReadFile of --output-length bytes, or WriteFile of --input");
    private readonly Option<string?> _ioctl = Text("--ioctl", "CODE", "the I/O control code of the request: a number, or a name of myfault.sys's");
    private readonly Option<string?> _input = Text("--input", "HEX|@FILE", "its input bytes");
    private readonly Option<string?> _outputLength = Text("--output-length", "N", "its output buffer's length in bytes");
    private readonly Option<string?> _expect = Text("--expect", "zombie|ended|cancelled", "what should become of the client; 'cancelled': it ends, and a cancel routine saw to it; default: 'ended', and of myfault.sys's own requests what they are for");
    private readonly Option<string?> _settle = Text("--settle", "TIME", "how long the story waits after the kill: 10m, 15s, 50ms or hh:mm:ss");
    private readonly Option<string?> _seed = Text("--seed", "N", "the seed of all chance in the run; default: 1");
    private readonly Option<string?> _processors = Text("--processors", "N", "processors of the emulated machine, 1 to 4; default: 1");

    private readonly Option<string?> _vm = Text("--vm", "NAME", "target hyperv: the virtual machine of this host; default: DRIVERFAULT_VM");
    private readonly Option<string?> _computer = Text("--computer", "NAME", "target hyperv: another machine instead, by WinRM; default: DRIVERFAULT_COMPUTER");
    private readonly MachineArguments _machine = new();
    private readonly Option<bool> _isolate = new("--isolate") { Description = "target hyperv: back to the checkpoint before every scenario" };

    /// <summary>The client ends, and its request was cancelled.</summary>
    private const string Cancelled = "cancelled";

    /// <summary>What is run, in the order of the command's help.</summary>
    public Argument<string[]> Scenarios { get; } = new("SCENARIO") { Arity = ArgumentArity.ZeroOrMore, Description = "what to run; all when none is named ('driverfault list')" };

    /// <summary>The device's name.</summary>
    public Option<string?> Device { get; } = Text("--device", "NAME", @"the device the client opens: X, \\.\X or \Device\X");

    /// <summary>Adds all of them to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[Device, _request, _ioctl, _input, _outputLength, _expect, _settle, _seed, _processors, _vm, _computer, _isolate, _machine.Known, _machine.Timeout]) command.Add(option);
    }

    /// <summary>The target of this name, with the machine that the user names.</summary>
    public ITarget Target(ParseResult parsed, Surroundings around, string name) => around.TargetNamed(name, _machine.Read(parsed), target => target is HyperVTarget guests
        ? guests.With(guests.Options.With(parsed.GetValue(_vm), parsed.GetValue(_computer), parsed.GetValue(_isolate))) : target);

    /// <summary>The scenarios that are named; all when none is.</summary>
    public IReadOnlyList<Scenario> Named(ParseResult parsed) =>
        parsed.GetValue(Scenarios) is { Length: > 0 } names ? [.. names.Select(name => Scenario(name, parsed.CommandResult.Command))] : ScenarioCatalogue.All;

    /// <summary>What was asked for, of one driver on one target.</summary>
    public RunRequest Understand(ParseResult parsed, IReadOnlyList<Scenario> scenarios, ITarget target, DriverArgument driver)
    {
        string? Said(Option<string?> option) => parsed.GetValue(option);

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

    /// <summary>
    /// Some stories send requests of MyFault's besides the one the user chose. What those do to another driver nobody knows, so that they are only
    /// sent when such a story is named.
    /// </summary>
    public RunRequest LeaveOut(ParseResult parsed, RunRequest request, TextWriter tell)
    {
        if (request.Driver.IsMyFault || parsed.GetValue(Scenarios) is { Length: > 0 }) return request;
        var strange = request.Scenarios.Where(scenario => request.NotChosen(scenario).Any()).ToList();
        foreach (var scenario in strange)
            tell.WriteLine($"driverfault: {scenario.Name} is left out: it sends {string.Join(", ", request.NotChosen(scenario).Select(code => HexText.Of(code)))} too, a request of {MyFault.FileName}'s; name the scenario to run it all the same");
        return request with { Scenarios = [.. request.Scenarios.Except(strange)] };
    }

    /// <summary>An option with one word.</summary>
    public static Option<string?> Text(string name, string value, string description) => new(name) { HelpName = value, Description = description };

    // What no option is called is an argument to the parser, so a mistyped option comes as a scenario's name.
    private static Scenario Scenario(string name, Command command) => ScenarioCatalogue.Named(name) ?? throw new UsageException(name.StartsWith('-')
        ? $"there is no option '{name}'{NearMiss.Hint(name, command.Options.Select(option => option.Name))}"
        : $"there is no scenario '{name}'{NearMiss.Hint(name, ScenarioCatalogue.All.Select(scenario => scenario.Name))} ('driverfault list' tells them)");

    private static Outcome Expected(string text) => text.ToLowerInvariant() switch
    {
        "zombie" => Outcome.Zombie,
        "ended" or Cancelled => Outcome.Ended,
        _ => throw new UsageException($"--expect: '{text}' is none of zombie, ended and cancelled"),
    };
}
