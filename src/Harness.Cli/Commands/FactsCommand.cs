using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using Harness.Cli.Arguments;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Scenarios;
using Harness.Windows;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault facts</c>: plays every kind of zombie on this machine and writes down what documentation does not tell.</summary>
internal sealed class FactsCommand
{
    /// <summary>Past the five minutes after which the I/O manager gives up: whether it does for a file with a completion port, nobody has written down.</summary>
    private static readonly TimeSpan PastTheLimit = TimeSpan.FromMinutes(6);

    private static readonly TimeSpan Quickly = TimeSpan.FromSeconds(2);

    private static readonly Scenario[] Kinds = [new HangIrp(), new HangIrpNoopCancel(), new HangCreate(), new CloseWhileHung(), new TerminateTwice(), new HangIrpOverlapped(), new HangIrpCompletionPort()];

    private readonly Surroundings _around;
    private readonly Option<string?> _driver = new("--driver") { HelpName = "FILE.sys", Description = "myfault.sys as it is signed for this machine; default: the one that comes with the harness, which is not signed" };
    private readonly Option<string> _file = new("--output") { HelpName = "FILE", Description = "where the answers go", DefaultValueFactory = _ => "windows-facts.json" };
    private readonly Option<string?> _results = new("--results") { HelpName = "DIR", Description = "where run folders go; default: the repository's results folder" };
    private readonly Option<bool> _quick = new("--quick") { Description = "do not wait for limits of minutes" };
    private readonly MachineArguments _machine = new();

    public FactsCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("facts", "Play every kind of zombie on this Windows machine, and write what it says to windows-facts.json (some 15 minutes; nobody has to watch).") { _driver, _file, _results, _quick, _machine.Known, _machine.Timeout };
        Command.SetAction(parsed => (int)Ask(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Ask(ParseResult parsed)
    {
        var target = _around.TargetNamed("local", _machine.Read(parsed));
        var results = _around.ResultsIn(parsed.GetValue(_results));
        var quick = parsed.GetValue(_quick);
        var driver = DriverArgument.Of(parsed.GetValue(_driver), null, target);
        if (!driver.IsMyFault) throw new UsageException($"--driver: {driver.Driver.FileName} is not {MyFault.FileName}, whose requests these questions are asked with");
        var file = parsed.GetRequiredValue(_file);
        var facts = new List<WindowsFact>();
        foreach (var scenario in quick ? Kinds.Where(kind => kind is not HangIrpOverlapped) : Kinds)
        {
            var settle = quick ? Quickly : scenario is HangIrpCompletionPort ? PastTheLimit : target.DefaultSettle;
            var request = new RunRequest([scenario], target, driver, null, [], null, null, settle, RunRequest.Usual);
            var run = PlayedRun.Describe(_around.Command, scenario, target, driver, request.ChoicesFor(scenario), request.Conditions, _around.Clock.GetUtcNow());
            var played = new Stage(_around, target, results, Format.Text).Play(run, driver.Driver);
            facts.AddRange(WindowsFacts.Of(scenario.Name, run.Story, played.Evidence));
            // The next story may take the machine down, and what has been answered with it.
            Write(file, facts);
        }

        var open = facts.Count(fact => fact.Answer is null);
        _around.Out.WriteLine();
        _around.Out.WriteLine($"{facts.Count - open} of {facts.Count} questions answered: {Path.GetFullPath(file)}");
        return open == 0 ? ExitCode.Pass : ExitCode.Inconclusive;
    }

    private static void Write(string file, List<WindowsFact> facts)
    {
        var machine = OperatingSystem.IsWindows() ? TestMachine.Probe().ToString() : "";
        try
        {
            WindowsFacts.Write(file, new FactsFile(machine, RuntimeInformation.OSDescription, facts));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnwritableResultsException($"cannot write '{file}': {Fault.Of(e)}", e);
        }
    }
}
