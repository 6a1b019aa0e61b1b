using System.Net;
using System.Text;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>One run on one page: no scripts, nothing loaded from elsewhere, light or dark as the reader's system is.</summary>
public static class HtmlReport
{
    private const string Style = """
        :root{color-scheme:light dark;--ink:#1c1e21;--faint:#646a73;--page:#fff;--card:#f5f6f8;--line:#dcdfe4;--pass:#1a7f37;--fail:#c0262d;--unsure:#9a6700;--client:#0b5cad;--driver:#8a4b08}
        @media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--faint:#9aa2ad;--page:#14161a;--card:#1d2025;--line:#343941;--pass:#4ac26b;--fail:#ff7b72;--unsure:#e3b341;--client:#79b8ff;--driver:#f0b06a}}
        body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:70rem;margin:0 auto;padding:1.5rem}
        h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
        p.run{color:var(--faint);margin:.2rem 0 1rem}
        .verdict{border-left:.4rem solid var(--unsure);background:var(--card);padding:.7rem 1rem}.verdict.pass{border-color:var(--pass)}.verdict.fail,.verdict.error{border-color:var(--fail)}
        .verdict b{text-transform:uppercase}
        .pass b{color:var(--pass)}.fail b,.error b{color:var(--fail)}.inconclusive b{color:var(--unsure)}
        table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
        td.at,td.source{color:var(--faint);white-space:nowrap;font-variant-numeric:tabular-nums}td.at{text-align:right}
        tr.client td.text{color:var(--client)}tr.driver td.text{color:var(--driver)}tr.harness td.text{color:var(--faint)}tr.alarm td.text{color:var(--fail);font-weight:600}
        td.text,dd{overflow-wrap:anywhere}
        pre{background:var(--card);padding:.8rem 1rem;overflow-x:auto;font:13px/1.45 ui-monospace,monospace}
        dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0}dt{color:var(--faint)}dd{margin:0}
        """;

    /// <summary>Writes the page, UTF-8. The stream stays open.</summary>
    public static void Write(Stream stream, RunDescription run, IReadOnlyList<Observation> evidence, Judgement judgement)
    {
        using var page = new StreamWriter(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        var look = new LastLook(run, evidence);
        page.WriteLine("<!DOCTYPE html>");
        page.WriteLine("<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        page.WriteLine($"<title>{Text(run.Scenario)}: {Word(judgement.Verdict)}</title>");
        page.WriteLine($"<style>\n{Style.ReplaceLineEndings("\n")}\n</style></head><body>");
        page.WriteLine($"<h1>{Text(run.Scenario)}</h1>");
        page.WriteLine($"<p class=\"run\">{Text($"{run.Driver.FileName} on target {run.Target}, {run.Driver.Device}, ioctl {HexText.Of(run.Choices.Ioctl)}")}</p>");
        page.WriteLine($"<div class=\"verdict {Word(judgement.Verdict)}\"><b>{Word(judgement.Verdict)}</b> {Text(judgement.Because)}</div>");
        Findings(page, judgement);
        Debugger(page, look);
        Facts(page, judgement);
        Story(page, evidence);
        Origin(page, run);
        page.WriteLine("</body></html>");
    }

    private static void Findings(StreamWriter page, Judgement judgement)
    {
        if (judgement.Findings.Count == 0) return;
        page.WriteLine("<h2>Findings</h2>\n<table><tr><th>Finding</th><th>Guilty driver</th><th>What happened</th></tr>");
        foreach (var finding in judgement.Findings)
        {
            var code = finding.Code is null ? "" : $"<br>{Text(finding.Code)} ({Text(string.Join(", ", finding.Parameters))})";
            page.WriteLine($"<tr><td><code>{Text(finding.Id)}</code>{(finding.Expected ? " (expected)" : "")}<br>{Text(finding.Title)}{code}</td><td>{Text(finding.Driver ?? "cannot be told")}</td><td class=\"text\">{Text(finding.Says)}</td></tr>");
        }

        page.WriteLine("</table>");
    }

    private static void Debugger(StreamWriter page, LastLook look)
    {
        if (look.Telling?.Memory is not { } memory) return;
        page.WriteLine($"<h2>What a kernel debugger shows at {Text($"'{memory.Checkpoint}' ({Spelled.Clock(memory.At)})")}</h2>");
        if (look.Telling.Record is null) page.WriteLine($"<p>{Text(look.Testimony.Victim)} is not in kernel memory any more.</p>");
        else page.WriteLine($"<pre>{Text(string.Join('\n', DebuggerText.Of(look.Telling.Record)))}</pre>");
    }

    private static void Facts(StreamWriter page, Judgement judgement)
    {
        if (judgement.Facts.Count == 0) return;
        page.WriteLine("<h2>Facts</h2>\n<table><tr><th>Fact</th><th>Holds</th><th>Evidence</th></tr>");
        foreach (var fact in judgement.Facts)
        {
            var holds = fact.Holds switch { true => "yes", false => "no", null => "no evidence" };
            page.WriteLine($"<tr><td class=\"text\">{Text(fact.Name)}</td><td>{holds}</td><td class=\"source\">{Text(fact.Source ?? "")}</td></tr>");
        }

        page.WriteLine("</table>");
    }

    private static void Story(StreamWriter page, IReadOnlyList<Observation> evidence)
    {
        page.WriteLine("<h2>Timeline</h2>\n<table>");
        foreach (var entry in Timeline.Of(evidence))
            page.WriteLine($"<tr class=\"{Word(entry.Voice)}\"><td class=\"at\">{Spelled.Clock(entry.At)}</td><td class=\"text\">{Text(entry.Text)}</td></tr>");
        page.WriteLine("</table>");
    }

    private static void Origin(StreamWriter page, RunDescription run)
    {
        page.WriteLine("<h2>Run</h2>\n<dl>");
        (string, string)[] rows =
        [
            ("driver", run.Driver.Path), ("sha256", run.Driver.Sha256), ("device", run.Driver.Device), ("seed", run.Seed.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            ("harness", run.HarnessVersion), ("run again", run.Replay),
        ];
        foreach (var (name, value) in rows) page.WriteLine($"<dt>{name}</dt><dd><code>{Text(value)}</code></dd>");
        page.WriteLine("</dl>");
    }

    private static string Word<T>(T value) where T : struct, Enum => value.ToString().ToLowerInvariant();

    private static string Text(string text) => WebUtility.HtmlEncode(Printable.Of(text));
}
