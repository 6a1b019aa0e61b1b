using System.Runtime.InteropServices;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Scenarios;
using Harness.Windows;
using Harness.Windows.Native;
using Xunit;

namespace Windows.Tests;

/// <summary>What of the local target holds on any system.</summary>
public sealed class LocalTargetTests
{
    private static readonly LocalTarget Target = new(TimeProvider.System, ["nobody"], null, _ => { });

    [Fact]
    public void It_lacks_Windows_where_there_is_none()
    {
        if (OperatingSystem.IsWindows()) Target.Lacks.Should().NotContain("this is none");
        else Target.Lacks.Should().Contain("Windows").And.Contain("'emulated'");
    }

    [Fact]
    public void Without_a_machine_nothing_is_played()
    {
        var evidence = new EvidenceLog();
        var story = new HangIrp().Tell(new Choices(0x222008, [], 0, Outcome.Zombie, TimeSpan.FromSeconds(1)));
        Action play = () => Target.Play(story, new DriverUnderTest("x.sys", [], @"\Device\X"), new Conditions(1, 1), evidence);
        play.Should().Throw<UnusableDriverException>();
        evidence.Observations.Should().BeEmpty();
    }

    [Fact]
    public void The_driver_that_comes_with_the_harness_can_be_loaded() => Target.Invoking(target => target.Check("myfault.sys", MyFault.Image())).Should().NotThrow();

    [Theory]
    [InlineData(0x14C, "I386")]
    [InlineData(0xAA64, "Arm64")]
    public void A_driver_for_another_processor_is_refused(int machine, string name)
    {
        var image = MyFault.Image();
        BitConverter.GetBytes((ushort)machine).CopyTo(image, BitConverter.ToInt32(image, 0x3C) + 4);
        Target.Invoking(target => target.Check("x.sys", image)).Should().Throw<UnusableDriverException>().WithMessage($"x.sys is for {name}*");
    }

    [Fact]
    public void A_program_is_no_driver()
    {
        var image = MyFault.Image();
        var optional = BitConverter.ToInt32(image, 0x3C) + 0x18;
        BitConverter.GetBytes((ushort)3).CopyTo(image, optional + 0x44);
        Target.Invoking(target => target.Check("x.sys", image)).Should().Throw<UnusableDriverException>().WithMessage("*subsystem*");
    }

    [Theory]
    [InlineData("")]
    [InlineData("this is text")]
    [InlineData("MZ")]
    public void Text_is_no_driver(string text) =>
        Target.Invoking(target => target.Check("x.sys", System.Text.Encoding.ASCII.GetBytes(text))).Should().Throw<UnusableDriverException>().WithMessage("x.sys is no driver*");

    [Theory]
    [InlineData(577, "sign")]
    [InlineData(1275, "blocklist")]
    [InlineData(1058, "disabled")]
    [InlineData(1072, "handle")]
    [InlineData(2, "file")]
    [InlineData(5, "administrator")]
    [InlineData(193, "x64")]
    [InlineData(1056, "loaded already")]
    public void A_usual_error_has_its_likely_cause(int code, string cause) => new WindowsException("StartService(x)", code).Message.Should().StartWith("StartService(x): error " + code).And.Contain(cause);

    [Theory]
    [InlineData(577, true)]
    [InlineData(1275, true)]
    [InlineData(31, false)]
    [InlineData(1056, false)]
    public void Of_a_driver_that_the_system_did_not_load_nobody_says_that_its_entry_returned(int code, bool before) => LikelyCause.IsBeforeEntry(code).Should().Be(before);

    [Theory]
    [InlineData(0, 0x00000000u)]
    [InlineData(5, 0xC0000022u)]
    [InlineData(995, 0xC0000120u)]
    [InlineData(1275, 0xC00704FBu)]
    public void An_error_code_is_told_as_a_status(int code, uint status) => WindowsException.ToStatus(code).Value.Should().Be(status);
}
