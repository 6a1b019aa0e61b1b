using System.Text.Json.Serialization;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Verdicts;

namespace Harness.Core.Nightly;

/// <summary>Which run of the matrix: scenarios × driver builds × targets.</summary>
/// <param name="Target">The target's name.</param>
/// <param name="Driver">The driver file as seen from the baseline's folder, with slashes; two builds of one driver lie in different places.</param>
/// <param name="Scenario">The scenario's name.</param>
/// <param name="Request">"control 0x222008", "read", "write", and the first bytes of an input.</param>
public sealed record RowKey(string Target, string Driver, string Scenario, string Request) : IComparable<RowKey>
{
    /// <summary>By target, driver, scenario and request, whatever the order in which they ran.</summary>
    public int CompareTo(RowKey? other) => other is null ? 1 : string.CompareOrdinal(Joined, other.Joined);

    private string Joined => string.Join('\0', Target, Driver, Scenario, Request);
}

/// <summary>What one run of the matrix came to, without what differs from one harness to the next (addresses, sentences).</summary>
/// <param name="Key">Which run.</param>
/// <param name="Sha256">Of the driver file's bytes.</param>
/// <param name="Verdict">The verdict.</param>
/// <param name="Outcome">Of the victim; null when it cannot be told.</param>
/// <param name="Time">The run's clock when the victim had ended; of one that stays, when its end was asked for. Null when neither was seen.</param>
/// <param name="Findings">All, expected or not, by ID.</param>
public sealed record NightRow(RowKey Key, string Sha256, Verdict Verdict, Outcome? Outcome, TimeSpan? Time, IReadOnlyList<NightFinding> Findings)
{
    /// <summary>The row of a judged run.</summary>
    public static NightRow Of(RowKey key, RunDescription run, IReadOnlyList<Observation> evidence, Judgement judgement)
    {
        var testimony = new Testimony(run, evidence);
        return new NightRow(key, run.Driver.Sha256, judgement.Verdict, judgement.Outcome, testimony.End?.At ?? testimony.Interruption?.At,
            [.. judgement.Findings.OrderBy(f => f.Id, StringComparer.Ordinal).ThenBy(f => f.Driver, StringComparer.Ordinal)
                .Select(f => new NightFinding(f.Id, f.Driver, f.Expected) { Says = f.Says })]);
    }

    /// <summary>The request of these choices, for <see cref="RowKey.Request"/>.</summary>
    public static string RequestOf(Choices choices)
    {
        const int shown = 16;
        var call = choices.Kind switch
        {
            RequestKind.Read => "read",
            RequestKind.Write => "write",
            _ => $"control {HexText.Of(choices.Ioctl)}",
        };
        var input = Convert.ToHexStringLower(choices.Input.AsSpan(0, Math.Min(shown, choices.Input.Length)));
        return input.Length == 0 ? call : choices.Input.Length > shown ? $"{call} {input}… ({choices.Input.Length} bytes)" : $"{call} {input}";
    }

    /// <summary>False of a row out of a file that has null in place of a finding, which a reader of JSON lets pass.</summary>
    [JsonIgnore]
    internal bool IsWhole => Findings.All(finding => finding is not null);

    /// <summary>"+zombie-in-rundown !cancel-timeout": expected ones with a plus, others with an exclamation mark; "-" for none.</summary>
    [JsonIgnore]
    public string FindingsText => Findings.Count == 0 ? "-" : string.Join(' ', Findings.Select(f => (f.Expected ? "+" : "!") + f.Id));
}

/// <summary>A finding of a run.</summary>
/// <param name="Id">Its ID.</param>
/// <param name="Driver">The guilty driver; null when it cannot be told.</param>
/// <param name="Expected">The scenario expected it.</param>
public sealed record NightFinding(string Id, string? Driver, bool Expected)
{
    /// <summary>The sentence of the run; null in a baseline.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Says { get; init; }

    /// <summary>"zombie-in-rundown of driver.sys".</summary>
    [JsonIgnore]
    public string Name => Driver is null ? Id : $"{Id} of {Driver}";
}

/// <summary>A row with what a person wants to know of it.</summary>
/// <param name="Row">What it came to.</param>
/// <param name="Because">The verdict's sentence.</param>
/// <param name="Replay">The command line that runs it again.</param>
/// <param name="Folder">The run folder's name inside the night's folder; null when it has none yet.</param>
public sealed record NightRun(NightRow Row, string Because, string Replay, string? Folder)
{
    /// <summary>What a run is before it is done: should the harness end, this is what is left of it.</summary>
    public static NightRun NotDone(RowKey key, RunDescription run) =>
        new(new NightRow(key, run.Driver.Sha256, Verdict.Error, null, null, []), "The harness ended before this run was done.", run.Replay, null);
}

/// <summary>night.json: one night.</summary>
/// <param name="Started">Wall-clock time, UTC.</param>
/// <param name="HarnessVersion">The harness that ran it.</param>
/// <param name="Finished">False: the harness ended before the night did.</param>
/// <param name="Accepted">It became the baseline, whatever differed.</param>
/// <param name="Baseline">What it was compared with, as the user named it; null: there was none, and this night became it.</param>
/// <param name="Runs">In the order in which they ran.</param>
/// <param name="Differences">From the baseline; regressions first.</param>
public sealed record Night(DateTimeOffset Started, string HarnessVersion, bool Finished, bool Accepted, string? Baseline, IReadOnlyList<NightRun> Runs, IReadOnlyList<Difference> Differences)
{
    /// <summary>Those that make the night red.</summary>
    [JsonIgnore]
    public IEnumerable<Difference> Regressions => Accepted ? [] : Differences.Where(d => d.IsRegression);

    /// <summary>"3 regressions in 2 runs", "1 regression", "no regression".</summary>
    [JsonIgnore]
    public string Headline => Regressions.Count() switch { 0 => "no regression", 1 => "1 regression", var many => $"{many} regressions in {Counted(Regressions.Select(d => d.Key).Distinct().Count())}" };

    /// <summary>"1 run", "13 runs".</summary>
    internal static string Counted(int runs) => runs == 1 ? "1 run" : $"{runs} runs";

    /// <summary>What of a run differs from the baseline.</summary>
    public IEnumerable<Difference> Of(RowKey key) => Differences.Where(d => d.Key == key);
}
