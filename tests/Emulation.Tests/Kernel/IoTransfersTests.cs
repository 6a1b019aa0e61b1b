using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Kernel;

/// <summary>Reads and writes. They differ from device controls: their completion is deferred to the issuing thread when nothing was pended.</summary>
public sealed class IoTransfersTests
{
    [Fact]
    public void A_write_gives_its_bytes_and_ends_the_read_that_waits_for_them()
    {
        var run = Of("read-write", Client(Open(), new ReadFile(Handle, Request, 16)),
            Controller(new OpenDevice("c"), UntilPending, Look(), new WriteFile("c", "write", [1, 2, 3]), After(1)));

        run.Threads().Should().ContainSingle().Which.Irps.Should().ContainSingle().Which.Locations[0].Major.Should().Be(IrpMajor.Read);
        run.Returned("ReadFile").Should().Match<CallReturned>(read => read.Status == NtStatus.Success && read.Information == 3);
        run.Returned("WriteFile", Story.Controller).Should().Match<CallReturned>(write => write.Status == NtStatus.Success && write.Information == 3);
    }

    [Fact]
    public void A_read_that_waits_is_cancelled_with_its_process()
    {
        var run = Of("read-write", Client(Open(), new ReadFile(Handle, Request, 16)), Controller(UntilPending, Kill, After(1)));

        run.FromKillToEnd.Should().Be(TimeSpan.Zero);
        run.All<IrpCompleted>().Single(completed => completed.Request == Request).Status.Should().Be(NtStatus.Cancelled);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_read_that_is_never_pended_is_completed_by_its_issuer(bool overlapped)
    {
        var run = Of("kernel-probe", Client(Open(overlapped), new ReadFile(Handle, Request, 1, 0x1234), new WriteFile(Handle, "write", [0xAB])), Controller(After(1)));

        run.Printed.Should().Equal("read at offset: 1234", "written: ab");
        run.Returned("ReadFile").Should().Match<CallReturned>(read => read.Status == NtStatus.Success && read.Information == 1);
        run.Returned("WriteFile").Should().Match<CallReturned>(write => write.Status == NtStatus.Success && write.Information == 1);
        run.VictimEnded.Should().BeTrue();
        run.Sent(IrpMajor.Close).Should().ContainSingle();
    }

    [Fact]
    public void A_read_that_says_pending_without_marking_it_is_never_finished()
    {
        var run = Of("kernel-probe", Client(Open(), new ReadFile(Handle, Request, 2)), Controller(After(60), Look()));

        run.All<IrpFinished>().Should().Contain(finished => finished.Request == Request && !finished.PendingReturned);
        run.All<CallReturned>().Should().NotContain(call => call.Call == "ReadFile");
        run.Threads().Should().ContainSingle().Which.State.Should().Be(ThreadState.Waiting);
    }

    [Fact]
    public void A_device_control_that_says_pending_without_marking_it_is_finished_when_it_succeeds()
    {
        var run = Of("kernel-probe", Client(Open(), Ask(0x222038)), Controller(After(60)));

        run.Returned("DeviceIoControl").Status.Should().Be(NtStatus.Success);
        run.End.At.Should().BeCloseTo(TimeSpan.FromMilliseconds(3), TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public void A_device_control_that_says_pending_without_marking_it_and_fails_is_never_finished()
    {
        var run = Of("never-pending-complete-error", Client(Open(), Ask(0x222000)), Controller(After(60), Look()));

        run.All<CallReturned>().Should().NotContain(call => call.Call == "DeviceIoControl");
        run.Threads().Should().ContainSingle().Which.State.Should().Be(ThreadState.Waiting);
    }
}
