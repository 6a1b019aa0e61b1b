using System.Text;
using System.Text.Json;
using System.Xml.Linq;
using Core.Tests.Verdicts;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Reports;

public sealed class ReportTests
{
    private static string Story(Outcome expected, IReadOnlyList<Observation> evidence, bool color = false)
    {
        using var writer = new StringWriter { NewLine = "\n" };
        var run = Tale.Run(expected);
        ConsoleStory.Write(writer, run, evidence, Judge.Of(run, evidence), "results/2026-11-22T084312-hang-irp-emulated", color);
        return writer.ToString();
    }

    private static string Html(IReadOnlyList<Observation> evidence)
    {
        using var stream = new MemoryStream();
        var run = Tale.Run(Outcome.Zombie);
        HtmlReport.Write(stream, run, evidence, Judge.Of(run, evidence));
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static IEnumerable<string> Names(JsonElement element) => element.EnumerateObject().Select(p => p.Name);

    [Fact]
    public void The_terminal_tells_the_story_the_thread_the_guilty_driver_and_how_to_see_it_again()
    {
        var story = Story(Outcome.Zombie, Tale.Zombie().Evidence);

        story.Should().Contain("0.000000 s  victim (pid 412) calls DeviceIoControl(h, 0x222008)")
            .And.Contain("0.001000 s  IoCancelIrp(0xffff800000102000) from nt!IopCancelAlertedRequest: no cancel routine\n")
            .And.Contain("600.001000 s")
            .And.Contain("nt!IopCancelAlertedRequest+0x6d")
            .And.Contain("guilty.sys")
            .And.Contain("PASS")
            .And.Contain("results/2026-11-22T084312-hang-irp-emulated")
            .And.Contain("driverfault run hang-irp --seed 7")
            .And.NotContain("\u001b");
        story.IndexOf("TerminateProcess", StringComparison.Ordinal).Should().BeLessThan(story.IndexOf("IoCancelIrp", StringComparison.Ordinal));
    }

    [Fact]
    public void What_a_trace_and_a_log_tell_fits_and_is_only_text()
    {
        const string Hostile = "<script>\u001b[31m]]>\u202e\r\n&";
        TracedFact[] facts = [new("nt!IopCleanupProcessResources is on the stack with which it switches in", true), new(Hostile, true)];
        var fate = new TracedFate(Tale.VictimPid, Hostile, TimeSpan.FromSeconds(3), null, null, Answer.Proven, Hold.Rundown, "nt!IopCleanupProcessResources", Hostile, TimeSpan.FromSeconds(20), $"{Hostile} kept it.", facts, null, [], []);
        var tale = Tale.Zombie().Add(new EventTraceSeen("trace.etl", [fate], [], []), Sources.Etw).Add(new EventLogSeen("System", [new LoggedEvent(Hostile, 54, Hostile)]), Sources.EventLog);
        IReadOnlyList<Observation> evidence = [.. tale.Evidence.Where(o => o is not KernelMemorySeen)];
        var told = Story(Outcome.Zombie, evidence);

        Judge.Of(Tale.Run(Outcome.Zombie), evidence).Verdict.Should().Be(Verdict.Pass);
        told.Split('\n').Should().OnlyContain(line => line.Length <= 100);
        told.Should().Contain("which it switches in\n                    [etw #").And.NotContainAny("\u001b", "\u202e", "\r");
        Html(evidence).Should().NotContainAny("<script", "\u001b", "\u202e");
    }

    [Fact]
    public void The_story_fits_into_100_columns()
    {
        foreach (var tale in new[] { Tale.Zombie(), Tale.Sound() })
        {
            var told = Story(Outcome.Ended, tale.Add(new DebugPrinted(string.Join(' ', Enumerable.Repeat("word", 80)))).Evidence);
            told.Split('\n').Should().OnlyContain(l => l.Length <= 100);
        }
    }

    [Fact]
    public void Of_a_process_that_calls_from_several_threads_the_story_says_which()
    {
        var told = Story(Outcome.Zombie, Tale.Pending().Add(new CallEntered("victim", Tale.VictimPid, 420, "CloseHandle(h)", null)).Evidence);

        told.Should().Contain("victim (pid 412, tid 420) calls CloseHandle(h)").And.Contain("victim (pid 412, tid 416) calls DeviceIoControl(h, 0x222008)");
    }

    [Fact]
    public void A_victim_that_went_at_last_is_shown_as_it_was_while_it_stayed()
    {
        var evidence = Tale.Pending().Killed().Cancelled(null).Seen("hung", Tale.Stuck()).LaterMs(1).Completed(NtStatus.Success).Ended().SeenGone("settled").Evidence;

        Story(Outcome.Ended, evidence).Should().Contain("What a kernel debugger shows at 'hung'").And.Contain("nt!IopCancelAlertedRequest+0x6d");
        Story(Outcome.Ended, Tale.Sound().Evidence).Should().Contain("What a kernel debugger shows at 'settled'");
    }

    [Theory]
    [InlineData("read", "read of 16 bytes at 0x40")]
    [InlineData("write", "write of 3 bytes at 0x40")]
    [InlineData("create", @"create \file")]
    [InlineData("control", "ioctl 0x222008")]
    public void The_heading_says_what_the_request_is(string kind, string said)
    {
        var run = Tale.Run(Outcome.Zombie);
        Act act = kind switch
        {
            "read" => new ReadFile("h", "request", 16, 0x40),
            "write" => new WriteFile("h", "request", [1, 2, 3], 0x40),
            "create" => new OpenDevice("h", File: @"\file", Request: "request"),
            _ => new DeviceControl("h", "request", Tale.Ioctl, [], 0),
        };
        using var story = new StringWriter();

        ConsoleStory.Write(story, run with { Story = run.Story with { Processes = [new ClientProcess("victim", [new ClientThread("main", [act])])] } }, [], Judge.Of(run, []), "x", color: false);

        story.ToString().Should().StartWith("hang-irp  on target emulated: guilty.sys, \\Device\\Guilty, " + said);
    }

    [Fact]
    public void Colour_is_only_colour()
    {
        var evidence = Tale.Zombie().Evidence;
        var plain = System.Text.RegularExpressions.Regex.Replace(Story(Outcome.Zombie, evidence, color: true), "\u001b\\[[0-9;]*m", "");

        plain.Should().Be(Story(Outcome.Zombie, evidence));
        Story(Outcome.Zombie, evidence, color: true).Should().Contain("\u001b[1;32mPASS");
    }

    [Fact]
    public void What_a_driver_prints_cannot_command_the_terminal()
    {
        Story(Outcome.Ended, Tale.Sound().Add(new DebugPrinted("a\u001b]0;title\u0007\u202Eb\r\nc\uD800")).Evidence)
            .Should().Contain(@"DbgPrint: a\x1b]0;title\x07\u202eb").And.NotContainAny("\u001b", "\u0007", "\u202E", "\r");
    }

    [Fact]
    public void A_run_without_evidence_is_told_as_what_it_is() =>
        Story(Outcome.Zombie, []).Should().Contain("INCONCLUSIVE").And.Contain("driverfault run hang-irp --seed 7");

    [Fact]
    public void A_very_long_timeline_says_what_it_leaves_out()
    {
        var tale = Tale.Pending();
        for (var i = 0; i < 2_000; i++) tale.Add(new DebugPrinted($"line {i}"));

        Story(Outcome.Zombie, tale.Evidence).Should().Contain("more observations in evidence.jsonl").And.Contain("line 1999").And.NotContain("line 1000");
    }

    [Fact]
    public void A_managed_stack_is_told_without_parameters_and_without_repeating_a_frame()
    {
        string[] frames = ["A.Send(Int32, X) in A.cs:3", "A.Send(Int64) in A.cs:3", "B.Run()", .. Enumerable.Range(1, 9).Select(i => $"C.M{i}(Int32)")];

        Story(Outcome.Zombie, [new ManagedStackSeen("victim", 412, 416, frames) { N = 1 }]).ReplaceLineEndings(" ").Replace("  ", "", StringComparison.Ordinal)
            .Should().Contain("is in managed code: A.Send in A.cs:3 <- B.Run <- C.M1 <-").And.Contain("<- 3 more").And.NotContain("Int32");
    }

    [Fact]
    public void What_was_not_observed_is_told_with_its_reason() =>
        Story(Outcome.Zombie, [new NotObserved("the event trace", "no right") { N = 1, Source = Sources.Etw }]).Should().Contain("the event trace: not observed: no right");

    [Fact]
    public void Every_kind_of_observation_has_words_of_its_own()
    {
        foreach (var kind in Evidence.Specimen.Kinds(typeof(Observation)))
            Story(Outcome.Zombie, [(Observation)Evidence.Specimen.Of(kind) with { N = 1 }]).Should().NotContain($"{kind.Name} (");
    }

    [Fact]
    public void The_JSON_line_holds_exactly_the_fields_that_scripts_rely_on()
    {
        var run = Tale.Run(Outcome.Ended);
        var evidence = Tale.Zombie().Evidence;
        var line = JsonLine.Of(run, evidence, Judge.Of(run, evidence), "/results/x");

        line.Should().NotContain("\n");
        using var json = JsonDocument.Parse(line);
        var root = json.RootElement;
        Names(root).Should().Equal("scenario", "target", "verdict", "because", "outcome", "after", "findings", "process", "thread", "threads", "irps", "runFolder", "replay");
        Names(root.GetProperty("findings")[0]).Should().Equal("id", "title", "code", "parameters", "driver", "says");
        Names(root.GetProperty("process")).Should().Equal("pid", "image", "listed", "signalled", "terminateStatus");
        Names(root.GetProperty("thread")).Should().Equal("tid", "state", "waitReason", "waitMode", "alertable", "waitObject", "kernelStack");
        Names(root.GetProperty("irps")[0]).Should().Equal("address", "list", "cancel", "cancelRoutine", "major", "ioctl", "device", "driver", "stackLocation");

        root.GetProperty("verdict").GetString().Should().Be("fail");
        root.GetProperty("outcome").GetString().Should().Be("zombie");
        root.GetProperty("after").ValueKind.Should().Be(JsonValueKind.Null);
        root.GetProperty("process").GetRawText().Should().Be("""{"pid":412,"image":"victim.exe","listed":true,"signalled":false,"terminateStatus":"0x00000000"}""");
        var thread = root.GetProperty("thread");
        thread.GetProperty("state").GetString().Should().Be("Waiting");
        thread.GetProperty("waitReason").GetString().Should().Be("Executive");
        thread.GetProperty("waitMode").GetString().Should().Be("KernelMode");
        thread.GetProperty("kernelStack")[2].GetString().Should().Be("nt!IopCancelAlertedRequest+0x6d");
        thread.GetProperty("waitObject").GetProperty("address").GetString().Should().StartWith("0xffff");
        root.GetProperty("threads").GetArrayLength().Should().Be(1);
        root.GetProperty("irps")[0].GetRawText().Should().Be(
            """{"address":"0xffff800000102000","list":"thread","cancel":true,"cancelRoutine":null,"major":"IRP_MJ_DEVICE_CONTROL","ioctl":"0x222008","device":"\\Device\\Guilty","driver":"guilty.sys","stackLocation":1}""");
        root.GetProperty("runFolder").GetString().Should().Be("/results/x");
    }

    [Fact]
    public void The_JSON_line_of_a_run_that_stopped_early_tells_nothing_of_before_as_if_it_were_now()
    {
        var run = Tale.Run(Outcome.Ended);
        run = run with
        {
            Story = run.Story with
            {
                Processes = [run.Story.Processes[0], new ClientProcess(Harness.Core.Stories.Story.Controller, [new ClientThread("main", [new Observe("waiting"), .. run.Story.Processes[1].Threads[0].Acts])])],
            },
        };
        var evidence = Tale.Pending().Seen("waiting", Tale.Stuck()).Killed().Cancelled(null).Add(new RunStopped("the limit was reached")).Evidence;

        using var json = JsonDocument.Parse(JsonLine.Of(run, evidence, Judge.Of(run, evidence), "/results/x"));

        var root = json.RootElement;
        root.GetProperty("verdict").GetString().Should().Be("inconclusive");
        root.GetProperty("because").GetString().Should().Contain("the limit was reached");
        root.GetProperty("outcome").ValueKind.Should().Be(JsonValueKind.Null);
        root.GetProperty("thread").ValueKind.Should().Be(JsonValueKind.Null);
        root.GetProperty("threads").GetArrayLength().Should().Be(0);
        root.GetProperty("irps").GetArrayLength().Should().Be(0);
        root.GetProperty("process").GetRawText().Should().Be("""{"pid":412,"image":"victim.exe","listed":null,"signalled":null,"terminateStatus":"0x00000000"}""");
    }

    [Fact]
    public void The_JSON_line_of_a_sound_run_has_no_thread_and_tells_milliseconds()
    {
        var run = Tale.Run(Outcome.Ended);
        var evidence = Tale.Pending().Killed().Cancelled(null).LaterMs(50).Completed(NtStatus.Success).Ended().SeenGone("settled").Evidence;
        using var json = JsonDocument.Parse(JsonLine.Of(run, evidence, Judge.Of(run, evidence), "/r"));

        json.RootElement.GetProperty("verdict").GetString().Should().Be("pass");
        json.RootElement.GetProperty("outcome").GetString().Should().Be("ended");
        json.RootElement.GetProperty("after").GetRawText().Should().Be("50");
        json.RootElement.GetProperty("thread").ValueKind.Should().Be(JsonValueKind.Null);
        json.RootElement.GetProperty("threads").GetArrayLength().Should().Be(0);
        json.RootElement.GetProperty("process").GetProperty("signalled").GetBoolean().Should().BeTrue();
    }

    [Fact]
    public void The_JSON_line_of_a_bug_check_and_of_nothing_at_all_are_whole_too()
    {
        var run = Tale.Run(Outcome.Ended);
        IReadOnlyList<Observation> stopped = Tale.Pending().Killed().Add(new BugChecked(0x11B, [Tale.Irp], "guilty.sys+0x1", [])).Evidence;
        using var bugCheck = JsonDocument.Parse(JsonLine.Of(run, stopped, Judge.Of(run, stopped), "/r"));
        var finding = bugCheck.RootElement.GetProperty("findings")[0];
        finding.GetProperty("code").GetString().Should().Be("0x11b");
        finding.GetProperty("parameters")[0].GetString().Should().Be("0xffff800000102000");
        bugCheck.RootElement.GetProperty("outcome").ValueKind.Should().Be(JsonValueKind.Null);

        using var nothing = JsonDocument.Parse(JsonLine.Of(run, [], Judge.Of(run, []), "/r"));
        nothing.RootElement.GetProperty("process").ValueKind.Should().Be(JsonValueKind.Null);
        nothing.RootElement.GetProperty("verdict").GetString().Should().Be("inconclusive");
    }

    [Fact]
    public void A_process_that_nobody_terminated_has_no_thread_that_keeps_it_alive()
    {
        var run = Tale.Run([new OutcomePromise("settled", Outcome.Ended)], kills: false);
        var evidence = Tale.Pending().Cancelled(null).Seen("settled", Tale.Stuck() with { WaitMode = ProcessorMode.UserMode }).Evidence;
        using var json = JsonDocument.Parse(JsonLine.Of(run, evidence, Judge.Of(run, evidence), "/r"));

        json.RootElement.GetProperty("thread").ValueKind.Should().Be(JsonValueKind.Null);
        json.RootElement.GetProperty("threads").GetArrayLength().Should().Be(1);
    }

    [Fact]
    public void A_look_from_before_the_kill_names_no_thread_that_keeps_the_victim_alive()
    {
        var run = Tale.Run(Outcome.Ended);
        var evidence = Tale.Pending().Seen("waiting", Tale.Stuck() with { WaitMode = ProcessorMode.UserMode }).Killed()
            .Add(new BugChecked(0x44, [Tale.Irp], "guilty.sys+0x1", [])).Evidence;
        using var json = JsonDocument.Parse(JsonLine.Of(run, evidence, Judge.Of(run, evidence), "/r"));

        json.RootElement.GetProperty("thread").ValueKind.Should().Be(JsonValueKind.Null);
    }

    [Fact]
    public void The_page_stands_alone_and_shows_timeline_debugger_facts_and_findings()
    {
        var page = Html(Tale.Zombie().Evidence);

        page.Should().StartWith("<!DOCTYPE html>").And.Contain("prefers-color-scheme").And.Contain("zombie-no-cancel-routine")
            .And.Contain("nt!IopCancelAlertedRequest+0x6d").And.Contain("kernel-memory #").And.Contain("600.001000 s")
            .And.NotContainAny("<script", "http:", "https:", "src=", "url(", "@import", "<link");
        // Everything after the doctype is well-formed XML too, once the two void elements are closed.
        var body = page[page.IndexOf("<html", StringComparison.Ordinal)..].Replace("<br>", "<br/>");
        body = System.Text.RegularExpressions.Regex.Replace(body, "<meta([^>]*)>", "<meta$1/>");
        XDocument.Parse(body).Descendants("h2").Select(h => h.Value.Split(" at ")[0]).Should().Equal("Findings", "What a kernel debugger shows", "Facts", "Timeline", "Run");
    }

    [Fact]
    public void The_page_cannot_be_broken_by_what_a_driver_prints()
    {
        var page = Html(Tale.Zombie().Add(new DebugPrinted("<script>alert(1)</script>\u0000\u001b&\"'")).Evidence);

        page.Should().Contain("&lt;script&gt;").And.NotContainAny("<script", "\u0000", "\u001b");
    }
}
