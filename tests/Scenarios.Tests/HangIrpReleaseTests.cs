using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Scenarios;
using Scenarios.Tests.Vocabulary;
using Xunit;

namespace Scenarios.Tests;

public sealed class HangIrpReleaseTests
{
    [Fact]
    public void Myfault_s_zombie_dies_when_its_request_is_released()
    {
        var run = Rehearsal.Of(new HangIrpRelease());

        run.Should().Pass().WithFinding("zombie-no-cancel-routine", "myfault.sys").EndNotBefore(TimeSpan.FromMinutes(10)).EndWithin(TimeSpan.FromMinutes(10) + TimeSpan.FromSeconds(1));
        run.Evidence.OfType<IrpCompleted>().Should().ContainSingle(completed => completed.Request == "request").Which.Status.Should().Be(NtStatus.Success);
    }

    [Fact]
    public void Passes_a_driver_that_pends_soundly() => Rehearsal.Of(new HangIrpRelease(), ioctl: MyFault.Pend.Code)
        .Should().Pass().WithoutFindings().EndWithin(TimeSpan.FromMilliseconds(1));

    [Theory]
    [InlineData("gcc-O0")]
    [InlineData("gcc-O2")]
    [InlineData("clang-O2")]
    public void Catches_a_driver_whose_zombie_does_not_die(string variant) => Rehearsal.Of(new HangIrpRelease(), Rehearsal.TestDriver(variant, "noop-cancel", "NoopCancel"), ioctl: 0x222000, expect: Outcome.Zombie, settle: TimeSpan.FromMinutes(1))
        .Should().Fail().WithFinding("zombie-cancel-routine-did-not-complete", "noop-cancel.sys").LeaveZombie("victim").HeldBy("noop-cancel.sys");
}
