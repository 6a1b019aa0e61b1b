using System.Text.Json;
using Harness.Core.Reports;

namespace Harness.Core.Nightly;

/// <summary>
/// nightly-baseline.json: what each run of the matrix came to on the night that somebody declared good. It is committed beside the driver; the same
/// night writes the same bytes.
/// </summary>
/// <param name="Rows">By key.</param>
public sealed record Baseline(IReadOnlyList<NightRow> Rows)
{
    /// <summary>Where it is when the user doesn't say.</summary>
    public const string FileName = "nightly-baseline.json";

    /// <summary>The baseline that this night is.</summary>
    public static Baseline Of(IEnumerable<NightRun> runs) =>
        new([.. runs.Select(run => run.Row).OrderBy(row => row.Key).Select(row => row with { Findings = [.. row.Findings.Select(f => f with { Says = null })] })]);

    /// <summary>Reads the file; null when there is none.</summary>
    /// <exception cref="UnusableBaselineException">It is not a baseline.</exception>
    public static Baseline? Read(string path)
    {
        try
        {
            if (Directory.Exists(path)) throw new UnusableBaselineException($"--baseline: {path} is a folder");
            if (!File.Exists(path)) return null;
            using var stream = File.OpenRead(path);
            var baseline = JsonSerializer.Deserialize(stream, NightlyJson.Indented.Baseline) ?? throw new JsonException();
            if (!baseline.Rows.All(row => row is { IsWhole: true })) throw new JsonException();
            var twice = baseline.Rows.GroupBy(row => row.Key).FirstOrDefault(rows => rows.Count() > 1)?.Key;
            return twice is null ? baseline : throw new UnusableBaselineException($"--baseline: {path} has two rows for {twice.Scenario} with {twice.Driver} on {twice.Target}");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or FormatException or OverflowException)
        {
            throw new UnusableBaselineException($"--baseline: {path} cannot be read: {Fault.Of(e, "a baseline")}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnusableBaselineException($"--baseline: {path} cannot be read: {Fault.Of(e)}");
        }
    }

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <exception cref="UnwritableResultsException">It cannot be written.</exception>
    public void Write(string path) => WholeFile.Write(path, stream => NightlyJson.Write(stream, this, NightlyJson.Indented.Baseline));
}

/// <summary>The file is not a baseline. The message is one line.</summary>
public sealed class UnusableBaselineException(string message) : Exception(message);
