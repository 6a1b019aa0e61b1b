using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Scenarios;
using Harness.Windows;
using Xunit;

namespace Windows.Tests;

/// <summary>Answers are read from evidence and never assumed.</summary>
public sealed class WindowsFactsTests
{
    private static readonly Story Story = new HangIrp().Tell(new Choices(MyFault.HangIrp.Code, [], 0, Outcome.Zombie, TimeSpan.FromSeconds(15)));

    private static readonly KernelAddress Somewhere = new(0xFFFFF80000001000);

    private static IReadOnlyList<Observation> Zombie()
    {
        var log = new EvidenceLog();
        var frames = new[] { "nt!KeWaitForSingleObject+0x1", "nt!IopCancelAlertedRequest+0x2" }.Select(name => new StackFrame(Somewhere, Somewhere, name, "nt")).ToList();
        var irp = new IrpRecord(Somewhere, "thread", true, null, 1, 1, Somewhere, [], "myfault.sys", @"\Device\MyFault");
        var thread = new ThreadRecord(Somewhere, 416, ThreadState.Waiting, WaitReason.Executive, ProcessorMode.KernelMode, false, null, frames, [irp]);
        log.Add(TimeSpan.FromSeconds(1), Sources.ProcessState, new TerminateRequested("victim", 412, NtStatus.Success));
        log.Add(TimeSpan.FromSeconds(16), Sources.ProcessState, new ProcessStates("settled",
            [new ProcessState("victim", "driverfault.exe", 412, true, false, NtStatus.Pending, 31, [new ThreadStateSeen(416, ThreadState.Waiting, WaitReason.Executive, true)]) { Deleting = true }]));
        log.Add(TimeSpan.FromSeconds(17), Sources.KernelMemory, new KernelMemorySeen("settled", [new ProcessRecord(Somewhere, 412, "driverfault.exe", true, true, false, NtStatus.Pending, [thread])]));
        log.Add(TimeSpan.FromSeconds(18), Sources.Client, new CallEntered("controller", 400, 404, "DeviceIoControl(the driver's release, 0x22200c)", null));
        log.Add(TimeSpan.FromSeconds(18.5), Sources.ProcessState, new ProcessEnded("victim", 412, new NtStatus(0x77)));
        log.Add(TimeSpan.FromSeconds(19), Sources.Clrmd, new NotObserved("managed stacks of 'victim' after it was killed", "the process is going"));
        var wait = new TracedWait(416, WaitReason.Executive, TimeSpan.Zero, TimeSpan.FromSeconds(15), 1, TimeSpan.FromSeconds(15), TimeSpan.FromSeconds(15), null, ["nt!KiSwapThread+0x1", "nt!IopCancelAlertedRequest+0x2"]);
        log.Add(TimeSpan.FromSeconds(20), Sources.Etw, new EventTraceSeen("trace.etl", [new TracedFate(412, "driverfault.exe", TimeSpan.Zero, null, TimeSpan.FromSeconds(16), Harness.Core.Diagnosis.Answer.Proven, Hold.NoCancelRoutine, null, "myfault.sys", null, "myfault.sys kept it.", [], wait, [], [])], [], []));
        return log.Observations;
    }

    [Theory]
    [InlineData(true, @"yes, by DriverFault-myfault: \Device\MyFault")]
    [InlineData(false, "no")]
    public void Whether_the_I_O_manager_logs_that_it_gives_up_is_read_from_the_log(bool logged, string answer)
    {
        const string Question = "is IO_DRIVER_CANCEL_TIMEOUT logged";
        var story = new HangIrpOverlapped().Tell(new Choices(MyFault.HangIrp.Code, [], 0, Outcome.Zombie, TimeSpan.FromSeconds(15)));
        var log = new EvidenceLog();
        log.Add(TimeSpan.Zero, Sources.EventLog, new EventLogSeen("System", logged ? [new LoggedEvent("DriverFault-myfault", 0x36, @"\Device\MyFault")] : []));

        WindowsFacts.Of("hang-irp-overlapped", story, log.Observations).Single(fact => fact.Question == Question).Answer.Should().Be(answer);
        WindowsFacts.Of("hang-irp-overlapped", story, []).Single(fact => fact.Question == Question).Answer.Should().BeNull();
        WindowsFacts.Of("hang-irp", Story, log.Observations).Should().NotContain(fact => fact.Question == Question);
    }

    [Fact]
    public void Of_a_process_that_went_at_once_there_is_nothing_more_to_ask()
    {
        var log = new EvidenceLog();
        log.Add(TimeSpan.Zero, Sources.ProcessState, new TerminateRequested("victim", 412, NtStatus.Success));
        log.Add(TimeSpan.FromSeconds(1), Sources.ProcessState, new ProcessStates("settled", [new ProcessState("victim", "", 412, false, true, new NtStatus(0x77), 0, [])]));
        foreach (var question in new[] { "the stack of the thread that waits", "how it waits", "the IRPs that keep it", "its managed stack after the kill", "IsProcessDeleting" }) Answer(log.Observations, question).Should().Be("it had ended");
        Answer(log.Observations, "GetExitCodeProcess").Should().Be("0x00000077");
    }

    private static string? Answer(IReadOnlyList<Observation> evidence, string question) => WindowsFacts.Of("hang-irp", Story, evidence).Single(fact => fact.Question == question).Answer;

    [Theory]
    [InlineData("is the killed process listed", "yes")]
    [InlineData("is its process object signalled", "no")]
    [InlineData("GetExitCodeProcess", "0x00000103")]
    [InlineData("IsProcessDeleting", "yes")]
    [InlineData("open handles", "31")]
    [InlineData("its threads, and whether they have I/O pending", "Waiting (Executive), pending")]
    [InlineData("the stack of the thread that waits", "nt!KeWaitForSingleObject+0x1 <- nt!IopCancelAlertedRequest+0x2")]
    [InlineData("how it waits", "Waiting (Executive) KernelMode Non-Alertable")]
    [InlineData("the IRPs that keep it", "on the thread's list, Cancel TRUE, CancelRoutine none, held by myfault.sys")]
    [InlineData("how long after the driver's release it ended", "0.500 s")]
    [InlineData("its managed stack after the kill", "none: the process is going")]
    [InlineData("what the event trace tells", "Proven: myfault.sys kept it.")]
    [InlineData("the stack on which the thread ran again", "nt!KiSwapThread+0x1 <- nt!IopCancelAlertedRequest+0x2")]
    public void A_zombie_s_evidence_answers_it(string question, string answer) => Answer(Zombie(), question).Should().Be(answer);

    [Fact]
    public void What_a_story_does_not_do_is_not_asked()
    {
        const string Question = "what a second TerminateProcess returns";
        var twice = new TerminateTwice().Tell(new Choices(MyFault.HangIrp.Code, [], 0, Outcome.Zombie, TimeSpan.FromSeconds(15)));
        WindowsFacts.Of("hang-irp", Story, Zombie()).Should().NotContain(fact => fact.Question == Question);
        WindowsFacts.Of("terminate-twice", twice, Zombie()).Should().ContainSingle(fact => fact.Question == Question).Which.Answer.Should().BeNull();
    }

    [Fact]
    public void Without_evidence_there_is_no_answer()
    {
        var facts = WindowsFacts.Of("hang-irp", Story, []);
        facts.Should().NotBeEmpty().And.OnlyContain(fact => fact.Answer == null && fact.Source.Length > 0);
    }

    [Fact]
    public void What_a_collector_could_not_see_is_said_with_its_reason()
    {
        var log = new EvidenceLog();
        log.Add(TimeSpan.Zero, Sources.KernelMemory, new NotObserved("kernel memory", "this process has no SeDebugPrivilege"));
        WindowsFacts.Of("hang-irp", Story, log.Observations).Single(fact => fact.Question == "how it waits").Source.Should().Be("not observed: kernel memory: this process has no SeDebugPrivilege");
    }

    [Fact]
    public void The_file_can_be_read_by_a_person()
    {
        var file = Path.GetTempFileName();
        WindowsFacts.Write(file, new FactsFile("elevated", "Windows", WindowsFacts.Of("hang-irp", Story, Zombie())));
        var text = File.ReadAllText(file);
        File.Delete(file);
        text.Should().StartWith("{\n  \"machine\": \"elevated\"").And.Contain("<-").And.EndWith("}\n");
    }
}
