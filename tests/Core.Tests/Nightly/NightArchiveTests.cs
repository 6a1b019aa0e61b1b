using System.Xml.Linq;
using FluentAssertions;
using Harness.Core.Nightly;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Nightly;

/// <summary>What nights leave on disk, and for how long.</summary>
public sealed class NightArchiveTests : IDisposable
{
    private static readonly NightRow Row = Nights.Row("hang-irp") with { Time = TimeSpan.FromMilliseconds(50) };

    private readonly string _results = Directory.CreateTempSubdirectory("driverfault-").FullName;

    public void Dispose() => Directory.Delete(_results, recursive: true);

    [Fact]
    public void The_newest_thirty_nights_stay_and_older_ones_go_whole()
    {
        var names = Enumerable.Range(0, NightArchive.Keeps + 2).Select(day => Keep(Nights.First.AddDays(day), Row)).ToList();
        Directory.CreateDirectory(At("2020-01-01T000000"));
        Directory.CreateDirectory(At("notes"));

        var last = NightArchive.Begin(_results, Nights.First.AddDays(100));
        last.Write(Nights.Of(Nights.First, null, Nights.Run(Row)));
        var gone = last.RemoveOld();

        gone.Should().Equal(names.Take(3));
        Directory.EnumerateDirectories(At()).Select(Path.GetFileName).Should().BeEquivalentTo([.. names.Skip(3), Path.GetFileName(last.NightPath), "2020-01-01T000000", "notes"], "what is not a night is not ours to remove");
    }

    [Fact]
    public void Two_nights_of_one_second_have_folders_of_their_own()
    {
        Enumerable.Range(0, 11).Select(_ => Keep(Nights.First, Row)).Should().Equal(["2026-11-22T084312", .. Enumerable.Range(2, 10).Select(n => $"2026-11-22T084312-{n}")]);
    }

    [Fact]
    public void The_page_shows_the_trend_over_the_nights_that_are_there()
    {
        var baseline = new Baseline([Row]);
        Keep(Nights.First, Row, baseline);
        Keep(Nights.First.AddDays(1), Row with { Time = TimeSpan.FromMilliseconds(75) }, baseline);
        var broken = NightArchive.Begin(_results, Nights.First.AddDays(2));
        File.WriteAllText(Path.Combine(broken.NightPath, NightArchive.NightFile), "{");
        Keep(Nights.First.AddDays(3), Row with { Time = TimeSpan.FromMilliseconds(150), Verdict = Verdict.Fail }, baseline);

        var page = Html();

        page.Descendants("h1").Single().Value.Should().Be("Nightly: 2 regressions in 1 run");
        page.Descendants("h2").Select(h => h.Value).Should().Contain("The last 3 nights", "a night that cannot be read is left out");
        var rows = page.Descendants("table").Single(t => t.Attribute("class")?.Value == "trend").Elements("tr").ToList();
        rows[0].Elements("th").Select(c => c.Value).Should().Equal("Run", "Clock", "11-22 08:43", "11-23 08:43", "11-25 08:43");
        rows[1].Elements("td").Select(c => c.Value).Should().Equal("regressions", "", "0", "0", "2");
        rows[2].Elements("td").Select(c => c.Value).Should().Equal("hang-irp · guilty.sys · emulated", "", "P", "P", "F");
        rows[2].Elements("td").Last().Attribute("class")!.Value.Should().Be("fail differs");
        rows[2].Descendants("polyline").Single().Attribute("points")!.Value.Should().Be("0,10.3 30,8 60,1");
    }

    [Fact]
    public void A_night_that_did_not_finish_is_seen_as_such()
    {
        NightArchive.Begin(_results, Nights.First).Write(Nights.Of(Nights.First, null, Nights.Run(Row)) with { Finished = false });
        Keep(Nights.First.AddDays(1), Row);

        Html().Descendants("td").Should().Contain(cell => cell.Value == "×" && (string?)cell.Attribute("title") == "did not finish");
    }

    [Fact]
    public void What_a_driver_says_is_text_on_every_page()
    {
        var says = "<script>alert(1)</script> | `x` ]]> \u001b[2J &";
        var evil = Row with { Key = Row.Key with { Driver = "a|<b>&.sys" }, Findings = [new NightFinding("use-after-free", "a|<b>&.sys", false) { Says = says }] };

        Keep(Nights.First, evil, new Baseline([Row with { Key = evil.Key }]));

        File.ReadAllText(At("summary.md")).Should().NotContain("<script>").And.NotContain("\u001b").And.Contain("&lt;script&gt;").And.Contain("a&#124;&lt;b&gt;&amp;.sys");
        File.ReadAllText(At("report.html")).Should().NotContain("<script>").And.NotContain("\u001b");
        XDocument.Load(At("junit.xml")).Descendants("failure").Single().Attribute("message")!.Value.Should().Contain("<script>alert(1)</script> | `x` ]]> \\x1b[2J &");
    }

    [Fact]
    public void The_same_night_is_the_same_bytes()
    {
        Keep(Nights.First, Row);
        var one = new[] { "summary.md", "report.html", "junit.xml", "2026-11-22T084312/night.json" }.Select(file => File.ReadAllBytes(At(file))).ToList();
        Directory.Delete(At(), recursive: true);

        Keep(Nights.First, Row);

        new[] { "summary.md", "report.html", "junit.xml", "2026-11-22T084312/night.json" }.Select(file => File.ReadAllBytes(At(file))).Should().BeEquivalentTo(one, options => options.WithStrictOrdering());
    }

    private string Keep(DateTimeOffset started, NightRow row, Baseline? baseline = null)
    {
        var archive = NightArchive.Begin(_results, started);
        archive.Write(Nights.Of(started, baseline, Nights.Run(row)));
        return Path.GetFileName(archive.NightPath);
    }

    private string At(params string[] path) => Path.Combine([_results, "nightly", .. path]);

    // The page is well-formed but for its first line and the tags that HTML leaves open.
    private XElement Html() => XElement.Parse(File.ReadAllText(At("report.html")).Replace("<!DOCTYPE html>", "", StringComparison.Ordinal)
        .Replace("<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">", "", StringComparison.Ordinal).Replace("<br>", "<br/>", StringComparison.Ordinal));
}
