using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Kernel;

/// <summary>Completion ports, and requests that belong to a file instead of a thread.</summary>
public sealed class IoPortsTests
{
    private const uint Echo = 0x222000, Pend = 0x222004, Hang = 0x222008;

    private static Act Join => new AssociateCompletionPort(Handle);

    private static Act Dequeue => new DequeueCompletion(Handle, Request);

    [Fact]
    public void A_synchronous_file_can_have_no_port()
    {
        var run = Of("myfault", Client(Open(), Join), Controller(After(1)));

        run.Returned("CreateIoCompletionPort").Status.Should().Be(NtStatus.InvalidParameter);
    }

    [Fact]
    public void A_file_can_have_no_second_port()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Join, Join), Controller(After(1)));

        run.All<CallReturned>().Where(call => call.Call == "CreateIoCompletionPort").Select(call => call.Status).Should().Equal(NtStatus.Success, NtStatus.InvalidParameter);
    }

    [Fact]
    public void A_request_that_completes_at_once_leaves_its_packet_its_output_and_no_irp()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Join, new DeviceControl(Handle, Request, Echo, [1, 2, 3], 2), Dequeue, new Exit(0)), Controller(After(1), Look()));

        run.Returned("GetQueuedCompletionStatus").Should().Match<CallReturned>(call => call.Status == NtStatus.Success && call.Information == 2 && call.Request == Request);
        run.VictimEnded.Should().BeTrue();
        run.Sent(IrpMajor.Close).Should().ContainSingle("nothing keeps the file object");
        run.All<DriverFault>().Should().BeEmpty();
    }

    [Fact]
    public void Who_waits_for_a_packet_is_woken_by_a_completion_from_another_process()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Join, Ask(Hang), Dequeue, new Exit(0)),
            Controller(new OpenDevice("c"), UntilPending, After(3), Look("before"), Release, After(1), Look()));

        run.Threads("before").Should().ContainSingle().Which.Should().Match<Harness.Core.Diagnosis.ThreadRecord>(thread => thread.WaitReason == WaitReason.WrQueue && thread.Irps.Count == 0,
            "the IRP is on the file's list, to which only a dying thread leads");
        run.Returned("GetQueuedCompletionStatus").Should().Match<CallReturned>(call => call.Status == NtStatus.Success && call.At == TimeSpan.FromSeconds(3));
        run.VictimEnded.Should().BeTrue();
    }

    [Fact]
    public void A_packet_tells_that_its_request_was_cancelled()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Join, Ask(Pend), new CancelIoEx(Handle, Request), Dequeue), Controller(After(1)));

        run.Returned("CancelIoEx").Status.Should().Be(NtStatus.Success);
        run.Returned("GetQueuedCompletionStatus").Status.Should().Be(NtStatus.Cancelled);
    }

    [Fact]
    public void CancelIo_finds_what_its_own_thread_asked_of_a_file_with_a_port_and_no_other()
    {
        var run = Of("myfault",
            Client(Thread("first", Open(overlapped: true), Join, Ask(Pend), After(100)), Thread("second", After(1), Ask(Pend, "other"), new CancelIo(Handle), After(100))),
            Controller(After(2)));

        run.The<CancelRequested>().Request.Should().Be("other");
        run.Returned("CancelIo").Status.Should().Be(NtStatus.Success);
    }

    [Fact]
    public void A_request_outlives_the_thread_that_sent_it()
    {
        var run = Of("myfault",
            Client(Thread("sender", Open(overlapped: true), Join, Ask(Hang)), Thread("receiver", After(10), Dequeue, new Exit(0))),
            Controller(new OpenDevice("c"), After(1), Look("sent"), After(20), Release, After(1), Look()));

        run.All<ThreadEnded>().First().At.Should().Be(TimeSpan.Zero, "nobody waits for its request when it ends");
        run.All<CancelRequested>().Should().BeEmpty();
        run.Returned("GetQueuedCompletionStatus").Should().Match<CallReturned>(call => call.Status == NtStatus.Success && call.At == TimeSpan.FromSeconds(21));
        run.VictimEnded.Should().BeTrue();
        run.All<BugChecked>().Should().BeEmpty();
    }

    [Fact]
    public void A_killed_process_waits_where_it_closes_the_handle_after_the_cleanup_and_for_ever()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Join, Ask(Hang), Dequeue), Controller(UntilPending, Kill, After(4_000), Look()));

        var state = run.State();
        state.Should().Match<ProcessState>(victim => victim.Listed && !victim.Signalled && victim.ExitStatus.Value == 0x77);
        state.Threads.Should().ContainSingle().Which.Should().Match<ThreadStateSeen>(thread => thread.WaitReason == WaitReason.DelayExecution && thread.IoPending == false);
        var thread = run.Threads().Should().ContainSingle().Subject;
        Names(thread).Should().Contain("nt!KeDelayExecutionThread nt!IopCleanupProcessResources nt!IopCloseFile nt!ObpDecrementHandleCount nt!ObCloseHandleTableEntry nt!ExSweepHandleTable nt!ObKillProcess nt!PspRundownSingleProcess nt!PspExitThread");
        thread.Irps.Should().ContainSingle().Which.Should().Match<Harness.Core.Diagnosis.IrpRecord>(irp => irp.List == "file" && irp.Cancel && irp.Holder == "myfault.sys");
        var cleanup = run.Sent(IrpMajor.Cleanup).Should().ContainSingle().Subject;
        run.The<CancelRequested>().Should().Match<CancelRequested>(cancel => cancel.N > cleanup.N && cancel.By.StartsWith("nt!IopCleanupProcessResources"));
        run.All<IrpDisassociated>().Should().BeEmpty();
    }

    [Fact]
    public void A_late_completion_lets_it_go_at_its_next_look()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Join, Ask(Hang), Dequeue),
            Controller(new OpenDevice("c"), UntilPending, Kill, After(600.05), Release, After(1), Look()));

        run.FromKillToEnd.Should().BeCloseTo(TimeSpan.FromSeconds(600.1), TimeSpan.FromMilliseconds(1));
        run.Sent(IrpMajor.Close).Should().ContainSingle();
        run.All<BugChecked>().Should().BeEmpty();
        run.All<DriverFault>().Should().BeEmpty();
    }

    [Fact]
    public void A_driver_that_cancels_in_its_cleanup_leaves_nothing_to_wait_for()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Join, Ask(Pend), Dequeue), Controller(UntilPending, Kill, After(1)));

        run.FromKillToEnd.Should().Be(TimeSpan.Zero);
        run.All<CancelRequested>().Should().BeEmpty("the cleanup routine completed the request");
        run.All<IrpCompleted>().Single(completed => completed.Request == Request).Status.Should().Be(NtStatus.Cancelled);
    }

    [Fact]
    public void A_request_sent_before_the_file_had_a_port_is_its_thread_s_to_wait_for()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Ask(Hang), Join, Dequeue), Controller(After(1), Kill, After(60), Look()));

        Names(run.Threads().Should().ContainSingle().Subject).Should().Contain("nt!IoCancelThreadIo nt!PspExitThread");
    }
}
