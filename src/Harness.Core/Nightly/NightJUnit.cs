using System.Globalization;
using System.Text;
using System.Xml;
using Harness.Core.Reports;

namespace Harness.Core.Nightly;

/// <summary>
/// A night in the JUnit dialect of <see cref="JUnitReport"/>, one testcase a run. Here a case fails when its run differs from the baseline, whatever its verdict: a defect
/// that is found as it always was is green. What the harness failed at is an error. <c>time</c> is seconds of the run's own clock.
/// </summary>
internal static class NightJUnit
{
    /// <summary>Writes the document. The stream stays open.</summary>
    internal static void Write(Stream stream, Night night)
    {
        var cases = night.Runs.Select(run => new Case(run.Row.Key, run))
            .Concat(night.Differences.Where(d => d.Kind == DifferenceKind.MissingRow).Select(d => new Case(d.Key, null))).ToList();
        var differences = night.Differences.ToLookup(d => d.Key);
        var regressions = night.Regressions.ToLookup(d => d.Key);
        Difference? Worst(Case of) => regressions[of.Key].FirstOrDefault();

        var settings = new XmlWriterSettings { Indent = true, NewLineChars = "\n", Encoding = new UTF8Encoding(false), CloseOutput = false };
        using var xml = XmlWriter.Create(stream, settings);
        xml.WriteStartElement("testsuites");
        xml.WriteStartElement("testsuite");
        xml.WriteAttributeString("name", "driverfault.nightly");
        xml.WriteAttributeString("tests", Number(cases.Count));
        xml.WriteAttributeString("failures", Number(cases.Count(c => Worst(c) is { Kind: not DifferenceKind.Crashed })));
        xml.WriteAttributeString("errors", Number(cases.Count(c => Worst(c) is { Kind: DifferenceKind.Crashed })));
        xml.WriteAttributeString("skipped", "0");
        xml.WriteAttributeString("time", Seconds(cases.Aggregate(TimeSpan.Zero, (sum, c) => sum + (c.Run?.Row.Time ?? TimeSpan.Zero))));
        xml.WriteAttributeString("timestamp", night.Started.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture));
        var named = new HashSet<(string, string)>();
        foreach (var @case in cases) Write(xml, @case, Worst(@case), differences[@case.Key], named);
        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void Write(XmlWriter xml, Case @case, Difference? worst, IEnumerable<Difference> all, HashSet<(string Class, string Name)> named)
    {
        var (key, run) = @case;
        xml.WriteStartElement("testcase");
        // Dots in a class name are packages to most readers, slashes folders to some. Of two cases with one name some readers take the first alone.
        var (ofClass, name) = (Printable.Line($"driverfault.nightly.{key.Target}.{key.Driver.Replace('.', '_').Replace('/', '_')}"), Printable.Line($"{key.Scenario} {key.Request}"));
        if (!named.Add((ofClass, name))) named.Add((ofClass, name = Printable.Line($"{name} with {key.Driver}")));
        xml.WriteAttributeString("classname", ofClass);
        xml.WriteAttributeString("name", name);
        xml.WriteAttributeString("time", Seconds(run?.Row.Time ?? TimeSpan.Zero));
        if (worst is not null)
        {
            xml.WriteStartElement(worst.Kind == DifferenceKind.Crashed ? "error" : "failure");
            xml.WriteAttributeString("type", worst.Name);
            xml.WriteAttributeString("message", Printable.Line($"{worst.Name}: {worst.Says}"));
            xml.WriteString(Printable.Of(string.Join('\n', all.Select(d => $"{d.Name}: {d.Says}").Concat(run is null ? [] : [$"Replay: {run.Replay}"]))));
            xml.WriteEndElement();
        }

        if (run is not null)
        {
            xml.WriteStartElement("system-out");
            xml.WriteString(Printable.Of($"{run.Row.Verdict.ToString().ToLowerInvariant()}: {run.Because}\nfindings: {run.Row.FindingsText}\nSHA-256 of the driver: {run.Row.Sha256}\nrun folder: {run.Folder ?? "none"}\nReplay: {run.Replay}\n"));
            xml.WriteEndElement();
        }

        xml.WriteEndElement();
    }

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.000", CultureInfo.InvariantCulture);

    private static string Number(int count) => count.ToString(CultureInfo.InvariantCulture);

    private sealed record Case(RowKey Key, NightRun? Run);
}
