using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Verdicts;

/// <summary>STATUS_PENDING and IoMarkIrpPending belong together.</summary>
public sealed class PendingRuleTests
{
    private const uint Code = 0x222000;

    private static IReadOnlyList<Finding> Findings(NtStatus returned, bool marked, bool finishedFirst = false)
    {
        var tale = Tale.Pending();
        var irp = Tale.Irp + 0x1000;
        tale.Add(new IrpSent(irp, "another", IrpMajor.DeviceControl, Code, Tale.Device, "guilty.sys", 1, Tale.VictimTid));
        Observation[] rest = [new DispatchReturned(irp, "another", returned), new IrpFinished(irp, "another", marked)];
        foreach (var seen in finishedFirst ? rest.Reverse() : rest) tale.Add(seen);
        return Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence).Findings;
    }

    [Fact]
    public void Catches_a_driver_that_returns_STATUS_PENDING_for_an_IRP_it_did_not_mark()
    {
        foreach (var finishedFirst in new[] { false, true })
            Findings(NtStatus.Pending, marked: false, finishedFirst).Should().ContainSingle(f => f.Id == "pending-not-marked").Which.Driver.Should().Be("guilty.sys");
    }

    [Fact]
    public void Catches_a_driver_that_marks_an_IRP_and_returns_another_status()
    {
        foreach (var finishedFirst in new[] { false, true })
            Findings(NtStatus.Cancelled, marked: true, finishedFirst).Should().ContainSingle(f => f.Id == "pending-not-returned").Which.Driver.Should().Be("guilty.sys");
    }

    [Fact]
    public void Is_quiet_about_drivers_that_do_both_or_neither()
    {
        Findings(NtStatus.Pending, marked: true).Should().NotContain(f => f.Id.StartsWith("pending-"));
        Findings(NtStatus.Success, marked: false).Should().NotContain(f => f.Id.StartsWith("pending-"));
    }

    [Fact]
    public void An_IRP_that_is_still_out_is_not_judged()
    {
        Judge.Of(Tale.Run(Outcome.Zombie), Tale.Zombie().Evidence).Findings.Should().NotContain(f => f.Id.StartsWith("pending-"));
    }
}
