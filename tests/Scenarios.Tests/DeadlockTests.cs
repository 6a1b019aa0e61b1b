using FluentAssertions;
using Harness.Cli;
using Harness.Core.Verdicts;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests;

/// <summary>Two spin locks taken in two orders: a circle of processors is found where it can be, and is never seen where it can't.</summary>
public sealed class DeadlockTests
{
    private const uint TwoOrders = 0x222000, OneOrder = 0x222004;

    [Theory]
    [InlineData("gcc-O0")]
    [InlineData("gcc-O2")]
    [InlineData("clang-O2")]
    public void Two_processors_that_wait_for_each_other_are_both_named(string variant)
    {
        var deadlock = Enumerable.Range(1, 100).Select(seed => Run(variant, TwoOrders, 2, (ulong)seed))
            .SelectMany(run => run.Evidence.OfType<Harness.Core.Evidence.DriverFault>()).First();

        deadlock.Id.Should().Be("spin-lock-deadlock");
        deadlock.By.Should().StartWith("lock-order.sys+");
        deadlock.Detail.Should().Contain("on processor 0 waits for").And.Contain("on processor 1 waits for");
        deadlock.Stack.Should().Contain(frame => frame.StartsWith("lock-order", StringComparison.Ordinal));
    }

    [Fact]
    public void One_processor_never_meets_itself()
    {
        for (ulong seed = 0; seed < 100; seed++) Run("gcc-O2", TwoOrders, 1, seed).Judgement.Verdict.Should().Be(Verdict.Pass, "of seed {0}", seed);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void The_same_order_everywhere_is_sound(int processors)
    {
        for (ulong seed = 0; seed < 100; seed++) Run("gcc-O2", OneOrder, processors, seed).Judgement.Verdict.Should().Be(Verdict.Pass, "of seed {0}", seed);
    }

    private static PlayedRun Run(string variant, uint code, int processors, ulong seed) =>
        Rehearsal.Of(ScenarioCatalogue.Named("hang-irp")!, Rehearsal.TestDriver(variant, "lock-order", "LockOrder"), code, seed: seed, processors: processors);
}
