using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Harness.Core.Reports;

namespace Harness.Core.Nightly;

/// <summary>
/// The nights on disk. <c>results/nightly</c> has junit.xml, summary.md and report.html of the last night, and a folder for each night with its night.json and its
/// run folders. The reports are there before the first run, with every run as one that was never done: a harness that dies leaves a red page.
/// </summary>
public sealed partial class NightArchive
{
    /// <summary>A night's file, in its folder.</summary>
    public const string NightFile = "night.json";

    /// <summary>For CI.</summary>
    public const string JUnitFile = "junit.xml";

    /// <summary>For a CI job's summary.</summary>
    public const string SummaryFile = "summary.md";

    /// <summary>For a browser.</summary>
    public const string ReportFile = "report.html";

    /// <summary>How many nights the archive keeps.</summary>
    public const int Keeps = 30;

    private readonly IReadOnlyList<Night> _past;

    private NightArchive(string path, string night, IReadOnlyList<Night> past, IReadOnlyList<string> unread) => (Path, NightPath, _past, Unread) = (path, night, past, unread);

    /// <summary>"results/nightly".</summary>
    public string Path { get; }

    /// <summary>This night's folder; its run folders go there.</summary>
    public string NightPath { get; }

    /// <summary>The names of past nights that are missing from the trend, because their night.json cannot be read.</summary>
    public IReadOnlyList<string> Unread { get; }

    /// <summary>Makes the folder of a night: "results/nightly/2026-11-22T084312", or with -2, -3… when that exists.</summary>
    /// <param name="results">The folder of all runs; made when absent.</param>
    /// <param name="now">The wall-clock time for the name.</param>
    /// <exception cref="UnwritableResultsException">The folder cannot be made.</exception>
    public static NightArchive Begin(string results, DateTimeOffset now)
    {
        var path = System.IO.Path.Combine(results, "nightly");
        try
        {
            Directory.CreateDirectory(path);
            var name = now.UtcDateTime.ToString("yyyy-MM-dd'T'HHmmss", CultureInfo.InvariantCulture);
            var night = System.IO.Path.Combine(path, name);
            var past = Nights(path).Select(folder => (Name: System.IO.Path.GetFileName(folder), Night: Read(folder))).ToList();
            for (var again = 2; !Claim(night); again++) night = System.IO.Path.Combine(path, $"{name}-{again.ToString(CultureInfo.InvariantCulture)}");
            return new NightArchive(path, night, [.. past.Select(one => one.Night).OfType<Night>()], [.. past.Where(one => one.Night is null).Select(one => one.Name)]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnwritableResultsException($"cannot write results to '{path}': {Fault.Of(e)}", e);
        }
    }

    /// <summary>Writes night.json and the three reports, over older ones.</summary>
    /// <exception cref="UnwritableResultsException">A file cannot be written.</exception>
    public void Write(Night night)
    {
        var folder = System.IO.Path.GetFileName(NightPath);
        WholeFile.Write(System.IO.Path.Combine(NightPath, NightFile), stream => NightlyJson.Write(stream, night, NightlyJson.Indented.Night));
        Report(JUnitFile, stream => NightJUnit.Write(stream, night));
        Report(SummaryFile, stream => NightSummary.Write(stream, night, folder));
        Report(ReportFile, stream => NightPage.Write(stream, [.. _past, night], folder));
    }

    // Two nights may be running, and each has its unfinished reports in its own folder.
    private void Report(string file, Action<Stream> write) => WholeFile.Write(System.IO.Path.Combine(Path, file), write, NightPath);

    /// <summary>
    /// The rule of retention: the newest <see cref="Keeps"/> nights stay whole, this one among them; older ones go whole. Only folders that have a night's name and a
    /// night.json are touched. One that cannot be removed stays.
    /// </summary>
    /// <returns>The names of what went.</returns>
    public IReadOnlyList<string> RemoveOld()
    {
        var gone = new List<string>();
        foreach (var old in Nights(Path).SkipLast(Keeps).Where(night => night != NightPath))
        {
            try
            {
                // night.json last: what somebody has open is found again another night.
                foreach (var run in Directory.EnumerateDirectories(old)) Directory.Delete(run, recursive: true);
                Directory.Delete(old, recursive: true);
                gone.Add(System.IO.Path.GetFileName(old));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Somebody has one of its files open. It goes another night.
            }
        }

        return gone;
    }

    // Oldest first: the name is the time, and -2 comes after what it repeats.
    private static IEnumerable<string> Nights(string path) => Directory.EnumerateDirectories(path)
        .Where(folder => NightName().IsMatch(System.IO.Path.GetFileName(folder)) && File.Exists(System.IO.Path.Combine(folder, NightFile)))
        .OrderBy(folder => System.IO.Path.GetFileName(folder)[..17], StringComparer.Ordinal).ThenBy(folder => folder.Length).ThenBy(folder => folder, StringComparer.Ordinal);

    // A night that cannot be read is not in the trend; it is no reason to lose this one.
    private static Night? Read(string folder)
    {
        try
        {
            using var stream = File.OpenRead(System.IO.Path.Combine(folder, NightFile));
            return JsonSerializer.Deserialize(stream, NightlyJson.Indented.Night) is { } night && night.Runs.All(run => run is { Row.IsWhole: true }) && night.Differences.All(d => d is not null) ? night : null;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or FormatException or OverflowException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // Two nights of the same second: whoever creates night.json has the folder. Until it is written, it is one that cannot be read.
    private static bool Claim(string path)
    {
        if (Directory.Exists(path) || File.Exists(path)) return false;
        Directory.CreateDirectory(path);
        var file = System.IO.Path.Combine(path, NightFile);
        try
        {
            using (new FileStream(file, FileMode.CreateNew, FileAccess.Write)) return true;
        }
        catch (IOException) when (File.Exists(file))
        {
            return false;
        }
    }

    [GeneratedRegex(@"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}(-[0-9]+)?\z")]
    private static partial Regex NightName();
}
