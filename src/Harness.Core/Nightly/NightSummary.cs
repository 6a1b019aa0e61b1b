using System.Globalization;
using System.Text;
using Harness.Core.Diagnosis;
using Harness.Core.Reports;

namespace Harness.Core.Nightly;

/// <summary>A night as one page of Markdown, for the summary of a CI job. GitHub shows none of one that is larger than 1 MiB.</summary>
internal static class NightSummary
{
    // A character has at most three bytes in UTF-8.
    private const int MostCharacters = 300_000;

    private const int LongestCell = 2000;

    /// <summary>Writes the page, UTF-8. The stream stays open.</summary>
    internal static void Write(Stream stream, Night night, string folder)
    {
        using var page = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        page.WriteLine($"# driverfault nightly: {Heading(night)}");
        page.WriteLine();
        page.WriteLine(Cell(Origin(night)));
        page.WriteLine();
        Differences(page, "Regressions", [.. night.Regressions], night);
        Differences(page, night.Accepted ? "Accepted: this night is the baseline now" : "Notes", [.. night.Differences.Except(night.Regressions)], night);
        page.WriteLine("## Runs");
        page.WriteLine();
        page.WriteLine("| | verdict | scenario | request | driver | target | outcome | clock | findings |");
        page.WriteLine("|---|---|---|---|---|---|---|---|---|");
        var told = 0;
        foreach (var run in night.Runs.TakeWhile(_ => HasRoom(page)))
        {
            told++;
            var (key, row) = (run.Row.Key, run.Row);
            Row(page, night.Regressions.Any(d => d.Key == key) ? "**!**" : "", row.Verdict.ToString().ToLowerInvariant(), Cell(key.Scenario), Cell(key.Request), Cell(key.Driver), Cell(key.Target),
                row.Outcome is { } outcome ? outcome.ToString().ToLowerInvariant() : "–", row.Time is { } time ? Spelled.Duration(time) : "–", Cell(row.FindingsText));
        }

        Rest(page, night.Runs.Count - told);
        page.WriteLine();
        page.WriteLine($"'+' marks a finding that the scenario expects, '!' one that it does not. The runs are in `{folder}`.");
        stream.Write(Encoding.UTF8.GetBytes(page.ToString()));
    }

    /// <summary>What the night came to: "2 regressions", "did not finish".</summary>
    internal static string Heading(Night night) => !night.Finished ? "did not finish" : night.Accepted && night.Baseline is null ? "a first night, kept as the baseline" : night.Headline;

    /// <summary>When, what, and compared with what.</summary>
    internal static string Origin(Night night) =>
        $"{Night.Counted(night.Runs.Count)} of {string.Join(", ", night.Runs.Select(run => run.Row.Key.Driver).Distinct())} on {string.Join(", ", night.Runs.Select(run => run.Row.Key.Target).Distinct())}, begun {night.Started.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)} UTC, harness {night.HarnessVersion}. "
        + (night.Baseline is { } baseline ? $"Compared with {baseline}." : "There was no baseline to compare with.");

    private static void Differences(StringWriter page, string heading, IReadOnlyList<Difference> differences, Night night)
    {
        if (differences.Count == 0) return;
        page.WriteLine($"## {heading}");
        page.WriteLine();
        page.WriteLine("| what | scenario | driver | target | says |");
        page.WriteLine("|---|---|---|---|---|");
        var told = 0;
        foreach (var difference in differences.TakeWhile(_ => HasRoom(page)))
        {
            told++;
            var replay = difference.IsRegression && night.Runs.FirstOrDefault(run => run.Row.Key == difference.Key) is { } run ? $"<br>run again: {Cell(run.Replay)}" : "";
            Row(page, $"**{difference.Name}**", Cell(difference.Key.Scenario), Cell(difference.Key.Driver), Cell(difference.Key.Target), Cell(difference.Says) + replay);
        }

        Rest(page, differences.Count - told);
        page.WriteLine();
    }

    private static bool HasRoom(StringWriter page) => page.GetStringBuilder().Length < MostCharacters;

    private static void Rest(StringWriter page, int untold)
    {
        if (untold > 0) page.WriteLine($"\nand {untold} more, in {NightArchive.NightFile}.");
    }

    private static void Row(StringWriter page, params string[] cells) => page.WriteLine($"| {string.Join(" | ", cells)} |");

    // What a driver says may hold anything: a cell of a table that Markdown does not read.
    private static string Cell(string text)
    {
        var plain = new StringBuilder();
        var line = Printable.Line(text);
        if (line.Length > LongestCell) line = line[..LongestCell] + "…";
        foreach (var c in line) plain.Append(c switch { '<' => "&lt;", '>' => "&gt;", '&' => "&amp;", '|' or '`' or '*' or '_' or '[' or ']' or '\\' or '#' or '~' or '@' or '$' => $"&#{(int)c};", _ => c.ToString() });
        return plain.ToString();
    }
}
