using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Scenarios;
using Scenarios.Tests.Vocabulary;
using Xunit;

namespace Scenarios.Tests;

public sealed class PendThenTerminateTests
{
    [Fact]
    public void Passes_a_driver_that_pends_soundly()
    {
        var run = Rehearsal.Of(new PendThenTerminate());

        run.Should().Pass().WithoutFindings().EndWithin(TimeSpan.FromMilliseconds(1));
        run.Evidence.OfType<CancelRequested>().Should().ContainSingle(cancel => cancel.Request == "request").Which.CancelRoutine.Should().StartWith("myfault.sys+");
        run.Evidence.OfType<IrpCompleted>().Should().ContainSingle(completed => completed.Request == "request").Which.Status.Should().Be(NtStatus.Cancelled);
        run.Evidence.OfType<ProcessEnded>().Should().Contain(ended => ended.Process == "victim" && ended.ExitStatus == new NtStatus(0x77));
    }

    [Fact]
    public void Catches_a_driver_that_pends_without_a_cancel_routine() => Rehearsal.Of(new PendThenTerminate(), ioctl: MyFault.HangIrp.Code)
        .Should().Fail().WithFinding("zombie-no-cancel-routine", "myfault.sys").WithFinding("promise-broken-cancel-routine-ran", "myfault.sys");

    [Theory]
    [InlineData("gcc-O0")]
    [InlineData("gcc-O2")]
    [InlineData("clang-O2")]
    public void Catches_a_driver_that_completes_in_time_but_has_no_cancel_routine(string variant) => Rehearsal.Of(new PendThenTerminate(), Rehearsal.TestDriver(variant, "late-dpc", "LateDpc"), ioctl: 0x222000, cancelled: true)
        .Should().Fail().WithFinding("promise-broken-cancel-routine-ran", "late-dpc.sys").EndWithin(TimeSpan.FromMilliseconds(50));
}
