using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Scenarios;
using Scenarios.Tests.Vocabulary;
using Xunit;

namespace Scenarios.Tests;

public sealed class HangIrpTests
{
    [Fact]
    public void Myfault_s_defect_leaves_the_zombie_it_is_made_for() => Rehearsal.Of(new HangIrp())
        .Should().Pass().WithFinding("zombie-no-cancel-routine", "myfault.sys")
        .LeaveZombie("victim").WaitingIn("nt!IopCancelAlertedRequest").Because(WaitReason.Executive).HeldBy("myfault.sys");

    [Theory]
    [InlineData("nt!KeWaitForSingleObject")]
    [InlineData("nt!IopSynchronousServiceTail")]
    [InlineData("nt!IopXxxControlFile")]
    [InlineData("nt!NtDeviceIoControlFile")]
    public void The_zombie_s_kernel_stack_is_the_one_that_windows_shows(string function) => Rehearsal.Of(new HangIrp())
        .Should().LeaveZombie("victim").WaitingIn(function);

    [Fact]
    public void The_zombie_is_still_there_after_a_day() => Rehearsal.Of(new HangIrp(), settle: TimeSpan.FromDays(1))
        .Should().Pass().LeaveZombie("victim").WaitingIn("nt!IopCancelAlertedRequest");

    [Fact]
    public void Passes_a_driver_that_pends_soundly() => Rehearsal.Of(new HangIrp(), ioctl: MyFault.Pend.Code)
        .Should().Pass().WithoutFindings().EndWithin(TimeSpan.FromMilliseconds(1));

    [Fact]
    public void Catches_a_driver_that_pends_without_a_cancel_routine() => Rehearsal.Of(new HangIrp(), expect: Outcome.Ended)
        .Should().Fail().WithFinding("zombie-no-cancel-routine", "myfault.sys").LeaveZombie("victim").HeldBy("myfault.sys");

    [Fact]
    public void Catches_a_sound_driver_where_a_zombie_was_expected() => Rehearsal.Of(new HangIrp(), ioctl: MyFault.Pend.Code, expect: Outcome.Zombie)
        .Should().Fail().EndWithin(TimeSpan.FromMilliseconds(1));

    [Fact]
    public void Cannot_tell_of_a_request_that_is_over_before_the_kill() => Rehearsal.Of(new HangIrp(), ioctl: MyFault.Echo.Code, input: [1, 2, 3], outputLength: 3)
        .Should().BeInconclusive("before 'victim'");

    [Fact]
    public void Cannot_tell_of_a_device_that_is_not_there() => Rehearsal.Of(new HangIrp(), Rehearsal.CommittedMyFault with { Driver = Rehearsal.CommittedMyFault.Driver with { Device = @"\Device\Nobody" } })
        .Should().BeInconclusive("could not open the device");

    [Fact]
    public void Finds_the_device_by_its_symbolic_link() => Rehearsal.Of(new HangIrp(), Rehearsal.CommittedMyFault with { Driver = Rehearsal.CommittedMyFault.Driver with { Device = @"\??\MyFault" } })
        .Should().Pass().LeaveZombie("victim").HeldBy("myfault.sys");
}
