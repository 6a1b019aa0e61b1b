using System.Globalization;
using System.Text;
using System.Xml.Linq;
using Core.Tests.Verdicts;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Reports;

public sealed class JUnitReportTests
{
    private static readonly string[] ChildOrder = ["properties", "skipped", "error", "failure", "system-out", "system-err"];

    private static JudgedRun Judged(Outcome expected, Tale tale) => Judged(Tale.Run(expected), tale.Evidence);

    private static JudgedRun Judged(RunDescription run, IReadOnlyList<Observation> evidence) => new(run, evidence, Judge.Of(run, evidence), "results/x");

    private static byte[] Bytes(params JudgedRun[] runs)
    {
        using var stream = new MemoryStream();
        JUnitReport.Write(stream, runs);
        return stream.ToArray();
    }

    private static XElement Parse(params JudgedRun[] runs)
    {
        using var stream = new MemoryStream(Bytes(runs));
        return XDocument.Load(stream).Root!;
    }

    private static JudgedRun[] OneOfEach() =>
    [
        Judged(Outcome.Zombie, Tale.Zombie()),
        Judged(Outcome.Ended, Tale.Zombie()),
        Judged(Outcome.Ended, Tale.Pending()),
        Judged(Outcome.Ended, Tale.Sound()) with { Judgement = new Judgement(Verdict.Error, null, null, "the harness failed", [], []) },
    ];

    [Fact]
    public void The_document_keeps_the_flat_Surefire_dialect()
    {
        var root = Parse(OneOfEach());

        root.Name.LocalName.Should().Be("testsuites");
        var suite = root.Elements().Should().ContainSingle().Subject;
        suite.Name.LocalName.Should().Be("testsuite");
        suite.Elements().Should().OnlyContain(e => e.Name.LocalName == "testcase", "nested suites lose results in half of the readers");
        foreach (var name in new[] { "name", "tests", "failures", "errors", "skipped", "time" }) suite.Attribute(name).Should().NotBeNull();

        foreach (var testcase in suite.Elements())
        {
            foreach (var name in new[] { "classname", "name", "time" }) testcase.Attribute(name)!.Value.Should().NotBeEmpty();
            var order = testcase.Elements().Select(e => Array.IndexOf(ChildOrder, e.Name.LocalName)).ToList();
            order.Should().BeInAscendingOrder().And.NotContain(-1);
            foreach (var bad in testcase.Elements().Where(e => e.Name.LocalName is "failure" or "error"))
            {
                bad.Attribute("type")!.Value.Should().NotBeEmpty();
                bad.Attribute("message")!.Value.Should().NotBeEmpty().And.NotContain("\n");
            }

            double.Parse(testcase.Attribute("time")!.Value, CultureInfo.InvariantCulture).Should().BeGreaterThanOrEqualTo(0);
        }
    }

    [Fact]
    public void Only_a_pass_is_green()
    {
        var suite = Parse(OneOfEach()).Element("testsuite")!;

        suite.Elements().Select(c => c.Elements().FirstOrDefault(e => e.Name.LocalName is "failure" or "error")?.Name.LocalName)
            .Should().Equal(null, "failure", "error", "error");
        suite.Elements().Select(c => (c.Element("failure") ?? c.Element("error"))?.Attribute("type")!.Value)
            .Should().Equal(null, "zombie-no-cancel-routine", "inconclusive", "error");
        suite.Attribute("tests")!.Value.Should().Be("4");
        suite.Attribute("failures")!.Value.Should().Be("1");
        suite.Attribute("errors")!.Value.Should().Be("2");
        suite.Attribute("skipped")!.Value.Should().Be("0");
    }

    [Fact]
    public void Two_runs_of_one_scenario_have_different_names()
    {
        var names = Parse(OneOfEach()).Descendants("testcase").Select(c => (c.Attribute("classname")!.Value, c.Attribute("name")!.Value)).ToList();

        names.Should().OnlyHaveUniqueItems();
        names[0].Should().Be(("driverfault.emulated.guilty", "hang-irp 0x222008"));
    }

    [Fact]
    public void Control_characters_never_reach_the_XML()
    {
        var noisy = Judged(Outcome.Ended, Tale.Zombie().Add(new DebugPrinted("\u0000\u0008\u001b[2J]]> <x> \uFFFE \uD800")));
        var renamed = noisy with { Run = noisy.Run with { Scenario = "a\u0001b", Replay = "driverfault \u0002" }, Judgement = noisy.Judgement with { Because = "one\u0003\ntwo" } };

        var root = Parse(renamed);
        root.Descendants("system-out").Single().Value.Should().Contain(@"\x00\x08\x1b[2J]]> <x> \ufffe");
        root.Descendants("failure").Single().Attribute("message")!.Value.Should().Be(@"one\x03 two");
    }

    [Fact]
    public void The_failure_tells_who_what_how_long_and_how_to_see_it_again()
    {
        var failure = Parse(Judged(Outcome.Ended, Tale.Zombie())).Descendants("failure").Single();

        failure.Attribute("message")!.Value.Should().Contain("'victim' (pid 412)").And.Contain("10 min").And.Contain("guilty.sys");
        failure.Value.Should().Contain("Replay: driverfault run hang-irp --seed 7");
    }

    [Fact]
    public void An_inconclusive_run_names_the_missing_facts()
    {
        var evidence = Tale.Zombie().Evidence.Without<KernelMemorySeen>();
        Parse(Judged(Tale.Run(Outcome.Zombie), evidence)).Descendants("error").Single().Value.Should().Contain("no evidence: a thread waits in kernel mode");
    }

    [Fact]
    public void The_same_runs_are_the_same_bytes_without_a_byte_order_mark()
    {
        var bytes = Bytes(OneOfEach());

        Bytes(OneOfEach()).Should().Equal(bytes);
        Encoding.UTF8.GetString(bytes).Should().StartWith("<?xml").And.NotContain("\r");
    }
}
