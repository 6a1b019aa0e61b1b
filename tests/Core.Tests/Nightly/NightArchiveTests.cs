using System.Threading;
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
    public async Task Nights_that_begin_at_once_have_folders_of_their_own()
    {
        using var gate = new Barrier(8);
        var began = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Factory.StartNew(() =>
        {
            gate.SignalAndWait();
            return NightArchive.Begin(_results, Nights.First).NightPath;
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        began.Should().OnlyHaveUniqueItems();
    }

    [Fact]
    public void What_only_looks_like_a_night_is_not_removed()
    {
        string[] others = ["2020-01-01T000000-copy", "20200101T000000", "\u0662\u0660\u0662\u0660-01-01T000000"];
        foreach (var other in OperatingSystem.IsWindows() ? others : [.. others, "2020-01-01T000000\n"])
        {
            Directory.CreateDirectory(At(other));
            File.WriteAllText(At(other, NightArchive.NightFile), "{}");
        }

        for (var day = 0; day <= NightArchive.Keeps; day++) Keep(Nights.First.AddDays(day), Row);

        NightArchive.Begin(_results, Nights.First.AddDays(100)).RemoveOld().Should().Equal("2026-11-22T084312", "2026-11-23T084312");
    }

    [Theory]
    [InlineData("\"runs\": [null], \"differences\": []")]
    [InlineData("\"runs\": [], \"differences\": [null]")]
    public void A_past_night_with_nothing_where_something_should_be_costs_only_itself(string content)
    {
        var broken = NightArchive.Begin(_results, Nights.First);
        File.WriteAllText(Path.Combine(broken.NightPath, NightArchive.NightFile), $$"""{"started": "2026-11-22T08:43:12+00:00", "harnessVersion": "1", "finished": true, "accepted": false, "baseline": null, {{content}}}""");

        Keep(Nights.First.AddDays(1), Row);

        Html().Descendants("h2").Select(h => h.Value).Should().Contain("The last 1 nights");
    }

    [Fact]
    public void Drivers_whose_names_would_be_one_class_are_told_apart()
    {
        var rows = new[] { "x/m.sys", "x_m.sys" }.Select(driver => Nights.Row("hang-irp", driver)).ToArray();

        NightArchive.Begin(_results, Nights.First).Write(Nights.Of(Nights.First, null, [.. rows.Select(Nights.Run)]));

        XDocument.Load(At("junit.xml")).Descendants("testcase").Select(c => c.Attribute("name")!.Value).Should().Equal("hang-irp control 0x222008", "hang-irp control 0x222008 with x_m.sys");
    }

    [Fact]
    public void The_summary_has_room_on_a_CI_job_s_page_whatever_a_night_says()
    {
        var runs = Enumerable.Range(0, 200).Select(n => Nights.Run(Nights.Row($"scenario-{n}") with { Verdict = Verdict.Fail })).Select(run => run with { Because = new string('\u20ac', 10_000), Replay = new string('x', 10_000) }).ToArray();

        NightArchive.Begin(_results, Nights.First).Write(Nights.Of(Nights.First, new Baseline([]), runs));

        new FileInfo(At("summary.md")).Length.Should().BeInRange(1 << 17, 1 << 20);
        File.ReadAllText(At("summary.md")).Should().Contain("more, in night.json.").And.Contain("\u20ac\u2026 |".Replace(" |", "<br>", StringComparison.Ordinal));
    }

    [Fact]
    public void The_page_shows_the_trend_over_the_nights_that_are_there()
    {
        var baseline = new Baseline([Row]);
        Keep(Nights.First, Row, baseline);
        Keep(Nights.First.AddDays(1), Row with { Time = TimeSpan.FromMilliseconds(75) }, baseline);
        var broken = NightArchive.Begin(_results, Nights.First.AddDays(2));
        File.WriteAllText(Path.Combine(broken.NightPath, NightArchive.NightFile), "{");
        NightArchive.Begin(_results, Nights.First.AddDays(2.5)).Unread.Should().Equal(Path.GetFileName(broken.NightPath));
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
        var says = "<script>alert(1)</script> | `x` $x$ ]]> \u001b[2J &";
        var evil = Row with { Key = Row.Key with { Driver = "a|<b>&.sys" }, Findings = [new NightFinding("use-after-free", "a|<b>&.sys", false) { Says = says }] };

        Keep(Nights.First, evil, new Baseline([Row with { Key = evil.Key }]));

        File.ReadAllText(At("summary.md")).Should().NotContain("<script>").And.NotContain("\u001b").And.Contain("&lt;script&gt;").And.Contain("a&#124;&lt;b&gt;&amp;.sys").And.NotContain("$", "a pair of them is a formula");
        File.ReadAllText(At("report.html")).Should().NotContain("<script>").And.NotContain("\u001b");
        XDocument.Load(At("junit.xml")).Descendants("failure").Single().Attribute("message")!.Value.Should().Contain("<script>alert(1)</script> | `x` $x$ ]]> \\x1b[2J &");
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
