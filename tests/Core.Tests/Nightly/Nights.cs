using Harness.Core.Nightly;
using Harness.Core.Stories;
using Harness.Core.Verdicts;

namespace Core.Tests.Nightly;

/// <summary>Nights made by hand.</summary>
internal static class Nights
{
    internal static readonly DateTimeOffset First = new(2026, 11, 22, 8, 43, 12, TimeSpan.Zero);

    internal static NightRow Row(string scenario, string driver = "guilty.sys", string target = "emulated") =>
        new(new RowKey(target, driver, scenario, "control 0x222008"), new string('a', 64), Verdict.Pass, Outcome.Ended, TimeSpan.Zero, []);

    internal static NightRun Run(NightRow row) => new(row, "It came as expected.", $"driverfault run {row.Key.Scenario} --seed 1", $"2026-11-22T084312-{row.Key.Scenario}-emulated");

    internal static Night Of(DateTimeOffset started, Baseline? baseline, params NightRun[] runs) =>
        new(started, "1.0.0", true, false, baseline is null ? null : Baseline.FileName, runs, Comparison.Of(baseline, runs, 2));
}
