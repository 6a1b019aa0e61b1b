using System.CommandLine;
using System.Globalization;
using Harness.Cli.Arguments;
using Harness.Core.Evidence;
using Harness.Core.Nightly;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Verdicts;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault nightly</c>: plays scenarios × driver builds × targets and compares what they came to with the baseline.</summary>
internal sealed class NightlyCommand
{
    private const double UsualFactor = 2;

    private readonly Surroundings _around;
    private readonly RequestOptions _options = new();
    private readonly Option<string[]> _targets = Several("--target", "TARGET", "where the drivers run: emulated (default) or hyperv, a virtual machine of this host; may be given several times");
    private readonly Option<string[]> _drivers = Several("--driver", "FILE.sys", "a build of the driver under test; may be given several times; default: the myfault.sys that comes with the harness");
    private readonly Option<string?> _baseline = RequestOptions.Text("--baseline", "FILE", $"what to compare with; default: {Baseline.FileName} in the repository's root; when there is none, this night becomes it");
    private readonly Option<bool> _update = new("--update-baseline") { Description = "this night becomes the baseline, whatever differs" };
    private readonly Option<string?> _slower = RequestOptions.Text("--slower", "FACTOR", "from how many times the baseline's time on a run is a regression, on the run's clock; default: 2");
    private readonly Option<string?> _results = RequestOptions.Text("--results", "DIR", "where the nights go, into its folder nightly; default: the repository's results folder");

    public NightlyCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("nightly", "Run scenarios with each build of a driver on each target, and compare with a baseline.") { _options.Scenarios, _targets, _drivers };
        _options.AddTo(Command);
        foreach (var option in (Option[])[_baseline, _update, _slower, _results]) Command.Add(option);
        Command.SetAction(parsed => (int)Run(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Run(ParseResult parsed)
    {
        var factor = parsed.GetValue(_slower) is { } slower ? Factor(slower) : UsualFactor;
        var path = Path.GetFullPath(parsed.GetValue(_baseline) is { } said ? FileName(said) : Path.Combine(_around.Root, Baseline.FileName));
        var results = _around.ResultsIn(parsed.GetValue(_results));
        var matrix = Matrix(parsed, Path.GetDirectoryName(path)!);
        var baseline = Baseline.Read(path);
        if (Path.GetDirectoryName(path) is { } place && !Directory.Exists(place)) throw new UsageException($"--baseline: there is no folder {place}");

        var started = _around.Clock.GetUtcNow();
        var archive = NightArchive.Begin(results, started);
        Night Told(IReadOnlyList<NightRun> told, bool finished) => new(started, PlayedRun.HarnessVersion, finished, false, baseline is null ? null : Path.GetFileName(path), told,
            Comparison.Of(baseline, told, factor));
        archive.Write(Told([.. matrix.Select(entry => NightRun.NotDone(entry.Key, Describe(entry)))], finished: false));

        var runs = matrix.Select(entry => Play(entry, archive.NightPath)).ToList();
        var crashed = runs.Any(run => run.Row.Verdict == Verdict.Error);
        var becomes = !crashed && (baseline is null || parsed.GetValue(_update));
        var night = Told(runs, finished: true) with { Accepted = becomes };
        // A page says that the night is the baseline when it is.
        if (becomes) Baseline.Of(night.Runs).Write(path);
        archive.Write(night);
        Tell(night, archive, path, becomes, crashed, archive.RemoveOld());
        return crashed ? ExitCode.HarnessFailure : !night.Regressions.Any() ? ExitCode.Pass : ExitCode.Fail;
    }

    private List<MatrixEntry> Matrix(ParseResult parsed, string root)
    {
        var scenarios = _options.Named(parsed);
        var targets = (parsed.GetValue(_targets) is { Length: > 0 } names ? names : ["emulated"]).Distinct(StringComparer.OrdinalIgnoreCase).Select(name => _options.Target(parsed, _around, name)).ToList();
        string?[] files = parsed.GetValue(_drivers) is { Length: > 0 } said ? [.. said.Distinct()] : [null];
        var device = parsed.GetValue(_options.Device);
        var matrix = targets.SelectMany(target => files.SelectMany(file =>
        {
            var driver = DriverArgument.Of(file, device, target);
            var request = _options.LeaveOut(parsed, _options.Understand(parsed, scenarios, target, driver), _around.Error);
            return request.Scenarios.Distinct().Select(scenario => new MatrixEntry(request, scenario,
                new RowKey(target.Name, file is null ? driver.Path : Path.GetRelativePath(root, driver.Path).Replace('\\', '/'), scenario.Name, NightRow.RequestOf(request.ChoicesFor(scenario)))));
        })).DistinctBy(entry => entry.Key).ToList();
        return matrix.Count > 0 ? matrix : throw new UsageException("nightly: every scenario was left out, so there is nothing to run");
    }

    private NightRun Play(MatrixEntry entry, string folder)
    {
        var run = Describe(entry);
        var played = new Stage(_around, entry.Request.Target, folder, format: null).Play(run, entry.Request.Driver.Driver);
        var row = NightRow.Of(entry.Key, run, played.Evidence, played.Judgement);
        Say($"{row.Verdict.ToString().ToLowerInvariant(),-13} {entry.Key.Scenario,-26} {entry.Key.Driver} on {entry.Key.Target}: {row.FindingsText}");
        _around.Out.Flush();
        return new NightRun(row, DriverFault.FirstLine(played.Judgement.Because), run.Replay, Path.GetFileName(played.Folder));
    }

    private void Tell(Night night, NightArchive archive, string path, bool becomes, bool crashed, IReadOnlyList<string> removed)
    {
        _around.Out.WriteLine();
        foreach (var difference in night.Differences)
            Say($"{(difference.IsRegression ? "!" : " ")} {difference.Name,-18} {difference.Key.Scenario} with {difference.Key.Driver} on {difference.Key.Target}: {difference.Says}");
        if (night.Differences.Count > 0) _around.Out.WriteLine();
        if (removed.Count > 0) _around.Out.WriteLine($"older than the last {NightArchive.Keeps} nights, removed: {string.Join(", ", removed)}");
        if (archive.Unread.Count > 0) _around.Out.WriteLine($"not in the trend, since their {NightArchive.NightFile} cannot be read: {string.Join(", ", archive.Unread)}");
        Say($"page         {Path.GetFullPath(Path.Combine(archive.Path, NightArchive.SummaryFile))}");
        Say($"JUnit        {Path.GetFullPath(Path.Combine(archive.Path, NightArchive.JUnitFile))}");
        Say($"trend        {Path.GetFullPath(Path.Combine(archive.Path, NightArchive.ReportFile))}");
        Say($"night        {Path.GetFullPath(archive.NightPath)}");
        if (becomes) Say(night.Baseline is null ? $"There was no baseline: this night is it now, {path}. Commit it." : $"This night is the baseline now, {path}.");
        else if (crashed) _around.Out.WriteLine("The harness itself failed; a night like that never becomes a baseline.");
        _around.Out.WriteLine(night.Headline);
    }

    // A driver's file may have any name.
    private void Say(string line) => _around.Out.WriteLine(Printable.Line(line));

    private RunDescription Describe(MatrixEntry entry) =>
        PlayedRun.Describe(_around.Command, entry.Scenario, entry.Request.Target, entry.Request.Driver, entry.Request.ChoicesFor(entry.Scenario), entry.Request.Conditions, _around.Clock.GetUtcNow());

    private static double Factor(string text) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var factor) && factor is > 1 and <= 1000 ? factor
            : throw new UsageException($"--slower: '{text}' is not a factor; write a number above 1, at most 1000");

    private static string FileName(string said) => said.Length > 0 && !said.Contains('\0', StringComparison.Ordinal) ? said : throw new UsageException($"--baseline: '{said.Replace('\0', '?')}' is not a file's name");

    private static Option<string[]> Several(string name, string value, string description) => new(name) { HelpName = value, Description = description, Arity = ArgumentArity.OneOrMore };

    /// <summary>One run of the matrix.</summary>
    private sealed record MatrixEntry(RunRequest Request, Scenario Scenario, RowKey Key);
}
