using FluentAssertions;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Traces;

/// <summary>What happens to a client is in the trace as Windows would have it there.</summary>
public sealed class TraceStoriesTests
{
    private const byte Executive = 0, DelayExecution = 4, WrTerminated = 22, Waiting = 5, Terminated = 4;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void A_thread_whose_irp_nobody_cancels_wakes_once_waits_again_and_is_silent(int processors)
    {
        var story = new TracedStory(TracedRun.Of("hang-irp", processors));

        var call = story.Calls.Should().ContainSingle().Which;
        story.Completions.Should().BeEmpty();
        var terminate = story.Terminate;
        terminate.Thread.Should().Be((int)story.Controller);
        var ready = story.Readied.Should().ContainSingle(e => e.Time > terminate.Time).Which;
        story.StackOwner(ready).Should().Be(story.Controller);
        story.StackOf(ready).Should().Contain("nt!NtTerminateProcess");
        var runs = story.SwitchesIn.Should().ContainSingle(e => e.Time > terminate.Time).Which;
        story.StackOf(runs).Should().Contain("nt!IopSynchronousServiceTail").And.NotContain("nt!IopCancelAlertedRequest");
        var stops = story.SwitchesOut.Should().ContainSingle(e => e.Time > terminate.Time).Which;
        ((long[])[call.Time, terminate.Time, ready.Time, runs.Time, stops.Time]).Should().BeInAscendingOrder();
        (stops.U8(14), stops.U8(12)).Should().Be((Waiting, Executive));
        story.ThreadEnds.Should().BeEmpty();
        story.ProcessEnds.Should().BeEmpty();
        story.IsListedAtTheEnd.Should().BeTrue();
        story.AllFunctions.Should().NotContain("nt!IopCancelAlertedRequest");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void A_zombie_that_is_released_shows_where_it_waited_and_who_let_it_go(int processors)
    {
        var story = new TracedStory(TracedRun.Of("hang-irp-release", processors));

        var completion = story.Completions.Should().ContainSingle().Which;
        var ready = story.Readied.First(e => e.Time > completion.Time);
        story.StackOwner(ready).Should().Be(story.Controller);
        story.StackOf(ready).Should().ContainInOrder("nt!IofCompleteRequest", "driver", "nt!IofCallDriver", "nt!NtDeviceIoControlFile", "user");
        var runs = story.SwitchesIn.First(e => e.Time > completion.Time);
        story.StackOf(runs).Should().ContainInOrder("nt!KiSwapContext", "nt!KeWaitForSingleObject", "nt!IopCancelAlertedRequest", "nt!IopSynchronousServiceTail", "nt!IopXxxControlFile", "nt!NtDeviceIoControlFile", "user");
        (TracedStory.At(runs) - TracedStory.At(story.Terminate)).Should().BeCloseTo(TimeSpan.FromMinutes(10), TimeSpan.FromMilliseconds(1));
        story.ThreadEnds.Should().ContainSingle().Which.Time.Should().BeGreaterThan(runs.Time);
        story.ProcessEnds.Should().ContainSingle().Which.Time.Should().BeGreaterThan(runs.Time);
        (story.SwitchesOut.Last().U8(14), story.SwitchesOut.Last().U8(12)).Should().Be((Terminated, WrTerminated));
        story.IsListedAtTheEnd.Should().BeFalse();
        story.Of(3, 39).Should().ContainSingle("the controller has a handle to it").Which.U32(8).Should().Be(story.Process);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void A_thread_whose_cancel_routine_ran_looks_every_10_ms(int processors)
    {
        var story = new TracedStory(TracedRun.Of("hang-irp-noop-cancel", processors, settle: TimeSpan.FromSeconds(20)));

        var polls = story.SwitchesOut.Where(e => e.Time > story.Terminate.Time).ToList();
        polls.Count.Should().BeCloseTo(2000, 2);
        polls.Should().OnlyContain(e => e.U8(14) == Waiting && e.U8(12) == DelayExecution);
        polls.Pairs().Select(pair => (TracedStory.At(pair.Second) - TracedStory.At(pair.First)).TotalMilliseconds).Should().OnlyContain(pause => Math.Abs(pause - 10) < 0.01);
        story.SwitchesIn.Where(e => e.Time > polls[0].Time).Should().OnlyContain(e => story.StackOf(e).Contains("nt!IopCancelAlertedRequest") && story.StackOf(e).Contains("nt!KeDelayExecutionThread"));
        story.Readied.Where(e => e.Time > polls[0].Time).Should().OnlyContain(e => e.U8(6) == 1 && e.Processor == 0, "a timer's DPC does it");
        story.ProcessEnds.Should().BeEmpty();
    }

    [Fact]
    public void The_irps_of_an_overlapped_handle_are_waited_for_five_minutes_in_rundown()
    {
        var story = new TracedStory(TracedRun.Of("hang-irp-overlapped"));

        story.Completions.Should().BeEmpty();
        var polls = story.SwitchesIn.Where(e => story.StackOf(e).Contains("nt!IoCancelThreadIo")).ToList();
        polls.Count.Should().BeCloseTo(3000, 2);
        polls.Should().OnlyContain(e => story.StackOf(e).Contains("nt!PspExitThread"));
        (TracedStory.At(story.ProcessEnds.Single()) - TracedStory.At(story.Terminate)).Should().BeCloseTo(TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1));
        story.ThreadEnds.Single().Time.Should().BeGreaterThan(polls[^1].Time);
    }

    [Fact]
    public void A_thread_that_closes_the_handle_of_a_completion_port_has_ended_and_its_process_has_not()
    {
        var story = new TracedStory(TracedRun.Of("hang-irp-completion-port", settle: TimeSpan.FromSeconds(10)));

        var end = story.Of(5, 2).Single(e => e.U32(0) == story.Process);
        story.Of(5, 36).Where(e => e.Time > end.Time && e.U32(0) == end.U32(4)).Should().NotBeEmpty().And.OnlyContain(e => story.StackOf(e).Contains("nt!ObKillProcess"));
        story.ProcessEnds.Should().BeEmpty();
        story.Of(3, 4).Should().Contain(e => e.U32(8) == story.Process);
    }

    [Fact]
    public void A_sound_driver_s_client_goes_at_once()
    {
        var story = new TracedStory(TracedRun.Of("hang-irp", request: MyFault.Pend));

        story.Completions.Should().ContainSingle().Which.Time.Should().BeGreaterThan(story.Terminate.Time);
        (TracedStory.At(story.ProcessEnds.Single()) - TracedStory.At(story.Terminate)).Should().BeLessThan(TimeSpan.FromMilliseconds(1));
        story.Of(20, 2).Should().ContainSingle(e => e.U32(16) == story.Process);
    }

    [Fact]
    public void The_driver_s_image_is_loaded_and_nt_s_was_there()
    {
        var story = new TracedStory(TracedRun.Of("hang-irp"));

        story.Of(20, 3).Should().ContainSingle().Which.Unicode(56).Should().Be(@"\SystemRoot\system32\ntoskrnl.exe");
        story.Of(3, 10).Should().ContainSingle(e => e.U32(16) == 0).Which.Unicode(56).Should().Be(@"\SystemRoot\System32\drivers\myfault.sys");
        story.Of(20, 4).Count(e => e.U32(16) == 0).Should().Be(2);
        story.Of(3, 1).Select(e => e.Ansi(40)).Should().Equal("victim.exe", "controller.exe");
    }
}
