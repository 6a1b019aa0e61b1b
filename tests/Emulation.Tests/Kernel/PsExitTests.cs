using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Kernel;

/// <summary>What a kill does, kind by kind: the table of observations of an NT kernel, row by row.</summary>
public sealed class PsExitTests
{
    private const uint Pend = 0x222004, Hang = 0x222008;

    private static readonly TimeSpan FiveMinutes = TimeSpan.FromMilliseconds(300_100);

    [Fact]
    public void A_synchronous_request_that_hangs_keeps_its_process_for_ever()
    {
        var run = Of("myfault", Client(Open(), Ask(Hang)), Controller(UntilPending, Kill, After(86_400), Look(), new Terminate(Victim, 0x78), After(1), Look("again")));

        foreach (var checkpoint in (string[])["then", "again"])
        {
            var state = run.State(checkpoint);
            state.Listed.Should().BeTrue();
            state.Signalled.Should().BeFalse();
            state.ExitStatus.Value.Should().Be(0x103);
            state.HandleCount.Should().BeGreaterThan(0);
            state.Threads.Should().ContainSingle().Which.Should().Match<ThreadStateSeen>(t => t.State == ThreadState.Waiting && t.WaitReason == WaitReason.Executive && t.IoPending == true);
        }
        var thread = run.Threads().Should().ContainSingle().Subject;
        thread.WaitMode.Should().Be(ProcessorMode.KernelMode);
        thread.Alertable.Should().BeFalse();
        Names(thread).Should().Contain("nt!KeWaitForSingleObject nt!IopCancelAlertedRequest nt!IopSynchronousServiceTail nt!IopXxxControlFile nt!NtDeviceIoControlFile");
        thread.Irps.Should().ContainSingle().Which.Should().Match<Harness.Core.Diagnosis.IrpRecord>(irp => irp.Cancel && irp.CancelRoutine == null && irp.Holder == "myfault.sys");
        run.Sent(IrpMajor.Cleanup).Should().BeEmpty();
        run.All<CallReturned>().Where(call => call.Call == "TerminateProcess").Should().HaveCount(2).And.OnlyContain(call => call.Status == NtStatus.Success);
        run.VictimEnded.Should().BeFalse();
    }

    [Fact]
    public void A_late_completion_lets_it_go_and_the_dying_thread_cleans_up_and_closes()
    {
        var run = Of("myfault", Client(Open(), Ask(Hang)),
            Controller(new OpenDevice("c"), UntilPending, Kill, After(60), Look(), Release, After(1), Look("released")));

        run.State().Signalled.Should().BeFalse();
        run.State("released").Signalled.Should().BeTrue();
        run.End.ExitStatus.Value.Should().Be(0x77);
        run.FromKillToEnd.Should().BeCloseTo(TimeSpan.FromSeconds(60), TimeSpan.FromMilliseconds(1));
        var victim = run.Caller("DeviceIoControl");
        var cleanup = run.Sent(IrpMajor.Cleanup).Should().ContainSingle().Subject;
        var close = run.Sent(IrpMajor.Close).Should().ContainSingle().Subject;
        cleanup.Tid.Should().Be(victim);
        close.Tid.Should().Be(victim);
        cleanup.N.Should().BeLessThan(close.N);
        close.N.Should().BeLessThan(run.End.N);
    }

    [Theory]
    [InlineData("gcc-O0")]
    [InlineData("gcc-O2")]
    [InlineData("clang-O2")]
    public void A_sound_cancel_routine_runs_in_the_victim_at_DISPATCH_LEVEL_with_APC_LEVEL_saved(string variant)
    {
        var run = In(variant, "kernel-probe", 0, Client(Open(), Ask(0x22201C)), Controller(UntilPending, Kill, After(1), Look()));

        run.Printed.Should().Equal("cancel routine at IRQL: 2", "CancelIrql: 1", "Cancel: 1", "CancelRoutine: 0", "after the release: 1");
        run.FromKillToEnd.Should().BeLessThan(TimeSpan.FromMilliseconds(16));
        run.The<CancelRequested>().By.Should().StartWith("nt!IopCancelAlertedRequest");
        run.All<IrpCompleted>().Single(c => c.Request == Request).Status.Should().Be(NtStatus.Cancelled);
        run.All<DriverFault>().Should().BeEmpty();
    }

    [Fact]
    public void A_cancel_routine_that_completes_nothing_leaves_a_thread_that_polls_every_10_ms()
    {
        var run = Of("noop-cancel", Client(Open(), Ask(0x222000)), Controller(UntilPending, Kill, After(600), Look()));

        run.All<CancelRoutineReturned>().Should().ContainSingle();
        var thread = run.Threads().Should().ContainSingle().Subject;
        thread.WaitReason.Should().Be(WaitReason.DelayExecution);
        Names(thread).Should().Contain("nt!KeDelayExecutionThread nt!IopCancelAlertedRequest nt!IopSynchronousServiceTail");
        run.State().ExitStatus.Value.Should().Be(0x103);
        run.Sent(IrpMajor.Cleanup).Should().BeEmpty();
    }

    [Fact]
    public void A_thread_that_waits_in_kernel_mode_in_the_driver_stays_and_nobody_cancels()
    {
        var run = Of("blocking-dispatch", Client(Open(), Ask(0x222000)), Controller(After(1), Kill, After(600), Look()));

        run.VictimEnded.Should().BeFalse();
        run.All<CancelRequested>().Should().BeEmpty();
        var thread = run.Threads().Should().ContainSingle().Subject;
        thread.Irps.Should().ContainSingle().Which.Cancel.Should().BeFalse();
        thread.Stack.Should().Contain(frame => frame.Module == "blocking-dispatch.sys");
    }

    [Fact]
    public void A_thread_that_waits_in_user_mode_in_the_driver_is_told_STATUS_USER_APC_and_ends()
    {
        var run = Of("kernel-probe", Client(Open(), Ask(0x222014)), Controller(After(1), Kill, After(1), Look()));

        run.Printed.Should().Equal("user-mode wait: c0");
        run.FromKillToEnd.Should().Be(TimeSpan.Zero);
        run.All<CancelRequested>().Should().BeEmpty();
    }

    [Fact]
    public void A_critical_region_keeps_the_exit_APC_from_a_user_mode_wait()
    {
        var run = Of("kernel-probe", Client(Open(), Ask(0x222018)), Controller(After(1), Kill, After(600), Look()));

        run.Printed.Should().BeEmpty();
        run.VictimEnded.Should().BeFalse();
        run.Threads().Should().ContainSingle().Which.WaitMode.Should().Be(ProcessorMode.UserMode);
    }

    [Fact]
    public void A_second_thread_that_waits_for_the_file_lock_dies_and_the_first_stays()
    {
        var run = Of("myfault",
            Client(Thread("first", Open(), Ask(Hang)), Thread("second", After(1), Ask(Hang, "other"))),
            Controller(After(2), Look("before"), Kill, After(600), Look()));

        run.Threads("before").Should().HaveCount(2);
        Names(run.Threads("before")[1]).Should().Contain("nt!KeWaitForSingleObject nt!IopXxxControlFile nt!NtDeviceIoControlFile");
        run.All<ThreadEnded>().Should().ContainSingle();
        Names(run.Threads().Should().ContainSingle().Subject).Should().Contain("nt!IopCancelAlertedRequest");
        run.All<IrpSent>().Should().NotContain(sent => sent.Request == "other");
    }

    [Fact]
    public void A_second_thread_that_closes_the_handle_stays_too_and_cleans_up_once_the_first_is_released()
    {
        var run = Of("myfault",
            Client(Thread("first", Open(), Ask(Hang)), Thread("second", After(1), new Close(Handle))),
            Controller(new OpenDevice("c"), After(2), Kill, After(600), Look(), Release, After(1), Look("released")));

        run.Threads().Should().HaveCount(2).And.OnlyContain(thread => thread.WaitMode == ProcessorMode.KernelMode && !thread.Alertable);
        Names(run.Threads()[1]).Should().Contain("nt!KeWaitForSingleObject nt!IopCloseFile");
        run.Sent(IrpMajor.Cleanup).Should().ContainSingle().Which.Tid.Should().Be(run.Caller("CloseHandle"));
        run.Sent(IrpMajor.Close).Should().ContainSingle().Which.Tid.Should().Be(run.Caller("CloseHandle"));
        run.Sent(IrpMajor.Cleanup).Single().At.Should().BeGreaterThan(TimeSpan.FromSeconds(600));
        run.End.ExitStatus.Value.Should().Be(0x77);
    }

    [Fact]
    public void An_overlapped_request_that_hangs_keeps_its_process_for_five_minutes()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Ask(Hang), new AwaitRequest(Request)),
            Controller(new OpenDevice("c"), UntilPending, Kill, After(299), Look(), After(10), Look("given up"), Release, After(1)));

        var state = run.State();
        state.Signalled.Should().BeFalse();
        state.ExitStatus.Value.Should().Be(0x77);
        state.HandleCount.Should().BeGreaterThan(0);
        var thread = run.Threads().Should().ContainSingle().Subject;
        thread.WaitReason.Should().Be(WaitReason.DelayExecution);
        Names(thread).Should().Contain("nt!KeDelayExecutionThread nt!IoCancelThreadIo nt!PspExitThread");
        run.FromKillToEnd.Should().Be(FiveMinutes);
        var dropped = run.The<IrpDisassociated>();
        dropped.Driver.Should().Be("myfault.sys");
        run.Sent(IrpMajor.Cleanup).Should().ContainSingle().Which.N.Should().BeInRange(dropped.N, run.End.N);
        // The IRP still holds the file object: IRP_MJ_CLOSE comes with the late completion, in the thread that completes.
        var close = run.Sent(IrpMajor.Close).Should().ContainSingle().Subject;
        close.N.Should().BeGreaterThan(run.All<ProcessStates>().Single(s => s.Checkpoint == "given up").N);
        close.Tid.Should().Be(run.All<CallEntered>().First(call => call.Process == Story.Controller).Tid);
        run.All<BugChecked>().Should().BeEmpty();
        run.All<DriverFault>().Should().BeEmpty();
    }

    [Fact]
    public void A_second_thread_that_closes_the_handle_waits_for_the_file_lock_and_stays_with_the_first()
    {
        var run = Of("myfault",
            Client(Thread("first", Open(), Ask(Hang)), Thread("closer", After(1), new Close(Handle))),
            Controller(new OpenDevice("c"), After(2), Kill, After(600), Look(), Release, After(1)));

        run.Threads().Should().HaveCount(2).And.OnlyContain(thread => thread.WaitMode == ProcessorMode.KernelMode && !thread.Alertable);
        Names(run.Threads()[1]).Should().Contain("nt!KeWaitForSingleObject nt!IopCloseFile nt!ObpDecrementHandleCount");
        run.Threads()[1].WaitObject!.BelongsTo.Should().EndWith("(Lock)");
        // With the completion both go, and the closer's thread it is that cleans up and closes.
        run.FromKillToEnd.Should().BeCloseTo(TimeSpan.FromSeconds(600), TimeSpan.FromMilliseconds(1));
        var closer = run.Caller("CloseHandle");
        run.Sent(IrpMajor.Cleanup).First().Should().Match<IrpSent>(sent => sent.Tid == closer && sent.At > TimeSpan.FromSeconds(600));
        run.Sent(IrpMajor.Close).First().Tid.Should().Be(closer);
    }

    [Fact]
    public void A_thread_whose_create_is_pended_stays_and_nobody_cancels_it()
    {
        var run = Of("myfault", Client(new OpenDevice(Handle, File: @"\hang-create", Request: Request)),
            Controller(new OpenDevice("c"), UntilPending, Kill, After(600), Look(), Release, After(1)));

        run.All<CancelRequested>().Should().BeEmpty();
        var thread = run.Threads().Should().ContainSingle().Subject;
        Names(thread).Should().Contain("nt!KeWaitForSingleObject nt!IopParseDevice nt!IopCreateFile nt!NtCreateFile");
        thread.Irps.Should().ContainSingle().Which.Should().Match<Harness.Core.Diagnosis.IrpRecord>(irp => !irp.Cancel && irp.Holder == "myfault.sys");
        run.All<IrpSent>().Single(sent => sent.Request == Request).Major.Should().Be(IrpMajor.Create);
        // Completed, the create gives a handle to a process that is on its way out, and its rundown closes it.
        run.FromKillToEnd.Should().BeCloseTo(TimeSpan.FromSeconds(600), TimeSpan.FromMilliseconds(1));
        run.Sent(IrpMajor.Cleanup).Should().Contain(sent => sent.N < run.End.N);
    }

    [Fact]
    public void Of_two_overlapped_requests_that_hang_one_is_given_up_in_each_pass()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Ask(Hang), Ask(Hang, "other"), new AwaitRequest(Request)),
            Controller(UntilPending, After(1), Kill, After(400), Look()));

        run.All<IrpDisassociated>().Select(dropped => dropped.At).Should().HaveCount(2).And.OnlyHaveUniqueItems();
        run.FromKillToEnd.Should().Be(FiveMinutes + TimeSpan.FromMilliseconds(100));
    }

    [Fact]
    public void An_overlapped_request_with_a_sound_cancel_routine_is_gone_at_the_first_poll()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Ask(Pend), new AwaitRequest(Request)), Controller(UntilPending, Kill, After(1), Look()));

        run.FromKillToEnd.Should().Be(TimeSpan.FromMilliseconds(100));
        run.The<CancelRequested>().By.Should().StartWith("nt!IoCancelThreadIo");
    }

    [Fact]
    public void A_client_that_just_returns_waits_in_rundown_like_one_that_is_killed()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Ask(Hang), new Exit(7)), Controller(After(10), Look(), new UntilGone(Victim, TimeSpan.FromHours(1))));

        run.State().Should().Match<ProcessState>(state => !state.Signalled && state.ExitStatus.Value == 7);
        Names(run.Threads().Single()).Should().Contain("nt!IoCancelThreadIo");
        run.End.At.Should().BeCloseTo(FiveMinutes, TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public void The_last_thread_waits_for_one_that_is_still_in_its_rundown()
    {
        var run = Of("myfault",
            Client(Thread("first", Open(overlapped: true), Ask(Hang)), Thread("last", After(5))),
            Controller(After(10), Look(), new UntilGone(Victim, TimeSpan.FromHours(1))));

        run.State().Signalled.Should().BeFalse();
        run.Threads().Should().HaveCount(2);
        Names(run.Threads()[1]).Should().Contain("nt!KeWaitForSingleObject nt!PspExitThread");
        run.End.At.Should().BeCloseTo(FiveMinutes, TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public void Another_process_on_the_same_device_is_not_touched()
    {
        var run = Of("myfault", Client(Open(), Ask(Pend)), new ClientProcess("bystander", [Thread("main", new OpenDevice("b"), Ask(Pend, "calm", "b"))]),
            Controller(UntilPending, new UntilWaiting("bystander", "calm", TimeSpan.FromSeconds(5)), Kill, After(600), Look()));

        run.VictimEnded.Should().BeTrue();
        run.State(process: "bystander").Should().Match<ProcessState>(state => !state.Signalled && state.Threads.Count == 1);
        run.The<CancelRequested>().Request.Should().Be(Request);
    }
}
