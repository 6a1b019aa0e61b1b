using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;
using static Tracing.Tests.Zombies.KernelStory;

namespace Tracing.Tests.Zombies;

/// <summary>Each link of the chain, there and not there, in traces made by hand.</summary>
public sealed class ChainTests
{
    private static KernelStory Story() => new KernelStory().Begin();

    [Fact]
    public void A_request_that_is_never_completed_is_consistent_with_a_zombie_and_not_proven_since_the_thread_never_runs_again()
    {
        var fate = Story().Hangs().Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver, fate.Ended).Should().Be((Answer.ConsistentWith, Hold.NoCancelRoutine, "first.sys", null));
        fate.Held!.Value.Should().BeCloseTo(TimeSpan.FromMinutes(10), TimeSpan.FromMilliseconds(1));
        fate.AskedBy.Should().Be(new TracedThread(ControllerThread, Controller, "controller.exe"));
        fate.Facts.Where(fact => fact.Holds != true).Should().Equal(new TracedFact("the function that waits, on a stack with which it switches in", null));
        var irp = fate.Requests.Should().ContainSingle().Subject;
        (irp.Address.Value, irp.Major, irp.Driver, irp.Routine, irp.Tid, irp.Completed).Should().Be((Irp, IrpMajor.DeviceControl, "first.sys", "first.sys+0x1000", VictimThread, null));
        (fate.Wait!.Tid, fate.Wait.WaitReason, fate.Wait.Switches, fate.Wait.Until, fate.Wait.Ready).Should().Be((VictimThread, WaitReason.Executive, 0, null, null));
        fate.Wait.TimeSinceLast.Should().Be(fate.Held!.Value);
    }

    [Fact]
    public void Its_release_proves_it_and_names_who_released_it()
    {
        var fate = Story().Hangs().Releases().Ends().Lists(Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver, fate.Function).Should().Be((Answer.Proven, Hold.NoCancelRoutine, "first.sys", "nt!IopCancelAlertedRequest"));
        fate.Facts.Should().OnlyContain(fact => fact.Holds == true);
        fate.Wait!.SwitchInStack.Should().Equal(Cancelled.Select(routine => $"nt!{routine}+0x18"));
        fate.Wait.Ready!.By.Should().Be(new TracedThread(ControllerThread, Controller, "controller.exe"));
        fate.Wait.Ready.Stack.Should().Equal("nt!KeSetEvent+0x18", "nt!IofCompleteRequest+0x18", "first.sys+0x1234");
        fate.Requests.Should().ContainSingle().Which.CompletedBy!.Tid.Should().Be(ControllerThread);
        (fate.Ended!.Value - fate.Asked!.Value).Should().BeCloseTo(TimeSpan.FromMinutes(10), TimeSpan.FromMilliseconds(1));
        fate.Says.Should().Contain("first.sys holds 1 IRP without a cancel routine").And.Contain("That made the thread ready");
    }

    [Fact]
    public void A_request_that_is_cancelled_at_once_makes_no_zombie()
    {
        var diagnosis = Story().Requests().Kills().Completes().After(2).Ends().Lists(Controller).Diagnosis();

        (diagnosis.Verdict, diagnosis.Fates.Single().Answer).Should().Be(("none", Answer.NotAZombie));
        diagnosis.Fates.Single().Says.Should().Match("'victim.exe' (pid 400) went 2.00* ms after its end was asked for.");
    }

    [Theory]
    [InlineData(new[] { "KiSwapContext", "KeDelayExecutionThread", "IopCancelAlertedRequest", "IopSynchronousServiceTail" }, Hold.CancelRoutineDidNotComplete, "nt!IopCancelAlertedRequest")]
    [InlineData(new[] { "KiSwapContext", "KeDelayExecutionThread", "IoCancelThreadIo", "PspExitThread" }, Hold.Rundown, "nt!IoCancelThreadIo")]
    [InlineData(new[] { "KiSwapContext", "KeDelayExecutionThread", "IopCleanupProcessResources", "IopCloseFile", "PspExitThread" }, Hold.Rundown, "nt!IopCleanupProcessResources")]
    [InlineData(new[] { "KiSwapContext", "KeDelayExecutionThread", "first.sys", "IopSynchronousServiceTail" }, Hold.BlockedInDispatch, "first.sys+0x1234")]
    public void A_thread_that_looks_again_and_again_shows_its_stack_without_a_release(string[] stack, Hold hold, string function)
    {
        var story = Story().Switches(VictimThread).Calls(returns: hold != Hold.BlockedInDispatch).Switches(ControllerThread, WaitReason.DelayExecution).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, stack);
        var fate = story.Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver, fate.Function).Should().Be((Answer.Proven, hold, "first.sys", function), fate.Says);
        fate.Wait!.Switches.Should().Be(150);
        fate.Wait.TimeSinceLast.Should().BeCloseTo(TimeSpan.FromMilliseconds(10), TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public void A_thread_that_looks_a_few_times_until_the_request_is_complete_is_none()
    {
        var story = Story().Requests().Kills();
        for (var i = 0; i < 50; i++) story.WaitsFor(10, WaitReason.DelayExecution, Polled);
        var fate = story.Completes().Ends().Lists(Controller).Fate();

        fate.Answer.Should().Be(Answer.NotAZombie);
        (fate.Ended!.Value - fate.Asked!.Value).Should().BeCloseTo(TimeSpan.FromMilliseconds(500), TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public void The_five_minutes_of_a_rundown_are_told_although_the_process_went_and_the_request_was_never_completed()
    {
        var story = Story().Requests().Kills();
        for (var i = 0; i < 3000; i++) story.WaitsFor(100, WaitReason.DelayExecution, "KiSwapContext", "KeDelayExecutionThread", "IoCancelThreadIo", "PspExitThread");
        var fate = story.Ends().Lists(Controller).Fate();

        (fate.Answer, fate.Hold, fate.Function).Should().Be((Answer.Proven, Hold.Rundown, "nt!IoCancelThreadIo"));
        (fate.Ended!.Value - fate.Asked!.Value).Should().BeCloseTo(TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1));
        fate.Says.Should().Contain("and the IRP was not complete");
    }

    [Fact]
    public void A_create_that_nobody_cancels_is_known_by_its_major_function()
    {
        var fate = Story().Requests(IrpMajor.Create).Terminate().Switches(0, WaitReason.UserRequest).After(600_000).Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, Hold.UncancellableRequest, "first.sys"));

        fate = Story().Requests(IrpMajor.Create).Terminate().Switches(0, WaitReason.UserRequest).After(600_000).Switches(ControllerThread).Completes().Readies(VictimThread)
            .Switches(VictimThread, stack: ["KiSwapContext", "KeWaitForSingleObject", "IopParseDevice"]).Ends().Lists(Controller).Fate();
        (fate.Answer, fate.Hold, fate.Function).Should().Be((Answer.Proven, Hold.UncancellableRequest, "nt!IopParseDevice"));
    }

    [Fact]
    public void A_dispatch_routine_that_does_not_return_blocks_its_caller()
    {
        var fate = Story().Switches(VictimThread).Calls(returns: false).Switches(ControllerThread).Terminate().Switches(0, WaitReason.UserRequest).After(600_000).Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, Hold.BlockedInDispatch, "first.sys"), fate.Says);
        fate.Facts.Should().Contain(new TracedFact("its call of a driver's dispatch routine has not returned", true));
    }

    [Fact]
    public void Whether_a_driver_waits_itself_cannot_be_told_when_nts_routines_have_no_names()
    {
        var story = Story().Switches(VictimThread).Calls().Switches(ControllerThread).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, "KiSwapContext", "KeDelayExecutionThread", "first.sys");

        (story.Fate(named: false).Answer, story.Fate(named: false).Hold, story.Fate(named: false).Driver).Should().Be((Answer.ConsistentWith, null, "first.sys"));
    }

    [Fact]
    public void Without_names_what_is_proven_with_them_is_consistent()
    {
        var story = Story().Hangs().Releases().Ends().Lists(Controller);
        var diagnosis = story.Diagnosis(named: false);
        var fate = diagnosis.Fates.Single();

        (fate.Answer, fate.Hold, fate.Driver, fate.Function).Should().Be((Answer.ConsistentWith, Hold.NoCancelRoutine, "first.sys", null));
        fate.Facts.Where(fact => fact.Holds is null).Should().ContainSingle();
        fate.Wait!.SwitchInStack[0].Should().Be("nt+0x18");
        diagnosis.Lacks.Should().Equal("names of nt's routines: --symbols with its PDB, or its file beside the trace");
    }

    [Fact]
    public void Another_drivers_DPC_that_releases_a_zombie_is_told_with_its_stack()
    {
        var fate = Story().Hangs().Completes().Readies(VictimThread, inDpc: true, "KeSetEvent", "IofCompleteRequest", "second.sys", "KiRetireDpcList").Switches(VictimThread, stack: Cancelled).Ends().Lists(Controller).Fate();

        (fate.Answer, fate.Driver, fate.Wait!.Ready!.InDpc).Should().Be((Answer.Proven, "first.sys", true));
        fate.Wait.Ready.Stack.Should().Contain("second.sys+0x1234");
        fate.Wait.Ready.By.Should().Be(new TracedThread(0, 0, "Idle"));
        fate.Says.Should().Contain("The thread was made ready by a DPC on thread 0");
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Newer_events_and_cached_stacks_say_the_same(bool longSwitches, bool cachesStacks)
    {
        var fate = new KernelStory { LongSwitches = longSwitches, CachesStacks = cachesStacks }.Begin().Hangs().Releases().Ends().Lists(Controller).Fate();

        (fate.Answer, fate.Hold, fate.Wait!.Ready!.Stack.Count).Should().Be((Answer.Proven, Hold.NoCancelRoutine, 3));
    }

    [Fact]
    public void Threads_of_several_processors_are_told_apart()
    {
        var story = Story().Switches(ControllerThread);
        story.Processor = 1;
        story.Requests();
        story.Processor = 0;
        story.Terminate().Readies(VictimThread);
        story.Processor = 1;
        // The controller never ran there; the second processor goes idle from it.
        story.Switches(VictimThread, WaitReason.UserRequest, stack: Served).Switches(0).After(600_000);
        story.Processor = 0;
        story.Completes().Readies(VictimThread);
        story.Processor = 1;
        var fate = story.Switches(VictimThread, stack: Cancelled).Ends().Lists(Controller).Fate();

        (fate.Answer, fate.Driver, fate.Requests.Single().Tid, fate.Wait!.Ready!.By.Tid).Should().Be((Answer.Proven, "first.sys", VictimThread, ControllerThread));
    }

    [Fact]
    public void A_process_whose_exit_nobody_was_seen_to_ask_for_is_known_by_its_stack()
    {
        var story = Story().Requests().Switches(VictimThread, WaitReason.UserRequest);
        for (var i = 0; i < 150; i++) story.WaitsFor(100, WaitReason.DelayExecution, "KiSwapContext", "KeDelayExecutionThread", "IoCancelThreadIo", "PspExitThread");
        var fate = story.Lists(Victim, Controller).Fate();

        (fate.Asked, fate.Answer, fate.Hold, fate.Driver).Should().Be((null, Answer.Proven, Hold.Rundown, "first.sys"), fate.Says);

        story = Story().Requests().Switches(VictimThread, WaitReason.UserRequest);
        for (var i = 0; i < 150; i++) story.WaitsFor(100, WaitReason.DelayExecution, "KiSwapContext", "KeDelayExecutionThread", "NtWaitForSingleObject");
        story.Lists(Victim, Controller).Diagnosis().Fates.Should().BeEmpty("a thread that just waits dies of nothing");
    }
}
