using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;
using static Tracing.Tests.Zombies.KernelStory;

namespace Tracing.Tests.Zombies;

/// <summary>Of several requests of a process, the one that its thread waits for tells the driver.</summary>
public sealed class BlameTests
{
    private const ulong OtherIrp = Irp + 0x100, OtherFile = KernelStory.File + 0x100;

    [Fact]
    public void An_overlapped_request_that_a_thread_sent_before_is_not_the_one_its_synchronous_call_waits_for()
    {
        var story = new KernelStory().Begin().Switches(VictimThread).Calls().Calls(OtherIrp, second: true, file: OtherFile).Switches(ControllerThread).Kills().Switches(0).After(600_000);
        story.Switches(ControllerThread).Completes(OtherIrp, second: true).Readies(VictimThread).Switches(VictimThread, WaitReason.UserRequest, stack: Cancelled);
        var fate = story.Completes().Ends().Lists(Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.Proven, Hold.NoCancelRoutine, "second.sys"), fate.Says);
        fate.Says.Should().Contain("second.sys holds 1 IRP without");
    }

    [Fact]
    public void Which_driver_a_framework_serves_is_not_in_the_trace()
    {
        var fate = new KernelStory { SecondFile = "Wdf01000.sys" }.Begin().Switches(VictimThread).Calls(second: true).Switches(ControllerThread).Kills().Switches(0).After(600_000)
            .Switches(ControllerThread).Completes(second: true).Readies(VictimThread).Switches(VictimThread, WaitReason.UserRequest, stack: Cancelled).Ends().Lists(Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.Proven, Hold.NoCancelRoutine, null), fate.Says);
        fate.Says.Should().Contain("a driver that Wdf01000.sys serves, and that the trace does not name, holds 1 IRP without");
        fate.Requests.Should().ContainSingle().Which.Driver.Should().Be("Wdf01000.sys");
    }

    [Fact]
    public void A_request_of_another_thread_is_not_the_one_that_a_thread_polls_for()
    {
        const int other = VictimThread + 4;
        var story = new KernelStory().Begin().Thread(KernelTraceEvents.ThreadDCStart, Victim, other).Switches(other).Calls().Switches(VictimThread).Switches(ControllerThread).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, Polled);
        var fate = story.Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold).Should().Be((Answer.ConsistentWith, Hold.CancelRoutineDidNotComplete), fate.Says);
        fate.Driver.Should().BeNull();
    }

    [Fact]
    public void What_a_dispatch_routine_or_a_cancel_routine_sends_of_its_own_is_not_what_its_caller_waits_for()
    {
        // first.sys keeps the request and asks second.sys for something, in its dispatch routine and again in its cancel routine.
        var story = new KernelStory().Begin().Switches(VictimThread).Calls(returns: false).Calls(OtherIrp, second: true, file: OtherFile).Returns(Irp, 1).Switches(ControllerThread).Kills();
        story.Calls(OtherIrp + 0x100, second: true, file: OtherFile);
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, Polled);
        var fate = story.Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.Proven, Hold.CancelRoutineDidNotComplete, "first.sys"), fate.Says);
    }

    [Fact]
    public void Of_requests_on_several_handles_the_one_whose_handle_is_being_closed_is_waited_for()
    {
        var story = new KernelStory().Begin().Switches(VictimThread).Calls().Calls(OtherIrp, second: true, file: OtherFile).Switches(ControllerThread).Kills();
        story.Calls(OtherIrp + 0x100, IrpMajor.Cleanup, second: true, file: OtherFile).Completes(OtherIrp + 0x100, second: true);
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, "KiSwapContext", "KeDelayExecutionThread", "IopCleanupProcessResources", "IopCloseFile", "PspExitThread");
        var fate = story.Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.Proven, Hold.Rundown, "second.sys"), fate.Says);
    }

    [Fact]
    public void A_thread_whose_own_requests_are_complete_does_not_wait_for_those_of_another_in_its_rundown()
    {
        const int other = VictimThread + 4;
        var story = new KernelStory().Begin().Thread(KernelTraceEvents.ThreadDCStart, Victim, other).Switches(other).Calls().Switches(VictimThread).Switches(ControllerThread).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, "KiSwapContext", "KeDelayExecutionThread", "IoCancelThreadIo", "PspExitThread");
        var fate = story.Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, Hold.Rundown, null), fate.Says);
    }

    [Fact]
    public void A_completion_that_was_stopped_does_not_put_the_blame_on_an_older_request()
    {
        var story = new KernelStory().Begin().Switches(VictimThread).Calls().Calls(OtherIrp, file: OtherFile).Calls(OtherIrp, second: true, file: OtherFile).Completes(OtherIrp, second: true, completionRoutine: true).Switches(ControllerThread).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, Polled);
        var fate = story.Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, Hold.CancelRoutineDidNotComplete, null), fate.Says);
    }

    [Fact]
    public void A_stopped_completion_is_still_possible_when_others_of_the_thread_were_completed_since()
    {
        var story = new KernelStory().Begin().Switches(VictimThread).Ends().Starts(Victim, "second.exe", VictimThread).Switches(VictimThread);
        story.Calls().Calls(second: true).Completes(second: true, completionRoutine: true).Calls(OtherIrp, IrpMajor.Cleanup).Completes(OtherIrp).Switches(ControllerThread).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, "KiSwapContext", "KeDelayExecutionThread", "IoCancelThreadIo", "PspExitThread");
        var fate = story.Lists(Victim, Controller).Diagnosis().Fates[^1];

        (fate.Answer, fate.Hold).Should().Be((Answer.ConsistentWith, Hold.Rundown), fate.Says);
        fate.Facts.Should().Contain(new TracedFact("an IRP that it sent to a driver was not completed", null));
    }

    [Fact]
    public void A_cleanup_that_nobody_completes_holds_its_process_with_a_wait_of_another_reason()
    {
        var story = new KernelStory().Begin().Requests().Kills().Completes().Calls(OtherIrp, IrpMajor.Cleanup).Thread(KernelTraceEvents.ThreadEnd, Victim, VictimThread);
        var fate = story.Switches(0, WaitReason.UserRequest).After(600_000).Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, Hold.UncancellableRequest, "first.sys"), fate.Says);
        fate.Says.Should().Contain("IRP_MJ_CLEANUP");
    }
}
