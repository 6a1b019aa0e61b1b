using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Kernel;

/// <summary>What nt asks of a driver that calls it. The drivers say in their sources what each input does.</summary>
public sealed class ContractsTests
{
    [Theory]
    [InlineData(0x01, "calls ExAcquireResourceExclusiveLite at DISPATCH_LEVEL: it may be called at IRQL <= APC_LEVEL.")]
    [InlineData(0x02, "calls ExAllocatePoolWithTag at DISPATCH_LEVEL: it may be called at IRQL <= APC_LEVEL.")]
    [InlineData(0x03, "calls ZwClose at DISPATCH_LEVEL: it may be called at PASSIVE_LEVEL only.")]
    [InlineData(0x04, "calls IoCreateDevice at DISPATCH_LEVEL: it may be called at IRQL <= APC_LEVEL.")]
    [InlineData(0x05, "calls ExAllocatePoolWithTag at IRQL 5: it may be called at IRQL <= DISPATCH_LEVEL.")]
    [InlineData(0x06, "calls KeAcquireSpinLockAtDpcLevel at PASSIVE_LEVEL: it may be called at IRQL >= DISPATCH_LEVEL.")]
    [InlineData(0x07, "calls DbgPrint at DISPATCH_LEVEL: %ws may be printed at PASSIVE_LEVEL only.")]
    [InlineData(0x0C, "calls KeSetEvent at DISPATCH_LEVEL: it may be called at IRQL <= APC_LEVEL.")]
    public void A_call_at_a_wrong_IRQL_is_told_with_its_routine_its_caller_and_the_limit(byte input, string says)
    {
        foreach (var variant in Variants)
        {
            var fault = In(variant, "contracts", 0, Client(Open(), AskFor(input, "first")), UntilItIsGone).The<DriverFault>();

            fault.Id.Should().Be("wrong-irql", variant);
            fault.By.Should().StartWith("contracts.sys+");
            fault.Detail.Should().Be($"{fault.By} {says}");
            fault.Fatal.Should().BeFalse();
        }
    }

    [Fact]
    public void A_call_at_a_wrong_IRQL_is_told_once_however_often_it_is_made()
    {
        var run = In("gcc-O2", "contracts", 0, Client(Open(), AskFor(2, "first"), AskFor(2, "second"), AskFor(2, "third")), UntilItIsGone);

        run.All<DispatchReturned>().Where(returned => returned.Request is "first" or "second" or "third").Should().HaveCount(3);
        run.All<DriverFault>().Should().ContainSingle();
    }

    [Theory]
    [InlineData("contracts")]
    [InlineData("freed-in-use")]
    [InlineData("leftovers")]
    public void A_driver_that_keeps_to_all_of_it_hears_nothing(string driver)
    {
        foreach (var variant in Variants)
        {
            var run = In(variant, driver, 0, Client(Open(), AskFor(0, "first")), UntilItIsGone);

            run.All<DriverFault>().Should().BeEmpty(variant);
            run.All<DriverUnloaded>().Should().ContainSingle(variant);
        }
    }

    [Theory]
    [InlineData(1, "status block")]
    [InlineData(2, "output buffer")]
    public void Pool_that_was_freed_under_a_pending_IRP_names_who_freed_it(byte input, string what)
    {
        foreach (var variant in Variants)
        {
            var fault = In(variant, "freed-in-use", 0, Client(Open(), AskFor(input, "first")), UntilItIsGone).The<DriverFault>();

            fault.Id.Should().Be("freed-while-in-use", variant);
            fault.Detail.Should().Contain($"whose {what}, at ");
            fault.Block!.FreedBy.Should().StartWith(fault.By);
        }
    }

    private static ClientProcess UntilItIsGone => Controller(new UntilGone(Victim, TimeSpan.FromSeconds(10)));

    private static Act AskFor(byte input, string request) => new DeviceControl(Handle, request, 0x222000, [input], 0);
}
