using System.CommandLine;
using Harness.Cli.Arguments;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Targets;
using Harness.Scenarios;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault replay</c>: plays the story of a saved run again, with the same driver, choices and seed, and compares what is seen.</summary>
internal sealed class ReplayCommand
{
    private readonly Surroundings _around;
    private readonly Argument<string> _folder = new("RUN-FOLDER") { Description = "a folder that 'run' left" };
    private readonly Option<string?> _results = new("--results") { HelpName = "DIR", Description = "where the new run folder goes; default: the repository's results folder" };
    private readonly MachineArguments _machine = new();
    private readonly Option<string?> _format = new("--format") { HelpName = "text|json", Description = "text (default), or one JSON object" };

    public ReplayCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("replay", "Run a saved run again, with the same driver, choices and seed, and compare the evidence.") { _folder, _results, _format, _machine.Known, _machine.Timeout };
        Command.SetAction(parsed => (int)Replay(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Replay(ParseResult parsed)
    {
        var format = Formats.Parse(parsed.GetValue(_format));
        var saved = RunFolder.Open(parsed.GetRequiredValue(_folder));
        var target = _around.TargetNamed(saved.Run.Target, _machine.Read(parsed));
        var driver = Driver(saved.Run.Driver);
        var run = saved.Run with { HarnessVersion = PlayedRun.HarnessVersion, Started = _around.Clock.GetUtcNow() };
        var played = new Stage(_around, target, _around.ResultsIn(parsed.GetValue(_results)), format).Play(run, driver);
        _around.Error.WriteLine(Compare(saved, played));
        return ExitCodes.Of(played.Judgement.Verdict);
    }

    private static DriverUnderTest Driver(DriverFile file)
    {
        var driver = file.Path == MyFault.FileName ? DriverArgument.Committed(file.Device).Driver : DriverArgument.Read(file.Path, file.Device).Driver;
        return PlayedRun.Sha256(driver) == file.Sha256 ? driver
            : throw new UsageException($"{file.Path} is not the driver of that run any more (its SHA-256 was {file.Sha256})");
    }

    private static string Compare(RunFolder saved, PlayedRun played)
    {
        var then = Lines(saved.Evidence);
        var now = Lines(played.Evidence);
        if (then.SequenceEqual(now)) return $"driverfault: the evidence is the same as in {saved.Path}, byte for byte";
        var line = then.Zip(now).TakeWhile(pair => pair.First == pair.Second).Count() + 1;
        return $"driverfault: the evidence differs from {saved.Path} from line {line} on; that run was made by harness {saved.Run.HarnessVersion}, this by {played.Description.HarnessVersion}";
    }

    private static string[] Lines(IReadOnlyList<Observation> evidence)
    {
        using var stream = new MemoryStream();
        EvidenceFile.Write(stream, evidence);
        return System.Text.Encoding.UTF8.GetString(stream.ToArray()).Split('\n');
    }
}
