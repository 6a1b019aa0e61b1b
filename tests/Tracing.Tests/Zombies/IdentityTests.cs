using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;
using static Tracing.Tests.Zombies.KernelStory;

namespace Tracing.Tests.Zombies;

/// <summary>Addresses and IDs are used again: what was told of one must not be said of the next.</summary>
public sealed class IdentityTests
{
    private static KernelStory Story() => new KernelStory().Begin();

    [Fact]
    public void An_IRP_at_the_address_of_one_that_was_completed_is_another()
    {
        var hangs = Story().Switches(ControllerThread).Calls(second: true).Completes(second: true).Switches(0).Hangs().Lists(Victim, Controller).Fate();
        (hangs.Answer, hangs.Driver).Should().Be((Answer.ConsistentWith, "first.sys"));
        hangs.Requests.Should().ContainSingle().Which.SentDownBy.Should().BeEmpty();

        // The victim's is complete, and the controller's, at its address, is not.
        var sound = Story().Switches(VictimThread).Calls().Completes().Switches(ControllerThread).Calls(second: true).Terminate().Readies(VictimThread).Switches(VictimThread).Switches(0, WaitReason.WrQueue).After(600_000)
            .Lists(Victim, Controller).Fate();
        (sound.Answer, sound.Driver).Should().Be((Answer.CannotTell, null));
        sound.Requests.Should().BeEmpty();
    }

    [Fact]
    public void An_IRP_that_was_sent_down_is_held_by_the_last_driver()
    {
        var fate = Story().Switches(VictimThread).Calls().Calls(second: true).Switches(ControllerThread).Kills().Switches(0).After(600_000).Lists(Victim, Controller).Fate();

        (fate.Answer, fate.Driver).Should().Be((Answer.ConsistentWith, "second.sys"));
        fate.Requests.Should().ContainSingle().Which.SentDownBy.Should().Equal("first.sys");

        var sound = Story().Switches(VictimThread).Calls().Calls(second: true).Completes(second: true).Switches(ControllerThread).Kills().After(1).Ends().Lists(Controller).Fate();
        (sound.Answer, sound.Requests.Count).Should().Be((Answer.NotAZombie, 0));
    }

    [Fact]
    public void A_completion_that_a_completion_routine_may_have_stopped_leaves_a_doubt()
    {
        var story = Story();
        foreach (var polls in Enumerable.Range(0, 151))
        {
            if (polls == 0) story.Switches(VictimThread).Calls().Calls(second: true).Completes(second: true, completionRoutine: true).Switches(ControllerThread).Kills();
            else story.WaitsFor(10, WaitReason.DelayExecution, Polled);
        }

        var fate = story.Lists(Victim, Controller).Fate();
        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, Hold.CancelRoutineDidNotComplete, null));
        fate.Facts.Should().Contain(new TracedFact("an IRP that it sent to a driver was not completed", null));
    }

    [Fact]
    public void Two_processes_with_one_ID_are_two()
    {
        var story = Story().Requests().Kills().Completes().After(3).Ends().Starts(Victim, "second.exe", VictimThread).Hangs().Lists(Victim, Controller);
        var fates = story.Diagnosis().Fates;

        fates.Select(fate => (fate.Image, fate.Answer)).Should().Equal(("victim.exe", Answer.NotAZombie), ("second.exe", Answer.ConsistentWith));
        fates[1].Requests.Should().ContainSingle();
    }

    [Fact]
    public void The_next_thread_with_an_ID_of_the_victims_is_not_the_victims()
    {
        // The controller's new thread waits for a request for ever; the victim went long ago.
        var story = Story().Requests().Kills().Completes().After(3).Ends().Switches(ControllerThread).Thread(KernelTraceEvents.ThreadStart, Controller, VictimThread)
            .Switches(VictimThread).Calls(second: true).Switches(0).After(600_000).Lists(Controller);
        var diagnosis = story.Diagnosis();

        (diagnosis.Verdict, diagnosis.Fates.Single().Answer).Should().Be(("none", Answer.NotAZombie));
    }

    [Fact]
    public void A_driver_that_was_unloaded_is_not_another_at_its_place()
    {
        const ulong place = 0xFFFF_F803_0000_0000;
        var story = Story().Image(place, 0x1000, "early.sys", KernelTraceEvents.ImageLoad).Image(place, 0x1000, "early.sys", KernelTraceEvents.ImageUnload).Image(place, 0x2000, "late.sys", KernelTraceEvents.ImageLoad);
        var fate = story.Hangs().Lists(Victim, Controller).Fate();
        fate.Driver.Should().Be("first.sys");
    }
}
