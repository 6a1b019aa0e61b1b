using FluentAssertions;
using Harness.Core.Nt;
using Harness.Windows;
using Xunit;

namespace Windows.Tests;

/// <summary>What keeps a process, by what user mode can see of it.</summary>
public sealed class CensusTests
{
    private static readonly ThreadFacts Hung = new(416, ThreadState.Waiting, WaitReason.Executive, IoPending: true);
    private static readonly ProcessFacts Zombie = new(412, "victim.exe", Deleting: true, Signalled: false, [Hung], []);

    private static Remaining? Of(ProcessFacts process) => ZombieCensus.Of([process], null).Remaining.SingleOrDefault();

    [Theory]
    [InlineData(WaitReason.Executive)]
    [InlineData(WaitReason.DelayExecution)]
    public void A_dying_process_whose_thread_waits_with_IO_pending_is_held_by_a_driver(WaitReason reason)
    {
        var found = Of(Zombie with { Threads = [new ThreadFacts(4, ThreadState.Ready, WaitReason.Executive, false), Hung with { WaitReason = reason }] });
        found!.Why.Should().Be(Remnant.IrpZombie);
        found.Says.Should().Contain("victim.exe (pid 412)").And.Contain("thread 416").And.Contain(reason.ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(null)]
    public void Without_IO_on_its_threads_it_cannot_be_told_from_here(bool? pending) =>
        Of(Zombie with { Threads = [Hung with { IoPending = pending }] })!.Why.Should().Be(Remnant.Dying);

    [Fact]
    public void A_wait_in_user_mode_is_no_driver_s() => Of(Zombie with { Threads = [Hung with { WaitReason = WaitReason.UserRequest }] })!.Why.Should().Be(Remnant.Dying);

    [Fact]
    public void A_process_that_nobody_told_to_end_is_none_of_these() => Of(Zombie with { Deleting = false }).Should().BeNull();

    [Fact]
    public void Of_a_process_that_could_not_be_opened_nothing_is_said() => Of(Zombie with { Deleting = null, Signalled = null }).Should().BeNull();

    [Fact]
    public void An_ended_process_is_kept_by_whoever_has_a_handle()
    {
        var found = Of(new ProcessFacts(7, "a.exe", null, Signalled: true, [], [new Holder(9, "b.exe", 2), new Holder(11, "c.exe", 1)]));
        found!.Why.Should().Be(Remnant.KeptByHandle);
        found.Says.Should().Be("a.exe (pid 7) has ended; its process object is kept by b.exe (pid 9, 2 handles), c.exe (pid 11, 1 handle)");
    }

    [Fact]
    public void An_ended_process_nobody_has_a_handle_of_is_gone() => Of(new ProcessFacts(7, "a.exe", null, Signalled: true, [], [])).Should().BeNull();

    [Fact]
    public void Zombies_come_first()
    {
        var kept = new ProcessFacts(7, "a.exe", null, true, [], [new Holder(9, "b.exe", 1)]);
        ZombieCensus.Of([kept, Zombie], "nothing").Remaining.Select(found => found.Process.Pid).Should().Equal(412, 7);
    }
}
