using FluentAssertions;
using Harness.Windows;
using Xunit;

namespace Windows.Tests;

/// <summary>Which machines a driver is loaded into.</summary>
public sealed class TestMachineTests
{
    private static readonly TestMachine Good = new(Elevated: true, TestSigning: true, VirtualMachine: "Hyper-V", Wine: null);

    [Fact]
    public void A_virtual_machine_with_test_signing_is_one() => Good.Refusal(vouched: false).Should().BeNull();

    [Fact]
    public void Who_vouches_for_a_physical_machine_may_use_it()
    {
        var physical = Good with { VirtualMachine = null };
        physical.Refusal(vouched: false).Should().Contain("--i-know-this-machine");
        physical.Refusal(vouched: true).Should().BeNull();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(null)]
    public void Without_test_signing_nobody_s_word_is_enough(bool? testSigning)
    {
        var machine = Good with { TestSigning = testSigning };
        machine.Refusal(vouched: true).Should().Contain("test signing").And.Contain("bcdedit /set testsigning on");
        machine.Refusal(vouched: false).Should().Be(machine.Refusal(vouched: true));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Who_is_not_elevated_is_refused_first(bool vouched) => (Good with { Elevated = false, TestSigning = false }).Refusal(vouched).Should().Contain("administrator");

    [Fact]
    public void Wine_needs_no_test_signing_and_somebody_who_knows_that_it_is_Wine()
    {
        var wine = Good with { TestSigning = false, Wine = "8.0" };
        wine.Refusal(vouched: false).Should().Contain("Wine 8.0").And.Contain("--i-know-this-machine");
        wine.Refusal(vouched: true).Should().BeNull();
    }

    [Fact]
    public void It_is_told_in_one_line() => Good.ToString().Should().Be("elevated, test signing on, virtual machine (Hyper-V)");

    [Theory]
    [InlineData(false, "", 0u, null)]
    [InlineData(true, "Microsoft Hv", 0u, "Hyper-V")]
    [InlineData(true, "Microsoft Hv", 0x3u, null)]
    [InlineData(true, "VMwareVMware", 0x1u, "VMware")]
    [InlineData(true, "VBoxVBoxVBox", 0u, "VirtualBox")]
    [InlineData(true, "KVMKVMKVM", 0u, "KVM")]
    [InlineData(true, "TCGTCGTCGTCG", 0u, "TCGTCGTCGTCG")]
    [InlineData(true, "", 0u, "a hypervisor")]
    public void A_root_partition_of_Hyper_V_is_a_physical_machine(bool present, string vendor, uint privileges, string? machine) =>
        new Hypervisor(present, vendor, privileges).VirtualMachine.Should().Be(machine);
}
