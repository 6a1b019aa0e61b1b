using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Kernel;

public sealed class IoCancelTests
{
    private const uint Pend = 0x222004, Hang = 0x222008;

    [Fact]
    public void CancelIo_waits_for_a_request_that_hangs()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Ask(Hang), new CancelIo(Handle)),
            Controller(new OpenDevice("c"), After(600), Look(), Release, After(1)));

        var thread = run.Threads().Should().ContainSingle().Subject;
        Names(thread).Should().Contain("nt!KeDelayExecutionThread nt!NtCancelIoFile");
        thread.WaitMode.Should().Be(ProcessorMode.KernelMode);
        run.Returned("CancelIo").At.Should().BeCloseTo(TimeSpan.FromSeconds(600), TimeSpan.FromMilliseconds(10));
        run.Returned("CancelIo").Status.Should().Be(NtStatus.Success);
    }

    [Fact]
    public void CancelIo_leaves_another_thread_s_requests_alone()
    {
        var run = Of("myfault", Client(Thread("first", Open(overlapped: true), Ask(Pend), new AwaitRequest(Request)), Thread("second", After(1), new CancelIo(Handle))), Controller(After(5), Look()));

        run.Returned("CancelIo").Status.Should().Be(NtStatus.Success);
        run.All<CancelRequested>().Should().BeEmpty();
        run.Threads().Should().ContainSingle();
    }

    [Fact]
    public void CancelIoEx_finds_the_requests_of_all_threads_or_one_and_does_not_wait()
    {
        var run = Of("myfault",
            Client(Thread("first", Open(overlapped: true), Ask(Pend), Ask(Hang, "other"), new AwaitRequest(Request)), Thread("second", After(1), new CancelIoEx(Handle, "other"))),
            Controller(After(5), Look()));

        run.Returned("CancelIoEx").Status.Should().Be(NtStatus.Success);
        run.The<CancelRequested>().Request.Should().Be("other");
        run.Threads().Should().ContainSingle().Which.Irps.Should().HaveCount(2);
    }

    [Fact]
    public void CancelIoEx_finds_a_request_that_was_cancelled_before_and_hangs_all_the_same()
    {
        var run = Of("myfault", Client(Open(overlapped: true), Ask(Hang), new CancelIoEx(Handle), new CancelIoEx(Handle), new Exit(0)), Controller(After(5)));

        run.All<CallReturned>().Where(call => call.Call == "CancelIoEx").Should().HaveCount(2).And.OnlyContain(call => call.Status == NtStatus.Success);
        run.All<CancelRequested>().Where(cancel => cancel.By.Contains("NtCancelIoFileEx", StringComparison.Ordinal)).Should().ContainSingle();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_cancel_routine_that_is_set_again_is_called_once_by_each_call(bool ex)
    {
        foreach (var variant in Variants)
        {
            var run = In(variant, "requeued-cancel", 0,
                Client(Open(overlapped: true), Ask(0x222000), ex ? new CancelIoEx(Handle) : new CancelIo(Handle), new CancelIoEx(Handle), new Exit(0)), Controller(After(5)));

            run.All<CancelRequested>().Where(cancel => cancel.By.Contains("NtCancelIoFile", StringComparison.Ordinal)).Should().HaveCount(ex ? 2 : 1, variant);
            run.All<DriverFault>().Should().BeEmpty(variant);
        }
    }

    [Fact]
    public void CancelIoEx_says_NOT_FOUND_where_nothing_is_outstanding()
    {
        var run = Of("myfault", Client(Open(overlapped: true), new CancelIoEx(Handle)), Controller(After(5)));

        run.Returned("CancelIoEx").Status.Should().Be(NtStatus.NotFound);
    }

    [Fact]
    public void CancelSynchronousIo_cancels_what_another_thread_waits_for()
    {
        var run = Of("myfault", Client(Thread("first", Open(), Ask(Pend)), Thread("second", After(1), new CancelSynchronousIo("first"))), Controller(After(5)));

        run.Returned("CancelSynchronousIo").Status.Should().Be(NtStatus.Success);
        run.Returned("DeviceIoControl").Status.Should().Be(NtStatus.Cancelled);
        run.The<CancelRequested>().By.Should().StartWith("nt!NtCancelSynchronousIoFile");
    }

    [Fact]
    public void CancelSynchronousIo_does_not_see_an_overlapped_request()
    {
        var run = Of("myfault", Client(Thread("first", Open(overlapped: true), Ask(Pend), new AwaitRequest(Request)), Thread("second", After(1), new CancelSynchronousIo("first"))), Controller(After(5)));

        run.Returned("CancelSynchronousIo").Status.Should().Be(NtStatus.NotFound);
        run.All<CancelRequested>().Should().BeEmpty();
    }

    [Fact]
    public void A_dispatch_routine_that_keeps_a_critical_region_ends_the_run_and_is_named()
    {
        foreach (var variant in Variants)
        {
            var run = Asking(variant, 0x22202C);

            run.The<DriverFault>().Id.Should().Be("critical-region-not-left", variant);
            run.The<DriverFault>().By.Should().StartWith("kernel-probe.sys+");
        }
    }

    [Fact]
    public void A_dispatch_routine_that_returns_at_another_IRQL_ends_the_run_and_is_named()
    {
        foreach (var variant in Variants)
        {
            var run = Asking(variant, 0x222030);

            run.The<DriverFault>().Id.Should().Be("irql-not-restored", variant);
            run.The<DriverFault>().By.Should().StartWith("kernel-probe.sys+");
            run.Evidence[^1].Should().BeOfType<DriverFault>();
        }
    }

    [Theory]
    [InlineData(0x222020, 0x44)]
    [InlineData(0x222024, 0x48)]
    [InlineData(0x222028, 0x35)]
    [InlineData(0x22203C, 0x0A)]
    public void What_stops_NT_stops_the_machine(uint question, uint code)
    {
        foreach (var variant in Variants)
        {
            var run = Asking(variant, question);

            run.The<BugChecked>().Code.Should().Be(code, variant);
            run.Evidence[^1].Should().BeOfType<BugChecked>();
        }
    }
}
