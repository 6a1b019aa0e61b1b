using System.Text.Json;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Core.Verdicts;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Cli;

public sealed class RunCommandTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Tells_the_story_and_keeps_it_in_a_run_folder()
    {
        var run = Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp");

        run.Code.Should().Be(ExitCode.Pass);
        run.Error.Should().BeEmpty();
        run.Out.Should().ContainAll("WAIT: (Executive) KernelMode Non-Alertable", "IopCancelAlertedRequest", "myfault.sys", "PASS", _scratch["2026-11-22T084312-hang-irp-emulated"]);
        Directory.EnumerateFiles(_scratch["2026-11-22T084312-hang-irp-emulated"]).Select(Path.GetFileName)
            .Should().BeEquivalentTo("run.json", "evidence.jsonl", "verdict.json", "junit.xml", "report.html");
    }

    [Theory]
    [InlineData(Outcome.Zombie, null, ExitCode.Pass)]
    [InlineData(Outcome.Zombie, "ended", ExitCode.Fail)]
    [InlineData(Outcome.Ended, null, ExitCode.Fail)]
    [InlineData(Outcome.Ended, "ended", ExitCode.Pass)]
    public void The_exit_code_says_whether_it_came_as_expected(Outcome outcome, string? expect, ExitCode code) =>
        Run(ScriptedTarget.Victim(outcome), [.. new[] { "hang-irp" }, .. expect is null ? Array.Empty<string>() : ["--expect", expect]]).Code.Should().Be(code);

    [Fact]
    public void Silence_is_inconclusive() => Run(new ScriptedTarget((_, _, _) => { }), "hang-irp").Code.Should().Be(ExitCode.Inconclusive);

    [Fact]
    public void Json_is_one_object_for_each_run_and_nothing_else()
    {
        var run = Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "hang-irp", "--format", "json");

        run.Lines.Should().HaveCount(2);
        var objects = run.Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
        objects.Select(json => json.GetProperty("verdict").GetString()).Should().Equal("pass", "pass");
        objects.Select(json => json.GetProperty("outcome").GetString()).Should().Equal("zombie", "zombie");
        objects.Select(json => json.GetProperty("runFolder").GetString()).Should().Equal(_scratch["2026-11-22T084312-hang-irp-emulated"], _scratch["2026-11-22T084312-hang-irp-emulated-2"]);
        objects[0].GetProperty("thread").GetProperty("kernelStack")[2].GetString().Should().Be("nt!IopCancelAlertedRequest+0x6d");
        objects[0].EnumerateObject().Select(field => field.Name).Should().BeEquivalentTo(
            "scenario", "target", "verdict", "because", "outcome", "after", "findings", "process", "thread", "threads", "irps", "runFolder", "replay");
    }

    [Fact]
    public void Without_a_scenario_all_are_run_one_after_the_other()
    {
        var target = ScriptedTarget.Victim(Outcome.Zombie);

        var run = Run(target);

        target.Played.Should().HaveCount(ScenarioCatalogue.All.Count);
        run.Lines[^ScenarioCatalogue.All.Count..].Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1])
            .Should().Equal(ScenarioCatalogue.All.Select(scenario => scenario.Name), "the summary has one line for each");
        Directory.EnumerateDirectories(_scratch.Folder).Should().HaveCount(ScenarioCatalogue.All.Count);
    }

    [Fact]
    public void A_failure_of_the_harness_is_confessed_and_kept()
    {
        var run = Run(new ScriptedTarget((_, _, _) => throw new InvalidOperationException("the third slot\nis empty")), "hang-irp", "--format", "json");

        run.Code.Should().Be(ExitCode.HarnessFailure);
        run.Error.Should().Be("driverfault: InvalidOperationException: the third slot (this is a defect of the harness; --verbose tells more)\n");
        JsonDocument.Parse(run.Lines.Should().ContainSingle().Which).RootElement.GetProperty("verdict").GetString().Should().Be("error");
        File.ReadAllText(_scratch["2026-11-22T084312-hang-irp-emulated", "verdict.json"]).Should().Contain("the third slot");
    }

    [Fact]
    public void Verbose_tells_where_the_harness_failed() =>
        Run(new ScriptedTarget((_, _, _) => throw new InvalidOperationException("x")), "hang-irp", "--verbose").Error.Should().Contain("   at ");

    [Theory]
    [InlineData(ExitCode.HarnessFailure, ExitCode.Fail, ExitCode.HarnessFailure)]
    [InlineData(ExitCode.Fail, ExitCode.Inconclusive, ExitCode.Fail)]
    [InlineData(ExitCode.Pass, ExitCode.Inconclusive, ExitCode.Inconclusive)]
    [InlineData(ExitCode.Pass, ExitCode.Pass, ExitCode.Pass)]
    public void Of_several_runs_the_worst_counts(ExitCode one, ExitCode other, ExitCode worst)
    {
        ExitCodes.Worst(one, other).Should().Be(worst);
        ExitCodes.Worst(other, one).Should().Be(worst);
    }

    [Theory]
    [InlineData("hang-irp", 0x222008, Outcome.Zombie, 0)]
    [InlineData("hang-irp --ioctl pend", 0x222004, Outcome.Ended, 0)]
    [InlineData("hang-irp --ioctl PEND --expect zombie", 0x222004, Outcome.Zombie, 0)]
    [InlineData("hang-irp --ioctl query", 0x222010, Outcome.Ended, 24)]
    [InlineData("hang-irp --ioctl query --output-length 8", 0x222010, Outcome.Ended, 8)]
    [InlineData("hang-irp --ioctl 0x80002000", 0x80002000, Outcome.Ended, 0)]
    [InlineData("pend-then-terminate", 0x222004, Outcome.Ended, 0)]
    [InlineData("pend-then-terminate --ioctl hang-irp", 0x222008, Outcome.Ended, 0)]
    public void What_is_expected_is_what_is_known_of_the_request(string line, uint ioctl, Outcome expected, int outputLength)
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), line.Split(' '));

        var choices = Saved().Run.Choices;
        choices.Ioctl.Should().Be(ioctl);
        choices.Expected.Should().Be(expected);
        choices.OutputLength.Should().Be(outputLength);
        choices.Settle.Should().Be(TimeSpan.FromMinutes(10));
    }

    [Fact]
    public void A_driver_of_the_user_s_own_is_expected_to_be_sound()
    {
        var target = ScriptedTarget.Victim(Outcome.Zombie);

        var run = Run(target, "hang-irp", "--driver", _scratch.File("mine.sys", 7, 8, 9), "--device", @"\\.\Mine", "--ioctl", "0x222008", "--input", "0102", "--output-length", "0x10", "--settle", "15s", "--seed", "0x2a", "--processors", "2");

        run.Code.Should().Be(ExitCode.Fail);
        var (story, driver, conditions) = target.Played.Should().ContainSingle().Which;
        (driver.FileName, driver.Device, conditions).Should().Be(("mine.sys", @"\??\Mine", new Conditions(42, 2)));
        driver.Image.Should().Equal(7, 8, 9);
        story.Processes.SelectMany(p => p.Threads).SelectMany(t => t.Acts).OfType<DeviceControl>().Should().ContainSingle()
            .Which.Should().BeEquivalentTo(new DeviceControl("h", "request", 0x222008, [1, 2], 16));
        Saved().Run.Replay.Should().StartWith("driverfault run hang-irp --driver ").And.ContainAll("mine.sys", "--ioctl 0x222008", "--input 0102", "--output-length 16", "--settle 15s", "--seed 42");
    }

    [Fact]
    public void Names_of_myfault_s_requests_may_be_said_to_another_driver()
    {
        Run(ScriptedTarget.Victim(Outcome.Ended), "hang-irp", "--driver", _scratch.File("mine.sys", 7, 8, 9), "--device", "Mine", "--ioctl", "pend");

        Saved().Run.Choices.Ioctl.Should().Be(MyFault.Pend.Code);
        Saved().Run.Replay.Should().Contain(" --ioctl 0x222004 ", "it is the user's choice, not a default");
    }

    [Fact]
    public void Another_driver_is_sent_requests_that_nobody_chose_only_by_a_scenario_that_was_named()
    {
        string[] driver = ["--driver", _scratch.File("mine.sys", 7, 8, 9), "--device", "Mine", "--ioctl", "0x222000"];
        var all = ScriptedTarget.Victim(Outcome.Ended);
        var named = ScriptedTarget.Victim(Outcome.Ended);

        var run = CommandRun.On(all, ["run", .. driver, "--results", _scratch["all"]]);
        CommandRun.On(named, ["run", "hang-irp-release", .. driver, "--results", _scratch["named"]]).Error.Should().BeEmpty();

        string[] leftOut = ["hang-irp-release", "terminate-then-release", "orphan-then-complete"];
        run.Error.Should().Be(string.Concat(leftOut.Select(name => $"driverfault: {name} is left out: it sends 0x22200c too, a request of myfault.sys's; name the scenario to run it all the same\n")));
        all.Played.Should().HaveCount(ScenarioCatalogue.All.Count - leftOut.Length);
        all.Played.SelectMany(play => Codes(play.Story)).Should().AllBeEquivalentTo(0x222000);
        named.Played.SelectMany(play => Codes(play.Story)).Should().Equal(0x222000, 0x22200C);

        static IEnumerable<uint> Codes(Story story) => story.Processes.SelectMany(p => p.Threads).SelectMany(t => t.Acts).OfType<DeviceControl>().Select(act => act.Code);
    }

    [Theory]
    [InlineData("mine.sys")]
    [InlineData("myfault.sys")]
    public void Another_build_of_myfault_needs_no_more_than_its_file(string name)
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "--driver", _scratch.File(name, name == MyFault.FileName ? [1, 2, 3] : MyFault.Image())).Code.Should().Be(ExitCode.Pass);

        (Saved().Run.Driver.Device, Saved().Run.Choices.Ioctl).Should().Be((MyFault.Device, MyFault.HangIrp.Code));
    }

    [Fact]
    public void The_replay_line_of_a_plain_run_is_short()
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp");

        Saved().Run.Replay.Should().Be("driverfault run hang-irp --seed 1");
    }

    [Fact]
    public void Judge_says_the_same_from_the_folder_alone()
    {
        var run = Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "--expect", "ended", "--format", "json");
        var folder = Saved().FullPath;
        var verdict = File.ReadAllBytes(Path.Combine(folder, RunFolder.VerdictFile));
        foreach (var file in new[] { RunFolder.VerdictFile, RunFolder.JUnitFile, RunFolder.ReportFile }) File.Delete(Path.Combine(folder, file));
        var elsewhere = _scratch["elsewhere"];
        Directory.Move(folder, elsewhere);

        var judged = CommandRun.On(new ScriptedTarget((_, _, _) => throw new InvalidOperationException("judging plays nothing")), "judge", elsewhere, "--format", "json");

        judged.Code.Should().Be(ExitCode.Fail);
        judged.Error.Should().BeEmpty();
        judged.Out.Replace("elsewhere", Path.GetFileName(folder), StringComparison.Ordinal).Should().Be(run.Out);
        File.ReadAllBytes(Path.Combine(elsewhere, RunFolder.VerdictFile)).Should().Equal(verdict);
    }

    [Fact]
    public void Judge_follows_the_evidence_and_not_the_old_verdict()
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp");
        var folder = Saved().FullPath;
        Rewrite(folder, lines => lines.TakeWhile(line => !line.Contains("kernelMemory", StringComparison.Ordinal)));

        CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "judge", folder).Code.Should().Be(ExitCode.Inconclusive);
        File.ReadAllText(Path.Combine(folder, RunFolder.VerdictFile)).Should().Contain("inconclusive");
    }

    [Fact]
    public void Judge_refuses_evidence_that_somebody_took_a_line_out_of()
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp");
        var folder = Saved().FullPath;
        var verdict = File.ReadAllText(Path.Combine(folder, RunFolder.VerdictFile));
        Rewrite(folder, lines => lines.Where((_, index) => index != 3));

        var judged = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "judge", folder);

        judged.Should().Be(new CommandRun(ExitCode.Unusable, "", $"driverfault: {folder}: evidence.jsonl, line 4: observation 4 is missing before it\n"));
        File.ReadAllText(Path.Combine(folder, RunFolder.VerdictFile)).Should().Be(verdict, "nothing was judged");
    }

    [Theory]
    [InlineData("{}", "it is not the description of a run")]
    [InlineData("not JSON", "it is not the description of a run")]
    [InlineData("{\"scenario\":7}", "it is not the description of a run ($.scenario)")]
    public void Judge_says_in_plain_words_what_is_wrong_with_run_json(string content, string says)
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp");
        var folder = Saved().FullPath;
        File.WriteAllText(Path.Combine(folder, RunFolder.RunFile), content);

        CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "judge", folder)
            .Should().Be(new CommandRun(ExitCode.Unusable, "", $"driverfault: {folder}: run.json cannot be read: {says}\n"));
    }

    [Fact]
    public void Replay_plays_the_same_again_and_compares()
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "--driver", _scratch.File("mine.sys", 7, 8, 9), "--device", "Mine", "--ioctl", "0x222008", "--expect", "zombie", "--seed", "7");
        var first = Saved();
        var target = ScriptedTarget.Victim(Outcome.Zombie);

        var replayed = CommandRun.On(target, "replay", first.FullPath, "--results", _scratch["again"]);

        replayed.Code.Should().Be(ExitCode.Pass);
        replayed.Error.Should().Contain("the evidence is the same").And.Contain("byte for byte");
        target.Played.Should().ContainSingle().Which.Should().BeEquivalentTo((first.Run.Story, new { FileName = "mine.sys", Device = @"\Device\Mine" }, new Conditions(7, 1)), options => options.RespectingRuntimeTypes().WithStrictOrdering());
        Directory.EnumerateDirectories(_scratch["again"]).Should().ContainSingle();
    }

    [Fact]
    public void Replay_tells_where_the_evidence_differs()
    {
        Run(ScriptedTarget.Victim(Outcome.Ended, TimeSpan.FromMilliseconds(50)), "hang-irp", "--expect", "ended");

        var replayed = CommandRun.On(ScriptedTarget.Victim(Outcome.Ended, TimeSpan.FromMilliseconds(51)), "replay", Saved().FullPath, "--results", _scratch["again"]);

        replayed.Error.Should().Contain("the evidence differs").And.Contain("from line 6 on");
    }

    [Fact]
    public void Replay_refuses_a_driver_that_has_changed()
    {
        Run(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "--driver", _scratch.File("mine.sys", 7, 8, 9), "--device", "Mine", "--ioctl", "1");
        var folder = Saved().FullPath;
        _scratch.File("mine.sys", 7, 8, 10);

        var replayed = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "replay", folder, "--results", _scratch["again"]);

        replayed.Code.Should().Be(ExitCode.Unusable);
        replayed.Error.Should().Contain("is not the driver of that run any more");
    }

    private static void Rewrite(string folder, Func<string[], IEnumerable<string>> change)
    {
        var evidence = Path.Combine(folder, RunFolder.EvidenceFileName);
        File.WriteAllLines(evidence, change(File.ReadAllLines(evidence)));
    }

    private CommandRun Run(Harness.Core.Targets.ITarget target, params string[] args) => CommandRun.On(target, ["run", .. args, "--results", _scratch.Folder]);

    private RunFolder Saved() => RunFolder.Open(Directory.EnumerateDirectories(_scratch.Folder).Should().ContainSingle().Which);
}
