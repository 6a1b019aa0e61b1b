using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Scenarios;
using Harness.Windows;
using Harness.Windows.Native;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>A run that is killed leaves what it had made; the next run finds it and removes it.</summary>
public sealed class CrashTests
{
    [Theory]
    [InlineData("install", false)]
    [InlineData("start", true)]
    [InlineData("started", true)]
    [InlineData("client victim", true)]
    [InlineData("kill victim", true)]
    [InlineData("clean", true)]
    [InlineData("delete", true)]
    public void What_a_killed_run_has_left_is_gone_after_the_next(string step, bool leavesService)
    {
        DoomedRun.KillAt(step).Should().Be("at " + step);
        DriverService.Exists("DriverFault-myfault").Should().Be(leavesService, "otherwise there is nothing to clean");
        Leftovers left;
        using (var journal = Journal.Take(LocalTarget.Folder, null)!) left = journal.Found!;
        left.Service.Should().Be("DriverFault-myfault");

        List<string> told = [];
        var seen = Machine.Play(Machine.Target(told.Add), new PendThenTerminate());

        told[0].Should().Contain("cleaning up after a run that did not end: service DriverFault-myfault");
        seen.OfType<RunStopped>().Should().BeEmpty();
        DriverService.Exists("DriverFault-myfault").Should().BeFalse();
        File.Exists(left.Image).Should().BeFalse();
        ObjectDirectory.Names(@"\Device").Should().NotContain("MyFault");
        SystemInformation.Processes().Select(process => process.Pid).Should().NotIntersectWith(left.Clients.Select(client => client.Pid));
        using var clean = Journal.Take(LocalTarget.Folder, null)!;
        clean.Found.Should().BeNull();
    }
}
