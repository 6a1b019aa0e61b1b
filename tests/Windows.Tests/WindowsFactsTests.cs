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
        return log.Observations;
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
