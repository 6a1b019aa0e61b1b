using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Kernel;

/// <summary>tests/drivers/kernel-probe.c asks, the kernel answers: values as wdm.h and the documentation of KeXxx and IoXxx have them.</summary>
public sealed class KernelProbeTests
{
    private const uint Waits = 0x222000, Timers = 0x222004, Dpcs = 0x222008, Apcs = 0x22200C, Completion = 0x222010, Threads = 0x222034;

    [Fact]
    public void Waits_take_from_objects_what_NT_takes() => Answers(Waits,
        "notification event: 0", "notification event again: 0", "synchronization event: 0", "synchronization event again: 102",
        "semaphore of 2: 0", "semaphore of 1: 0", "semaphore of 0: 102", "semaphore released, was: 0", "semaphore is: 2",
        "mutex: 0", "mutex again: 0", "APCs disabled by a mutex: 1", "mutex released once, was: ffffffff", "APCs still disabled: 1", "mutex released twice, was: 0", "APCs disabled after it: 0",
        "any of unset, set: 1", "any of unset, taken: 102", "all of unset, set: 102", "the set one stays set: 1", "all of set, set: 0", "the synchronization event is taken: 0",
        "the same object twice: 0", "after milliseconds: 7", "all, the second by a DPC: 0",
        "time-out: 102", "after milliseconds: 14", "slept milliseconds: 1e");

    [Fact]
    public void Timers_count_from_when_they_are_set() => Answers(Timers,
        "was set: 0", "period 0: 0", "after milliseconds: a", "period 1: 0", "after milliseconds: 23", "period 2: 0", "after milliseconds: 3c",
        "cancelled: 1", "cancelled again: 0", "nothing more: 102",
        "unsignalled: 0", "notification timer: 0", "notification timer again: 0", "set again: 0", "set a third time, was counting: 1", "cancelled while counting: 1",
        "due at once: 0", "and then: 0", "after milliseconds: 28", "never: 102");

    [Fact]
    public void DPCs_run_once_in_their_order_when_the_IRQL_falls() => Answers(Dpcs,
        "IRQL was: 0", "queued: 1", "queued again: 0", "removed: 1", "removed again: 0",
        "DPC urgent: IRQL 2, arguments 7 8", "DPC first: IRQL 2, arguments 1 2", "DPC second: IRQL 2, arguments 5 6",
        "lowered to: 0", "DPC first: IRQL 2, arguments 0 0", "queued at PASSIVE_LEVEL: 1", "after it: 0");

    [Fact]
    public void Guarded_regions_and_APC_LEVEL_hold_a_completion_back_and_critical_regions_do_not() => Answers(Apcs,
        "completed at PASSIVE_LEVEL: 1", "returned: 0", "status: 0",
        "APCs disabled: 1", "all APCs disabled: 0", "completed in a critical region: 1",
        "all APCs disabled: 1", "completed in a guarded region: 0", "after the guarded region: 1",
        "completed in both: 0", "in the critical region alone: 1",
        "completed at APC_LEVEL: 0", "after lowering the IRQL: 1",
        "failed at once: 0", "returned: c0000001", "status block untouched: 7777",
        "pended: 103", "waited: 0", "status: 0");

    [Fact]
    public void Completion_routines_are_called_from_the_bottom_up_where_they_asked_for_it() => Answers(Completion,
        "stack size of the top: 3",
        "kept: status 0, pending 0", "returned 0, completed 0",
        "kept: status c0000001, pending 0", "returned c0000001, completed c0000001",
        "cancelled before it was sent: 0", "kept: status 0, pending 0", "returned 0, completed 0",
        "cancelled before it was sent: 0", "kept: status c0000001, pending 0", "returned c0000001, completed c0000001",
        "passed b: pending 0", "passed c: pending 0", "kept: status 0, pending 0", "returned 0, completed 0",
        "passed b: pending 1", "passed c: pending 1", "kept: status 0, pending 1", "returned 103, completed 0");

    [Fact]
    public void Workers_may_block_and_a_thread_s_end_can_be_waited_for() => Answers(Threads,
        "worker waits at IRQL: 0", "worker waits at IRQL: 0", "worker waits at IRQL: 0", "none is done: 102", "done: 0", "done: 0", "done: 0",
        "thread created: 0", "thread referenced: 0", "it says so: 0", "after milliseconds: f", "it has not ended: 102", "it ends: 0", "after milliseconds: 14", "and stays ended: 0");

    private static void Answers(uint question, params string[] answers)
    {
        foreach (var variant in Variants)
        {
            var run = Asking(variant, question);

            run.All<Unmodelled>().Should().BeEmpty(variant);
            run.All<BugChecked>().Should().BeEmpty(variant);
            run.All<DriverFault>().Should().BeEmpty(variant);
            run.Printed.Should().Equal(answers, variant);
            run.Returned("DeviceIoControl").Status.Should().Be(NtStatus.Success, variant);
        }
    }
}
