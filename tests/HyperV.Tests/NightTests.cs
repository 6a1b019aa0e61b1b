using FluentAssertions;
using Harness.Cli;
using Harness.Emulation;
using Harness.HyperV;
using Xunit;

namespace HyperV.Tests;

/// <summary>The nightly run goes through a guest as it goes through the emulated machine.</summary>
public sealed class NightTests
{
    [Fact]
    public void A_night_in_a_guest_is_compared_as_any_other()
    {
        using var host = new Host().MadeReady().Tells("pend-then-terminate").Tells("pend-then-cancel").Tells("pend-then-terminate").Tells("pend-then-cancel");

        Night(host).Should().Be((ExitCode.Pass, "no regression"));
        Night(host).Should().Be((ExitCode.Pass, "no regression"));

        host.AskedBelow("results").Count(step => step == "Restore").Should().Be(1, "one boot is enough for guests that stay fit");
        host.LeftOvers.Should().BeEmpty();
    }

    [Fact]
    public void A_guest_that_is_lost_at_night_is_a_regression_and_the_night_goes_on()
    {
        using var host = new Host().MadeReady().Tells("pend-then-terminate").Tells("pend-then-cancel")
            .Fine("Copy").Fails("Run", "guestGone", "the session broke").Says("Connect", new HostAnswer(true, Boot: "2")).MadeReady("3").Tells("pend-then-cancel");

        Night(host).Should().Be((ExitCode.Pass, "no regression"));
        Night(host).Should().Be((ExitCode.Fail, "1 regression"));

        File.ReadAllText(host.At("results", "nightly", "summary.md")).Should().Contain("| **newly inconclusive** | pend-then-terminate | myfault.sys | hyperv | pass then; now: The target stopped the run")
            .And.Contain("restarted without leaving a kernel dump");
        host.Refused.Should().BeEmpty();
    }

    [Fact]
    public void A_machine_that_is_not_there_ends_the_night_with_one_line()
    {
        using var host = new Host().Fails("Check", "noSuchVm", "there is no virtual machine 'TestVm' on this host");
        var error = new StringWriter();

        Night(host, error).Code.Should().Be(ExitCode.Unusable);

        error.ToString().Should().Be("driverfault: target 'hyperv': there is no virtual machine 'TestVm' on this host\n");
        File.ReadAllText(host.At("results", "nightly", "summary.md")).Should().StartWith("# driverfault nightly: did not finish");
    }

    private static (ExitCode Code, string LastLine) Night(Host host, StringWriter? error = null)
    {
        using var output = new StringWriter { NewLine = "\n" };
        error ??= new StringWriter();
        error.NewLine = "\n";
        var around = new Surroundings(output, error, false, TimeProvider.System, [new EmulatedTarget(), host.Target], "driverfault", host.At(), null, Debug: false);
        var code = DriverFault.Run(["nightly", "pend-then-terminate", "pend-then-cancel", "--target", "hyperv", "--vm", "TestVm"], around);
        return (code, output.ToString().TrimEnd('\n').Split('\n')[^1]);
    }
}
