using System.Globalization;
using System.Text;
using System.Xml;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>A run with its evidence and judgement.</summary>
/// <param name="Run">What was run.</param>
/// <param name="Evidence">What was seen.</param>
/// <param name="Judgement">What the rules say.</param>
/// <param name="Folder">Its run folder, for the reader.</param>
public sealed record JudgedRun(RunDescription Run, IReadOnlyList<Observation> Evidence, Judgement Judgement, string Folder);

/// <summary>
/// JUnit XML in the flat Surefire dialect that Jenkins, GitLab, Azure DevOps and GitHub reporters read alike: testsuites, one testsuite,
/// one testcase a run; its children in the order properties, error, failure, system-out. A fail is a failure; inconclusive and error are
/// errors, since a run that cannot be judged must not look green. <c>time</c> is seconds of the run's own clock.
/// </summary>
public static class JUnitReport
{
    private const string Suite = "driverfault";

    /// <summary>Writes one document. The stream stays open.</summary>
    public static void Write(Stream stream, IReadOnlyList<JudgedRun> runs)
    {
        var settings = new XmlWriterSettings { Indent = true, NewLineChars = "\n", Encoding = new UTF8Encoding(false), CloseOutput = false };
        using var xml = XmlWriter.Create(stream, settings);
        xml.WriteStartElement("testsuites");
        xml.WriteStartElement("testsuite");
        xml.WriteAttributeString("name", Suite);
        Counts(xml, runs);
        if (runs.Count > 0 && runs[0].Run.Started is { } started)
            xml.WriteAttributeString("timestamp", started.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture));

        // Readers keep the first of two cases with one name.
        var names = new Dictionary<(string, string), int>();
        foreach (var run in runs)
        {
            var (@class, name) = (ClassName(run.Run), Name(run.Run));
            var times = names[(@class, name)] = names.GetValueOrDefault((@class, name)) + 1;
            Case(xml, run, @class, times == 1 ? name : $"{name} #{times.ToString(CultureInfo.InvariantCulture)}");
        }

        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void Counts(XmlWriter xml, IReadOnlyList<JudgedRun> runs)
    {
        xml.WriteAttributeString("tests", Number(runs.Count));
        xml.WriteAttributeString("failures", Number(runs.Count(r => r.Judgement.Verdict == Verdict.Fail)));
        xml.WriteAttributeString("errors", Number(runs.Count(r => r.Judgement.Verdict is Verdict.Inconclusive or Verdict.Error)));
        xml.WriteAttributeString("skipped", "0");
        xml.WriteAttributeString("time", Seconds(runs.Aggregate(TimeSpan.Zero, (sum, r) => sum + Length(r))));
    }

    private static void Case(XmlWriter xml, JudgedRun run, string @class, string name)
    {
        xml.WriteStartElement("testcase");
        xml.WriteAttributeString("classname", @class);
        xml.WriteAttributeString("name", name);
        xml.WriteAttributeString("time", Seconds(Length(run)));
        Properties(xml, run);
        var judgement = run.Judgement;
        if (judgement.Verdict != Verdict.Pass)
        {
            xml.WriteStartElement(judgement.Verdict == Verdict.Fail ? "failure" : "error");
            xml.WriteAttributeString("type", Type(judgement));
            xml.WriteAttributeString("message", Printable.Line(judgement.Because));
            xml.WriteString(Printable.Of(Detail(run)));
            xml.WriteEndElement();
        }

        xml.WriteStartElement("system-out");
        using var story = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        ConsoleStory.Write(story, run.Run, run.Evidence, judgement, run.Folder, color: false);
        xml.WriteString(Printable.Of(story.ToString()));
        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void Properties(XmlWriter xml, JudgedRun run)
    {
        xml.WriteStartElement("properties");
        Property(xml, "target", run.Run.Target);
        Property(xml, "driver", run.Run.Driver.FileName);
        Property(xml, "sha256", run.Run.Driver.Sha256);
        Property(xml, "seed", run.Run.Seed.ToString(CultureInfo.InvariantCulture));
        Property(xml, "replay", run.Run.Replay);
        foreach (var finding in run.Judgement.Findings) Property(xml, finding.Expected ? "expected-finding" : "finding", finding.Id);
        xml.WriteEndElement();
    }

    private static void Property(XmlWriter xml, string name, string value)
    {
        xml.WriteStartElement("property");
        xml.WriteAttributeString("name", name);
        xml.WriteAttributeString("value", Printable.Line(value));
        xml.WriteEndElement();
    }

    private static string Type(Judgement judgement) => judgement.Verdict == Verdict.Fail
        ? judgement.Findings.FirstOrDefault(f => !f.Expected)?.Id ?? "fail"
        : judgement.Verdict == Verdict.Inconclusive ? "inconclusive" : "error";

    private static string Detail(JudgedRun run)
    {
        var lines = run.Judgement.Findings.Where(f => !f.Expected).Select(f => $"{f.Id} ({f.Driver ?? "no driver"}): {f.Says}")
            .Concat(run.Judgement.Facts.Where(f => f.Holds != true).Select(f => $"{(f.Holds is null ? "no evidence" : "not so")}: {f.Name}"))
            .Append($"Replay: {run.Run.Replay}");
        return string.Join('\n', lines);
    }

    // Dots in a class name are packages to most readers.
    private static string ClassName(RunDescription run) =>
        Printable.Line($"{Suite}.{run.Target}.{Path.GetFileNameWithoutExtension(run.Driver.FileName).Replace('.', '_')}");

    private static string Name(RunDescription run) => Printable.Line($"{run.Scenario} {HexText.Of(run.Choices.Ioctl)}");

    private static TimeSpan Length(JudgedRun run) => run.Evidence.Count == 0 ? TimeSpan.Zero : run.Evidence[^1].At;

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture);

    private static string Number(int count) => count.ToString(CultureInfo.InvariantCulture);
}
