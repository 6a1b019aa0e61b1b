using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;
using static Tracing.Tests.Zombies.KernelStory;

namespace Tracing.Tests.Zombies;

/// <summary>What a trace cannot tell it does not tell. The same traces without the flaw are those of <see cref="ChainTests"/>.</summary>
public sealed class DoubtTests
{
    private static KernelStory Told(KernelStory story) => story.Begin().Hangs().Releases().Ends().Lists(Controller);

    [Fact]
    public void Lost_events_refuse_an_answer()
    {
        var diagnosis = Told(new KernelStory { EventsLost = 3 }).Diagnosis();

        (diagnosis.Verdict, diagnosis.Fates.Single().Answer).Should().Be(("unclear", Answer.CannotTell));
        diagnosis.Gaps.Should().Equal("3 events were lost");
        diagnosis.Fates.Single().Says.Should().Contain("3 events were lost").And.Contain("Its end is in the trace, 10 min after");
        Told(new KernelStory()).Diagnosis().Gaps.Should().BeEmpty();
    }

    [Fact]
    public void A_mark_of_lost_events_on_a_buffer_refuses_one_too() =>
        Told(new KernelStory { Flags = TraceBufferFlags.ProcessorIndex | TraceBufferFlags.EventsLost }).Fate().Answer.Should().Be(Answer.CannotTell);

    [Fact]
    public void Damage_in_the_middle_refuses_one_too()
    {
        var file = Told(new KernelStory()).Bytes();
        KernelStory.Of(file, stop: TestContext.Current.CancellationToken).Gaps.Should().BeEmpty();
        // A record's marker and size, somewhere in the middle.
        file.AsSpan(file.AsSpan().LastIndexOf("controller.exe"u8) + 400, 64).Fill(0xEE);
        var diagnosis = KernelStory.Of(file, stop: TestContext.Current.CancellationToken);

        diagnosis.Verdict.Should().Be("unclear");
        diagnosis.Gaps.Should().Contain(gap => gap.StartsWith("the trace is damaged: ", StringComparison.Ordinal));
        diagnosis.Fates.Should().OnlyContain(fate => fate.Answer == Answer.CannotTell);
    }

    [Fact]
    public void A_process_that_was_asked_to_end_just_before_the_trace_ends_may_go_later()
    {
        var early = new KernelStory().Begin().Requests().Kills().Switches(0).After(900).Terminate(Victim).Lists(Victim, Controller).Fate();
        early.Answer.Should().Be(Answer.CannotTell);
        early.Says.Should().Contain("too soon to tell");

        new KernelStory().Begin().Requests().Kills().Switches(0).After(1100).Terminate(Victim).Lists(Victim, Controller).Fate().Answer.Should().Be(Answer.ConsistentWith);
    }

    [Fact]
    public void A_process_that_waits_in_user_mode_and_dies_is_none()
    {
        var quick = new KernelStory().Begin().Switches(VictimThread).Switches(ControllerThread, WaitReason.UserRequest).After(5000).Kills().After(1).Ends().Lists(Controller).Fate();
        quick.Answer.Should().Be(Answer.NotAZombie);

        // It takes three seconds, of which a driver has no part.
        var slow = new KernelStory().Begin().Switches(VictimThread).Switches(ControllerThread, WaitReason.UserRequest).Kills().WaitsFor(3000, WaitReason.WrPageIn, "KiSwapContext", "KeWaitForSingleObject", "MiFlushSectionInternal")
            .Ends().Lists(Controller).Fate();
        slow.Answer.Should().Be(Answer.NotAZombie);
        slow.Says.Should().Match("* went 3 s after its end was asked for; no driver is seen to have kept it. Thread 404 waited for 3 s of that: (WrPageIn) in nt!MiFlushSectionInternal.");
    }

    [Fact]
    public void What_the_session_did_not_record_is_named()
    {
        var blind = new KernelStory { HasSwitches = false }.Begin().Hangs().Lists(Victim, Controller).Diagnosis();
        (blind.Fates.Single().Answer, blind.Verdict).Should().Be((Answer.CannotTell, "unclear"));
        blind.Lacks.Should().Contain("context switches (keyword ContextSwitch)");

        var stackless = Told(new KernelStory { HasStacks = false }).Diagnosis();
        (stackless.Fates.Single().Answer, stackless.Fates.Single().Driver).Should().Be((Answer.ConsistentWith, "first.sys"));
        stackless.Lacks.Should().Equal("stacks of context switches");

        var silent = new KernelStory { HasDrivers = false }.Begin().Hangs().Lists(Victim, Controller).Diagnosis();
        silent.Fates.Single().Answer.Should().Be(Answer.CannotTell, "nothing tells a wait for a driver from another");
        silent.Lacks.Should().Contain("IRPs (keyword Driver)");

        var driverless = Told(new KernelStory { HasDrivers = false }).Fate();
        (driverless.Answer, driverless.Hold, driverless.Driver).Should().Be((Answer.ConsistentWith, Hold.NoCancelRoutine, null), "the stack tells the wait, and nothing the driver");
    }

    [Fact]
    public void A_process_that_no_rundown_lists_may_have_ended_unseen()
    {
        var without = new KernelStory().Begin().Hangs().Terminate().Fate();
        without.Facts.Should().Contain(new TracedFact("the process is listed when the session ends", null));

        var absent = new KernelStory().Begin().Hangs().Lists(Controller).Fate();
        (absent.Answer, absent.Facts.Single(fact => fact.Holds == false).Name).Should().Be((Answer.CannotTell, "the process is listed when the session ends"));
    }

    [Fact]
    public void A_request_from_before_the_session_is_one_that_nobody_saw()
    {
        // The thread was in the driver's hands already when the session began.
        var story = new KernelStory().Begin().Switches(VictimThread).Switches(ControllerThread).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, Polled);
        var fate = story.Lists(Victim, Controller).Fate();
        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, Hold.CancelRoutineDidNotComplete, null));

        // A thread that began in the session sent nothing, so that the trace contradicts itself.
        story = new KernelStory().Begin().Switches(VictimThread).Ends().Starts(Victim, "second.exe", VictimThread).Switches(ControllerThread).Calls().Completes().Switches(VictimThread).Switches(ControllerThread).Kills();
        for (var i = 0; i < 150; i++) story.WaitsFor(10, WaitReason.DelayExecution, Polled);
        story.Lists(Victim, Controller).Fate().Answer.Should().Be(Answer.CannotTell);
    }

    [Fact]
    public void A_trace_that_is_not_read_to_its_end_refuses_an_answer()
    {
        using var stop = new System.Threading.CancellationTokenSource();
        stop.Cancel();
        var diagnosis = KernelStory.Of(Told(new KernelStory()).Bytes(), stop: stop.Token);

        diagnosis.Verdict.Should().Be("unclear");
        diagnosis.Gaps.Should().Contain("it was not read to its end: that took too long");
    }

    [Fact]
    public void A_trace_in_which_nobody_is_asked_to_end_tells_nothing_of_those_who_were_asked_before()
    {
        var diagnosis = new KernelStory().Begin().Lists(Victim, Controller).Diagnosis();

        (diagnosis.Verdict, diagnosis.Fates.Count, diagnosis.Asked).Should().Be(("unclear", 0, 0));
        diagnosis.Lacks.Should().Equal("a process that is asked to end: one that was asked before the session began may hang unseen");
    }

    [Fact]
    public void A_trace_without_processes_tells_nothing_of_them()
    {
        var diagnosis = new KernelStory().Image(0xFFFF_F800_0000_0000, 0x1000, "ntoskrnl.exe").Diagnosis();
        (diagnosis.Verdict, diagnosis.Lacks).Should().BeEquivalentTo(("unclear", new[] { "events of processes (keyword Process)" }));
    }
}
