using System.Globalization;
using System.Net;
using System.Text;
using Harness.Core.Diagnosis;
using Harness.Core.Reports;

namespace Harness.Core.Nightly;

/// <summary>The last night and the trend over all that are kept, on one page: no scripts, nothing loaded from elsewhere, light or dark as the reader's system is.</summary>
internal static class NightPage
{
    private const string Style = """
        :root{color-scheme:light dark;--ink:#1c1e21;--faint:#646a73;--page:#fff;--card:#f5f6f8;--line:#dcdfe4;--pass:#1a7f37;--fail:#c0262d;--unsure:#9a6700}
        @media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--faint:#9aa2ad;--page:#14161a;--card:#1d2025;--line:#343941;--pass:#4ac26b;--fail:#ff7b72;--unsure:#e3b341}}
        body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:80rem;margin:0 auto;padding:1.5rem}
        h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p.origin,td.faint{color:var(--faint)}
        h1.green{color:var(--pass)}h1.red{color:var(--fail)}
        table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
        td.says{overflow-wrap:anywhere}div.wide{overflow-x:auto}
        table.trend td,table.trend th{padding:.15rem .3rem;white-space:nowrap;font-variant-numeric:tabular-nums}
        table.trend th.night{font-weight:400;font-size:.75rem;writing-mode:vertical-rl}
        .pass{color:var(--pass)}.fail,.error{color:var(--fail)}.inconclusive{color:var(--unsure)}.differs{outline:2px solid var(--fail);outline-offset:-2px}
        svg{stroke:var(--ink);fill:none;stroke-width:1.2}code{font:13px ui-monospace,monospace}
        """;

    /// <summary>Writes the page, UTF-8. The stream stays open.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="nights">Oldest first; the last is told in full.</param>
    /// <param name="folder">The last night's folder, as seen from the page.</param>
    internal static void Write(Stream stream, IReadOnlyList<Night> nights, string folder)
    {
        using var page = new StreamWriter(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        var night = nights[^1];
        page.WriteLine("<!DOCTYPE html>");
        page.WriteLine("<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        page.WriteLine($"<title>driverfault nightly: {Text(NightSummary.Heading(night))}</title>");
        page.WriteLine($"<style>\n{Style.ReplaceLineEndings("\n")}\n</style></head><body>");
        page.WriteLine($"<h1 class=\"{(night.Finished && !night.Regressions.Any() ? "green" : "red")}\">Nightly: {Text(NightSummary.Heading(night))}</h1>");
        page.WriteLine($"<p class=\"origin\">{Text(NightSummary.Origin(night))}</p>");
        Differences(page, night);
        Trend(page, nights);
        Runs(page, night, folder);
        page.WriteLine("</body></html>");
    }

    private static void Differences(StreamWriter page, Night night)
    {
        if (night.Differences.Count == 0) return;
        page.WriteLine("<h2>What differs from the baseline</h2>\n<table><tr><th>What</th><th>Scenario</th><th>Driver</th><th>Target</th><th>Then and now</th></tr>");
        foreach (var difference in night.Differences)
            page.WriteLine($"<tr><td class=\"{(difference.IsRegression ? "fail" : "faint")}\">{difference.Name}</td><td>{Text(difference.Key.Scenario)}</td><td>{Text(difference.Key.Driver)}</td><td>{Text(difference.Key.Target)}</td><td class=\"says\">{Text(difference.Says)}</td></tr>");
        page.WriteLine("</table>");
    }

    private static void Trend(StreamWriter page, IReadOnlyList<Night> nights)
    {
        page.WriteLine($"<h2>The last {nights.Count.ToString(CultureInfo.InvariantCulture)} nights</h2>\n<div class=\"wide\"><table class=\"trend\"><tr><th>Run</th><th>Clock</th>");
        foreach (var night in nights) page.Write($"<th class=\"night\">{night.Started.UtcDateTime.ToString("MM-dd HH:mm", CultureInfo.InvariantCulture)}</th>");
        page.WriteLine("</tr>\n<tr><td>regressions</td><td></td>");
        foreach (var night in nights) page.Write(night.Finished ? $"<td class=\"{(night.Regressions.Any() ? "fail" : "pass")}\">{night.Regressions.Count().ToString(CultureInfo.InvariantCulture)}</td>" : "<td class=\"error\" title=\"did not finish\">×</td>");
        page.WriteLine("</tr>");
        foreach (var key in nights.SelectMany(night => night.Runs).Select(run => run.Row.Key).Distinct().Order())
        {
            var runs = nights.Select(night => (Night: night, Run: night.Runs.FirstOrDefault(run => run.Row.Key == key))).ToList();
            page.WriteLine($"<tr><td>{Text($"{key.Scenario} · {key.Driver} · {key.Target}")}</td><td>{Times([.. runs.Select(r => r.Run?.Row.Time)])}</td>");
            foreach (var (night, run) in runs) page.Write(Cell(night, run));
            page.WriteLine("</tr>");
        }

        page.WriteLine("</table></div>\n<p class=\"origin\">P pass, F fail, I inconclusive, E the harness failed; framed: a regression from that night's baseline. The line is the run's clock when the victim had ended.</p>");
    }

    private static string Cell(Night night, NightRun? run)
    {
        if (run is null) return "<td class=\"faint\">·</td>";
        var verdict = run.Row.Verdict.ToString();
        var title = string.Join("; ", night.Of(run.Row.Key).Select(d => d.Name).Prepend(run.Row.FindingsText).Prepend(run.Row.Time is { } time ? Spelled.Duration(time) : "no time"));
        return $"<td class=\"{verdict.ToLowerInvariant()}{(night.Regressions.Any(d => d.Key == run.Row.Key) ? " differs" : "")}\" title=\"{Text(title)}\">{verdict[0]}</td>";
    }

    // The shape alone: each run has its own scale, from nothing to its longest night.
    private static string Times(IReadOnlyList<TimeSpan?> times)
    {
        const double width = 60, height = 16;
        var longest = times.Max()?.Ticks ?? 0;
        if (longest == 0 || times.Count(time => time is not null) < 2) return "";
        var points = times.Select((time, night) => time is { } t ? FormattableString.Invariant($"{night * width / (times.Count - 1):0.#},{height - (t.Ticks * (height - 2) / longest) - 1:0.#}") : null).OfType<string>();
        return $"<svg width=\"60\" height=\"16\" role=\"img\" aria-label=\"the run's clock over the nights\"><polyline points=\"{string.Join(' ', points)}\"/></svg>";
    }

    private static void Runs(StreamWriter page, Night night, string folder)
    {
        page.WriteLine("<h2>Runs of the last night</h2>\n<table><tr><th>Verdict</th><th>Scenario</th><th>Driver</th><th>Target</th><th>Findings</th><th>Because</th></tr>");
        foreach (var run in night.Runs)
        {
            var verdict = run.Row.Verdict.ToString().ToLowerInvariant();
            var scenario = run.Folder is null ? Text(run.Row.Key.Scenario) : $"<a href=\"{Text($"{folder}/{run.Folder}/{RunFolder.ReportFile}")}\">{Text(run.Row.Key.Scenario)}</a>";
            page.WriteLine($"<tr><td class=\"{verdict}\">{verdict}</td><td>{scenario}<br><code>{Text(run.Row.Key.Request)}</code></td><td>{Text(run.Row.Key.Driver)}</td><td>{Text(run.Row.Key.Target)}</td><td><code>{Text(run.Row.FindingsText)}</code></td><td class=\"says\">{Text(run.Because)}<br><code>{Text(run.Replay)}</code></td></tr>");
        }

        page.WriteLine("</table>");
    }

    private static string Text(string text) => WebUtility.HtmlEncode(Printable.Of(text));
}
