using System.Text.Json.Serialization;
using Harness.Core.Diagnosis;
using Harness.Core.Verdicts;

namespace Harness.Core.Nightly;

/// <summary>How a night differs from its baseline. Those before <see cref="NewRow"/> are regressions, the others are told only.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<DifferenceKind>))]
public enum DifferenceKind
{
    /// <summary>The harness itself failed, or never came to the end of the run.</summary>
    [JsonStringEnumMemberName("crashed")] Crashed,

    /// <summary>The baseline has a run that this night's matrix has not.</summary>
    [JsonStringEnumMemberName("missingRow")] MissingRow,

    /// <summary>The run could be judged then.</summary>
    [JsonStringEnumMemberName("inconclusive")] Inconclusive,

    /// <summary>A finding that the baseline has not, expected or not.</summary>
    [JsonStringEnumMemberName("newFinding")] NewFinding,

    /// <summary>A finding of the baseline that is not made any more: a driver was repaired, or a defect is no longer caught.</summary>
    [JsonStringEnumMemberName("lostFinding")] LostFinding,

    /// <summary>Another verdict; or a run that is not in the baseline did not pass.</summary>
    [JsonStringEnumMemberName("verdict")] Verdict,

    /// <summary>Something else became of the victim.</summary>
    [JsonStringEnumMemberName("outcome")] Outcome,

    /// <summary>It took longer on the run's clock, by more than the factor.</summary>
    [JsonStringEnumMemberName("slower")] Slower,

    /// <summary>A run that the baseline has not.</summary>
    [JsonStringEnumMemberName("newRow")] NewRow,

    /// <summary>A run that could not be judged then, and can be.</summary>
    [JsonStringEnumMemberName("nowJudged")] NowJudged,

    /// <summary>It took less time on the run's clock, by more than the factor.</summary>
    [JsonStringEnumMemberName("faster")] Faster,

    /// <summary>The driver file is another than the baseline was made with.</summary>
    [JsonStringEnumMemberName("otherDriver")] OtherDriver,
}

/// <summary>One difference.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Key">Of which run.</param>
/// <param name="Says">One or two sentences: what is different, then and now.</param>
public sealed record Difference(DifferenceKind Kind, RowKey Key, string Says)
{
    /// <summary>It makes the night red.</summary>
    [JsonIgnore]
    public bool IsRegression => Kind < DifferenceKind.NewRow;

    /// <summary>"new finding".</summary>
    [JsonIgnore]
    public string Name => Kind switch
    {
        DifferenceKind.Crashed => "crashed",
        DifferenceKind.MissingRow => "missing run",
        DifferenceKind.Inconclusive => "newly inconclusive",
        DifferenceKind.NewFinding => "new finding",
        DifferenceKind.LostFinding => "lost finding",
        DifferenceKind.Verdict => "other verdict",
        DifferenceKind.Outcome => "other outcome",
        DifferenceKind.Slower => "slower",
        DifferenceKind.NewRow => "new run",
        DifferenceKind.NowJudged => "can be judged now",
        DifferenceKind.Faster => "faster",
        _ => "other driver file",
    };
}

/// <summary>Compares a night with its baseline, run by run.</summary>
public static class Comparison
{
    /// <summary>Below it a time is noise: the interval of Windows' clock interrupt, 64 times a second.</summary>
    public static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(15.625);

    /// <summary>What differs, regressions first.</summary>
    /// <param name="baseline">What was declared good; null: nothing was, and only what the harness failed at is told.</param>
    /// <param name="runs">The night.</param>
    /// <param name="factor">Slower than this many times what it was is a regression, more than 1; a time below <see cref="Tick"/> counts as one.</param>
    public static IReadOnlyList<Difference> Of(Baseline? baseline, IReadOnlyList<NightRun> runs, double factor)
    {
        if (baseline is null) return [.. runs.Where(run => run.Row.Verdict == Verdict.Error).Select(run => new Difference(DifferenceKind.Crashed, run.Row.Key, run.Because))];
        var then = baseline.Rows.ToDictionary(row => row.Key);
        var missing = baseline.Rows.Where(row => !runs.Any(run => run.Row.Key == row.Key))
            .Select(row => new Difference(DifferenceKind.MissingRow, row.Key, "It is in the baseline and was not run."));
        return [.. runs.SelectMany(run => then.TryGetValue(run.Row.Key, out var row) ? Known(row, run, factor) : New(run)).Concat(missing).OrderBy(d => d.Kind)];
    }

    private static IEnumerable<Difference> New(NightRun run)
    {
        var now = run.Row;
        Difference Is(DifferenceKind kind, string says) => new(kind, now.Key, says);

        yield return Is(DifferenceKind.NewRow, "It is not in the baseline; --update-baseline takes it in.");
        if (now.Verdict == Verdict.Error) yield return Is(DifferenceKind.Crashed, run.Because);
        else if (now.Verdict == Verdict.Inconclusive) yield return Is(DifferenceKind.Inconclusive, run.Because);
        else if (now.Verdict == Verdict.Fail) yield return Is(DifferenceKind.Verdict, $"It fails: {run.Because}");
    }

    private static IEnumerable<Difference> Known(NightRow then, NightRun run, double factor)
    {
        var now = run.Row;
        Difference Is(DifferenceKind kind, string says) => new(kind, now.Key, says);

        if (now.Verdict == Verdict.Error)
        {
            yield return Is(DifferenceKind.Crashed, run.Because);
            yield break;
        }

        if (then.Sha256 != now.Sha256) yield return Is(DifferenceKind.OtherDriver, $"SHA-256 {then.Sha256[..Math.Min(12, then.Sha256.Length)]}… then, {now.Sha256[..Math.Min(12, now.Sha256.Length)]}… now.");
        foreach (var found in now.Findings.Where(f => !then.Findings.Any(f.Same))) yield return Is(DifferenceKind.NewFinding, $"{found.Name}: {found.Says}");

        // Of a run that could not be judged nothing is known that could be missing.
        if (now.Verdict == Verdict.Inconclusive)
        {
            if (then.Verdict != Verdict.Inconclusive) yield return Is(DifferenceKind.Inconclusive, $"{Word(then.Verdict)} then; now: {run.Because}");
            yield break;
        }

        foreach (var lost in then.Findings.Where(f => !now.Findings.Any(f.Same))) yield return Is(DifferenceKind.LostFinding, $"{lost.Name} is not found any more. Now: {run.Because}");
        if (then.Verdict is Verdict.Inconclusive or Verdict.Error) yield return Is(now.Verdict == Verdict.Pass ? DifferenceKind.NowJudged : DifferenceKind.Verdict, $"{Word(then.Verdict)} then, {Word(now.Verdict)} now: {run.Because}");
        else if (then.Verdict != now.Verdict) yield return Is(DifferenceKind.Verdict, $"{Word(then.Verdict)} then, {Word(now.Verdict)} now: {run.Because}");
        if (then.Outcome != now.Outcome) yield return Is(DifferenceKind.Outcome, $"{Told(then)} then, {Told(now)} now.");
        else if (Changed(then.Time, now.Time, factor)) yield return Is(DifferenceKind.Slower, Times(then, now));
        else if (Changed(now.Time, then.Time, factor)) yield return Is(DifferenceKind.Faster, Times(then, now));
    }

    private static bool Same(this NightFinding one, NightFinding other) => one.Id == other.Id && one.Driver == other.Driver;

    private static bool Changed(TimeSpan? from, TimeSpan? to, double factor) => from is { } less && to is { } more && more.Ticks > factor * Math.Max(less.Ticks, Tick.Ticks);

    private static string Times(NightRow then, NightRow now) => $"{Spelled.Duration(then.Time!.Value)} then, {Spelled.Duration(now.Time!.Value)} now, on the run's clock.";

    private static string Told(NightRow row) => row.Outcome is { } outcome ? char.ToLowerInvariant(outcome.ToString()[0]) + outcome.ToString()[1..] : "cannot be told";

    private static string Word(Verdict verdict) => verdict.ToString().ToLowerInvariant();
}
