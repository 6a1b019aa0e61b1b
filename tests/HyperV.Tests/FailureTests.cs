using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Threading;
using FluentAssertions;
using Harness.Cli.Arguments;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Core.Verdicts;
using Harness.Emulation;
using Harness.HyperV;
using Harness.Scenarios;
using Xunit;

namespace HyperV.Tests;

/// <summary>Whatever goes wrong between host and guest ends in a verdict or in one clear line, after a number of tries that is known, and leaves nothing behind.</summary>
public sealed class FailureTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("driverfault-child-").FullName;

    private string Child => Path.Combine(_folder, "pid");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("noHyperV", "the Hyper-V role is not installed")]
    [InlineData("notElevated", "this needs an elevated PowerShell")]
    [InlineData("noSuchVm", "there is no virtual machine 'TestVm'")]
    [InlineData("noCheckpoint", "'TestVm' has no checkpoint 'clean'")]
    [InlineData("noCredential", "there is no credential for 'TestVm'")]
    [InlineData("wrongCredential", "the guest refuses the credential")]
    [InlineData("noIntegrationServices", "the guest's integration services do not answer")]
    public void What_only_the_user_can_help_against_is_one_line_and_is_not_tried_again(string error, string says)
    {
        using var host = new Host().Fails("Check", error, says);

        host.Invoking(h => h.Play()).Should().Throw<UnusableDriverException>().WithMessage($"target 'hyperv': {says}");

        host.Asked.Should().Equal("Check");
        host.LeftOvers.Should().BeEmpty();
    }

    [Fact]
    public void A_copy_that_fails_twice_succeeds_the_third_time()
    {
        using var host = new Host().MadeReady().Fails("Copy", "failed", "the session broke", again: true).Fails("Copy", "failed", "the session broke", again: true).Tells("hang-irp");

        host.Play().Judgement.Verdict.Should().Be(Verdict.Pass);

        host.Asked.Count(step => step == "Copy").Should().Be(4, "one is of the harness");
    }

    [Fact]
    public void A_copy_that_always_fails_is_given_up_and_the_run_is_inconclusive()
    {
        using var host = new Host().MadeReady();
        for (var tries = 0; tries <= Host.Short.Tries; tries++) host.Fails("Copy", "failed", "the guest's disk is full", again: true);

        Inconclusive(host).Should().Contain("the guest's disk is full");
        host.Refused.Should().BeEmpty("no further try is made");
    }

    [Fact]
    public void What_will_not_get_better_is_not_tried_again()
    {
        using var host = new Host().MadeReady().Fails("Copy", "failed", "the path is too long");

        Inconclusive(host).Should().Contain("the path is too long");
        host.Asked[^1].Should().Be("Copy");
        host.Refused.Should().BeEmpty();
    }

    [Fact]
    public void A_guest_that_stops_mid_run_is_told_by_its_dump()
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "guestGone", "the connection to the guest was lost").Says("Connect", new HostAnswer(true, Boot: "2", Dump: true));
        host.Dumps("Collect", Dump(host, "cancel-lock-leaked", "CancelLockLeaked"));

        var run = host.Play();

        var stopped = run.Evidence.OfType<BugChecked>().Single();
        stopped.Code.Should().Be(BugCheck.DriverReturnedHoldingCancelLock.Code);
        stopped.Parameters.Should().HaveCount(4);
        run.Judgement.Verdict.Should().Be(Verdict.Fail);
        run.Judgement.Findings.Should().ContainSingle().Which.Should().Match<Finding>(f => f.Id == "bug-check-0x11b" && f.Driver == "cancel-lock-leaked.sys", "a parameter of that bug check is in the driver");
        File.Exists(host.At("kept", "MEMORY.DMP")).Should().BeTrue();
        host.Conversation[^1].GetProperty("arguments").GetProperty("Source").GetString().Should().Be(@"C:\Windows\MEMORY.DMP");
        host.LeftOvers.Should().BeEmpty();
    }

    [Fact]
    public void After_a_guest_was_lost_the_next_story_begins_at_the_checkpoint()
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "guestGone", "lost").Says("Connect", new HostAnswer(true, Boot: "2")).MadeReady("3").Tells("hang-irp");

        Inconclusive(host).Should().Contain("the guest was lost (lost) and restarted without leaving a kernel dump");
        host.Play().Judgement.Verdict.Should().Be(Verdict.Pass);
        host.Refused.Should().BeEmpty();
    }

    [Fact]
    public void A_guest_that_does_not_come_back_is_inconclusive_within_its_tries()
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "guestGone", "lost");
        for (var tries = 0; tries <= Host.Short.Tries; tries++) host.Fails("Connect", "timeout", "the guest does not answer", again: true);

        Inconclusive(host).Should().Contain("did not come back: the guest does not answer");
        host.Refused.Should().BeEmpty();
    }

    [Fact]
    public void A_connection_that_breaks_while_the_guest_goes_on_loses_nothing()
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "guestGone", "the session broke").Says("Connect", new HostAnswer(true, Boot: "1")).Collects("hang-irp");

        host.Play().Judgement.Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void A_guest_that_hangs_leaves_a_live_dump_first()
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "timeout", "the run did not end within 20 s");
        host.Dumps("LiveDump", Dump(host, "myfault", "MyFault", MyFault.HangIrp.Code));

        var run = host.Play();

        run.Judgement.Verdict.Should().Be(Verdict.Inconclusive);
        run.Judgement.Because.Should().Contain("the guest did not answer any more").And.Contain("Its dump shows: 'victim.exe'").And.Contain("myfault.sys holds 1 IRP without a cancel routine");
        run.Evidence.OfType<KernelMemorySeen>().Single().Processes.Should().Contain(process => process.Image == "victim.exe");
        File.Exists(host.At("kept", "LIVE.DMP")).Should().BeTrue();
        host.Asked.Should().NotContain("Interrupt");
    }

    [Fact]
    public void A_guest_that_hangs_altogether_is_interrupted_and_its_dump_is_no_finding_of_the_driver()
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "timeout", "the run did not end").Fails("LiveDump", "guestGone", "the guest does not answer", again: true).Fine("Interrupt")
            .Says("Connect", new HostAnswer(true, Boot: "2", Dump: true));
        host.Dumps("Collect", Dump(host, "myfault", "MyFault", MyFault.HangIrp.Code));

        var run = host.Play();

        run.Judgement.Verdict.Should().Be(Verdict.Inconclusive);
        run.Judgement.Because.Should().Contain("was stopped by an interrupt").And.Contain("myfault.sys holds 1 IRP");
        run.Evidence.Should().NotContain(o => o is BugChecked);
        host.Asked[^4..].Should().Equal("LiveDump", "Interrupt", "Connect", "Collect");
    }

    [Theory]
    [InlineData("PAGEDU64 and not much more")]
    [InlineData("MZ")]
    public void A_dump_that_cannot_be_read_is_said(string content)
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "guestGone", "lost").Says("Connect", new HostAnswer(true, Boot: "2", Dump: true));
        File.WriteAllText(host.At("broken.dmp"), content);
        host.Dumps("Collect", host.At("broken.dmp"));

        Inconclusive(host).Should().Contain("its kernel dump cannot be read: it ");
    }

    [Fact]
    public void A_dump_that_cannot_be_fetched_is_said()
    {
        using var host = new Host().MadeReady().Fine("Copy").Fails("Run", "guestGone", "lost").Says("Connect", new HostAnswer(true, Boot: "2", Dump: true)).Fails("Collect", "failed", "the host's disk is full");

        Inconclusive(host).Should().Contain("which could not be fetched: the host's disk is full");
    }

    [Fact]
    public void A_guest_that_cannot_be_made_ready_twice_is_given_up_for_the_rest()
    {
        using var host = new Host();
        for (var story = 0; story < 2; story++)
        {
            host.Fine("Check").Fine("Restore").Fine("Start");
            for (var tries = 0; tries <= Host.Short.Tries; tries++) host.Fails("Connect", "timeout", "the guest does not answer", again: true);
        }

        Inconclusive(host).Should().Contain("the guest does not answer");
        Inconclusive(host).Should().Contain("the guest does not answer");
        var asked = host.Asked.Length;

        Inconclusive(host).Should().Contain("the guest could not be made ready 2 times in a row and is given up");
        host.Asked.Should().HaveCount(asked, "a dead guest is not asked any more");
        host.Refused.Should().BeEmpty();
    }

    [Theory]
    [InlineData(2, "myfault.sys is not signed", typeof(UnusableDriverException))]
    [InlineData(4, "ArgumentNullException", typeof(InvalidOperationException))]
    public void A_harness_that_fails_in_the_guest_is_not_the_driver_s_fault(int exitCode, string says, Type exception)
    {
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: exitCode, Says: says)).Collects("hang-irp");

        if (exception == typeof(UnusableDriverException)) host.Invoking(h => h.Play()).Should().Throw<UnusableDriverException>().WithMessage($"*{says}");
        else host.Play().Judgement.Should().Match<Judgement>(j => j.Verdict == Verdict.Error && j.Because.Contains(says));
    }

    [Fact]
    public void A_harness_that_refuses_without_a_word_is_told_as_such()
    {
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: 2, Says: "")).Collects("hang-irp");

        host.Invoking(h => h.Play()).Should().Throw<UnusableDriverException>().WithMessage("*cannot run it: it did not say why");
    }

    [Theory]
    [InlineData("{", "", "run.json cannot be read")]
    [InlineData(null, "{\"n\":1,", "evidence.jsonl")]
    [InlineData(null, "\0\0\0\0", "evidence.jsonl")]
    public void What_the_guest_left_half_written_is_inconclusive(string? run, string evidence, string says)
    {
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: 0));
        var whole = RunFolder.Create(host.At("guest"), DateTimeOffset.UnixEpoch, Host.Emulated("hang-irp").Description).Path;
        File.WriteAllText(host.At("run"), run ?? File.ReadAllText(Path.Combine(whole, RunFolder.RunFile)));
        File.WriteAllText(host.At("evidence"), evidence);
        host.Says("Collect", new HostAnswer(true), line => line["files"] = new JsonObject { ["a/run.json"] = host.At("run"), ["a/evidence.jsonl"] = host.At("evidence") });

        Inconclusive(host).Should().Contain("what the guest's run left cannot be read").And.Contain(says).And.NotContain(host.At("scratch"));
    }

    [Fact]
    public void What_an_earlier_run_left_in_the_guest_is_not_taken_for_this_one()
    {
        using var host = new Host().MadeReady().Tells("hang-irp");
        File.WriteAllText(host.At("old"), "");
        host.AlsoLeaves("../2020-01-01T000000-story-local/evidence.jsonl", host.At("old"));

        Inconclusive(host).Should().Contain("it is of 2 runs, and one was asked for");
    }

    [Fact]
    public void What_the_guest_leaves_is_not_taken_for_what_the_host_wrote()
    {
        using var host = new Host().MadeReady().Tells("hang-irp");
        File.WriteAllText(host.At("forged"), "{}\n");
        host.AlsoLeaves("CONVERSATION.jsonl", host.At("forged"));

        host.Play().Judgement.Verdict.Should().Be(Verdict.Pass);

        Directory.EnumerateFiles(host.At("kept")).Select(Path.GetFileName).Should().Equal("conversation.jsonl", "trace.etl");
        host.Asked.Should().HaveCount(8);
    }

    [Fact]
    public void A_script_that_says_more_than_anybody_reads_is_heard_all_the_same()
    {
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: 0), line => line["lines"] = 300_000).Collects("hang-irp");

        host.Play().Judgement.Verdict.Should().Be(Verdict.Pass);

        host.Conversation[6].GetProperty("noise").GetString()!.Length.Should().BeInRange(60_000, (1 << 16) + 1);
    }

    [Fact]
    public void A_line_that_does_not_end_is_cut()
    {
        using var host = new Host().MadeReady();
        for (var tries = 0; tries <= Host.Short.Tries; tries++) host.Says("Copy", null, line => line["endless"] = 100_000);

        Inconclusive(host).Should().Contain("a line without an end").And.Contain("…").And.Subject.Length.Should().BeLessThan(600);

        host.Conversation[^1].GetProperty("noise").GetString()!.Length.Should().BeInRange(60_000, (1 << 16) + 1);
    }

    [Fact]
    public void A_guest_that_leaves_no_evidence_is_inconclusive()
    {
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: 0)).Fine("Collect");

        Inconclusive(host).Should().Contain("the guest's run left no evidence");
    }

    [Fact]
    public void A_script_that_dies_without_an_answer_is_told_by_the_last_it_said()
    {
        using var host = new Host().MadeReady();
        for (var tries = 0; tries <= Host.Short.Tries; tries++) host.Says("Copy", null, line => { line["error"] = "Copy-Item : Access is denied"; line["exitCode"] = 1; });

        Inconclusive(host).Should().Contain("Copy ended with exit code 1 and without an answer; the last it said: Copy-Item : Access is denied");
    }

    [Theory]
    [InlineData("driverfault:")]
    [InlineData("driverfault:eyJvayI6")]
    [InlineData("driverfault:!!!!")]
    [InlineData("driverfault:bm90IGpzb24=")]
    [InlineData("driverfault")]
    public void Half_an_answer_is_none(string raw)
    {
        using var host = new Host().MadeReady();
        for (var tries = 0; tries <= Host.Short.Tries; tries++) host.Says("Copy", null, line => line["raw"] = raw);

        Inconclusive(host).Should().Contain("Copy ended with exit code 0 and without an answer");
    }

    [Fact]
    public void A_host_without_PowerShell_is_one_line()
    {
        using var host = new Host();
        host.With(program: host.At("no-such-program"));

        host.Invoking(h => h.Play()).Should().Throw<UnusableDriverException>().WithMessage("*no-such-program' cannot be started");
        host.LeftOvers.Should().BeEmpty();
    }

    [Fact]
    public void A_script_that_hangs_is_ended_with_what_it_started()
    {
        using var host = new Host();
        host.With(Host.Short with { Check = TimeSpan.FromSeconds(1), Tries = 0 }).Says("Check", null, line => { line["hangs"] = true; line["pidFile"] = host.At("pid"); line["child"] = host.At("child"); });

        Inconclusive(host).Should().Contain("Check did not end within 1 s, and was ended");

        Gone(host.At("pid"));
        Gone(host.At("child"));
        host.LeftOvers.Should().BeEmpty();
    }

    [Fact]
    public void A_child_that_keeps_the_script_s_output_open_keeps_nobody_waiting()
    {
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: 0), line => line["child"] = Child).Collects("hang-irp");

        host.Play().Judgement.Verdict.Should().Be(Verdict.Pass);

        Process.GetProcessById(Pid(Child)).Kill();
    }

    [Theory]
    [InlineData("Check")]
    [InlineData("Check Restore Start Connect")]
    [InlineData("Check Restore Start Connect Copy Copy")]
    [InlineData("Check Restore Start Connect Copy Copy Run")]
    [InlineData("Check Restore Start Connect Copy Copy Run Collect")]
    [InlineData("Check Restore Start Connect Copy Copy !Run LiveDump")]
    [InlineData("Check Restore Start Connect Copy Copy !Run !LiveDump Interrupt Connect")]
    public async Task A_run_that_is_cancelled_leaves_no_process_and_no_file(string until)
    {
        using var cancel = new CancellationTokenSource();
        using var host = new Host();
        host.EndedBy(cancel);
        var steps = until.Split(' ');
        foreach (var step in steps[..^1]) _ = step[0] == '!' ? host.Fails(step[1..], "timeout", "no answer") : host.Fine(step);
        host.Says(steps[^1], null, line => { line["hangs"] = true; line["pidFile"] = host.At("pid"); line["child"] = host.At("child"); });
        using var written = new FileSystemWatcher(host.At()) { EnableRaisingEvents = true };
        written.Changed += (_, file) => { if (file.Name == "pid" && new FileInfo(file.FullPath).Length > 0) cancel.Cancel(); };

        await FluentActions.Awaiting(() => Task.Run(() => host.Play())).Should().ThrowAsync<OperationCanceledException>();

        Gone(host.At("pid"));
        Gone(host.At("child"));
        host.LeftOvers.Should().BeEmpty();
    }

    private static string Inconclusive(Host host)
    {
        var judgement = host.Play().Judgement;
        judgement.Verdict.Should().Be(Verdict.Inconclusive, judgement.Because);
        host.LeftOvers.Should().BeEmpty();
        return judgement.Because;
    }

    private static int Pid(string file)
    {
        SpinWait.SpinUntil(() => File.Exists(file) && new FileInfo(file).Length > 0, TimeSpan.FromSeconds(20)).Should().BeTrue("the process says who it is");
        return int.Parse(File.ReadAllText(file), CultureInfo.InvariantCulture);
    }

    // A killed process that nobody has waited for is still listed; it does nothing any more.
    private static void Gone(string file)
    {
        if (!File.Exists(file)) return;
        var pid = int.Parse(File.ReadAllText(file), CultureInfo.InvariantCulture);
        bool IsGone()
        {
            try
            {
                if (OperatingSystem.IsLinux()) return File.ReadAllText($"/proc/{pid}/stat") is var stat && stat[(stat.LastIndexOf(')') + 2)..].StartsWith('Z');
                using var process = Process.GetProcessById(pid);
                return process.HasExited;
            }
            catch (Exception e) when (e is IOException or ArgumentException or InvalidOperationException)
            {
                return true;
            }
        }

        SpinWait.SpinUntil(IsGone, TimeSpan.FromSeconds(20)).Should().BeTrue($"process {pid} must not outlive the run");
    }

    // The dump of a machine in which the driver did what it does, as the guest would leave it.
    private static string Dump(Host host, string driver, string device, uint ioctl = 0x222000)
    {
        var file = host.At($"{driver}.dmp");
        var path = Path.Combine(Repository.Root, "tests", "drivers", "bin", "gcc-O2", driver + ".sys");
        var story = new HangIrp().Tell(new Choices(ioctl, [], 0, Outcome.Ended, TimeSpan.FromMinutes(10)));
        new EmulatedTarget().Play(story, DriverArgument.Read(path, @"\Device\" + device).Driver, new Conditions(1, 1), new EvidenceLog(), new Recording(DumpKind.Full, false, (name, pieces) =>
        {
            if (name != Recording.DumpFileName) return;
            using var stream = File.Create(file);
            foreach (var piece in pieces) stream.Write(piece.Span);
        }));
        return file;
    }
}
