using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Scenarios;
using Harness.Windows;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>Whole stories on this machine.</summary>
public sealed class LocalRunTests
{
    [Fact]
    public void A_killed_client_whose_request_pends_soundly_ends()
    {
        var seen = Machine.Play(Machine.Target(_ => { }), new PendThenTerminate());
        foreach (var o in seen) Console.WriteLine($"{o.At} {o.Source} {o}");
        seen.OfType<ProcessEnded>().Should().ContainSingle(ended => ended.Process == "victim");
    }

    [Fact]
    public void X()
    {
        var seen = Machine.Play(Machine.Target(Console.WriteLine), new HangIrp());
        foreach (var o in seen) Console.WriteLine($"{o.At} {o.Source} {o}");
    }
}
