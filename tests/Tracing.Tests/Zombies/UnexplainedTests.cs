using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Diagnosis;
using Xunit;
using static Tracing.Tests.Zombies.KernelStory;

namespace Tracing.Tests.Zombies;

/// <summary>A process that took long to go and did go: what kept it is not "no driver" where the trace lacks what would show one.</summary>
public sealed class UnexplainedTests
{
    [Fact]
    public void Without_context_switches_nothing_tells_why_a_process_took_long_to_go()
    {
        var story = new KernelStory { HasSwitches = false }.Begin().Hangs().Releases().Ends().Lists(Controller);
        var diagnosis = story.Diagnosis();

        (diagnosis.Verdict, diagnosis.Fates.Single().Answer).Should().Be(("unclear", Answer.CannotTell));
        diagnosis.Fates.Single().Says.Should().Contain("went 10 min after its end was asked for").And.Contain("no context switches");
        diagnosis.Lacks.Should().Contain("context switches (keyword ContextSwitch)");
    }

    [Fact]
    public void Without_driver_events_a_kernel_wait_whose_place_has_no_name_may_have_been_a_drivers()
    {
        KernelStory Told(WaitReason reason, bool stacks) => new KernelStory { HasDrivers = false, HasStacks = stacks }.Begin().Requests().Kills().WaitsFor(3000, reason, Cancelled).Ends().Lists(Controller);

        var unnamed = Told(WaitReason.Executive, stacks: true).Fate(named: false);
        (unnamed.Answer, unnamed.Driver).Should().Be((Answer.CannotTell, null));
        unnamed.Says.Should().Contain("what it waited for has no name");
        Told(WaitReason.Executive, stacks: false).Fate().Answer.Should().Be(Answer.CannotTell);

        // With its name it is told, and a wait for a page is no driver's.
        Told(WaitReason.Executive, stacks: true).Fate().Answer.Should().Be(Answer.ConsistentWith);
        Told(WaitReason.WrPageIn, stacks: false).Fate().Answer.Should().Be(Answer.NotAZombie);
    }

    [Fact]
    public void A_wait_in_code_of_no_known_image_may_have_been_a_drivers()
    {
        string[] stack = ["KiSwapContext", "KeWaitForSingleObject", "nowhere", "NtDeviceIoControlFile"];
        var story = new KernelStory().Begin().Requests().Kills().Completes().WaitsFor(3000, WaitReason.Executive, stack).Ends().Lists(Controller);

        story.Fate().Answer.Should().Be(Answer.CannotTell);
        story.Fate().Says.Should().EndWith("in 0xfffff80300001234.");
    }

    [Fact]
    public void A_driver_that_spins_with_a_request_lets_no_thread_wait_and_may_have_kept_it_all_the_same()
    {
        KernelStory Spins(double milliseconds) => new KernelStory().Begin().Switches(VictimThread).Calls(returns: false).Terminate().After(milliseconds).Completes().Returns(Irp, 1);

        var fate = Spins(5000).After(1).Ends().Lists(Controller).Fate();
        (fate.Answer, fate.Requests.Count).Should().Be((Answer.CannotTell, 1));
        fate.Says.Should().Contain("first.sys did not complete an IRP of it for as long as a second");

        // It is late for another reason.
        Spins(500).After(5000).Ends().Lists(Controller).Fate().Answer.Should().Be(Answer.NotAZombie);
    }

    [Fact]
    public void Events_before_the_beginning_have_no_times_that_tell()
    {
        var early = new KernelStory { Start = 90_000_000_000 }.Begin().Hangs().Releases().Ends().Lists(Controller).Diagnosis();
        (early.Verdict, early.Fates.Single().Answer).Should().Be(("unclear", Answer.CannotTell));
        early.Gaps.Should().ContainSingle().Which.Should().EndWith("events of the kernel a second or more before the trace's beginning, at which TraceEvent takes them to be");

        new KernelStory { Start = 5000 }.Begin().Hangs().Releases().Ends().Lists(Controller).Fate().Answer.Should().Be(Answer.Proven);
    }

    [Fact]
    public void Times_that_run_backwards_refuse_an_answer()
    {
        new KernelStory().Begin().Requests().Kills().After(10_000).Completes().After(-9_500).Ends().Lists(Controller).Diagnosis().Gaps.Should().Equal("times run backwards by a second or more");
        new KernelStory().Begin().Requests().Kills().After(900).Completes().After(-0.5).Ends().Lists(Controller).Diagnosis().Gaps.Should().BeEmpty();
    }
}
