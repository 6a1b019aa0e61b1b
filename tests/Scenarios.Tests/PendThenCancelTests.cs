using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Scenarios;
using Scenarios.Tests.Vocabulary;
using Xunit;

namespace Scenarios.Tests;

public sealed class PendThenCancelTests
{
    [Fact]
    public void Passes_a_driver_that_pends_soundly()
    {
        var run = Rehearsal.Of(new PendThenCancel());

        run.Should().Pass().WithoutFindings();
        run.Evidence.OfType<CancelRequested>().Should().ContainSingle(cancel => cancel.Request == "request").Which.CancelRoutine.Should().StartWith("myfault.sys+");
        run.Evidence.OfType<IrpCompleted>().Should().ContainSingle(completed => completed.Request == "request").Which.Status.Should().Be(NtStatus.Cancelled);
        run.Evidence.OfType<ProcessEnded>().Should().Contain(ended => ended.Process == "victim" && ended.ExitStatus == NtStatus.Success, "it was not killed: it ended by itself");
    }

    [Fact]
    public void Catches_a_driver_that_pends_without_a_cancel_routine() => Rehearsal.Of(new PendThenCancel(), ioctl: MyFault.HangIrp.Code)
        .Should().Fail().WithFinding("request-not-completed-after-cancel", "myfault.sys");

    [Theory]
    [InlineData("gcc-O0")]
    [InlineData("gcc-O2")]
    [InlineData("clang-O2")]
    public void Catches_a_driver_whose_cancel_routine_completes_nothing(string variant) => Rehearsal.Of(new PendThenCancel(), Rehearsal.TestDriver(variant, "noop-cancel", "NoopCancel"), ioctl: 0x222000)
        .Should().Fail().WithFinding("request-not-completed-after-cancel", "noop-cancel.sys");
}
