using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Scenarios;
using Harness.Windows;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>Whole stories on this machine.</summary>
public sealed class LocalRunTests(HangIrpPlayed hangIrp) : IClassFixture<HangIrpPlayed>
{
    private static void MachineShouldBeClean()
    {
        DriverService.Exists("DriverFault-myfault").Should().BeFalse();
        Directory.EnumerateFiles(LocalTarget.Folder, "*.sys").Should().BeEmpty();
        Harness.Windows.Native.ObjectDirectory.Names(@"\Device").Should().NotContain("MyFault");
        using var journal = Journal.Take(LocalTarget.Folder, null)!;
        journal.Found.Should().BeNull();
    }

    // Where nothing hangs, nobody has to sit out the minutes of a thread's rundown.
    [Theory]
    [InlineData("hang-irp-release")]
    [InlineData("pend-then-terminate")]
    [InlineData("pend-then-cancel")]
    [InlineData("hang-irp-completion-port")]
    [InlineData("hang-irp-many")]
    [InlineData("hang-irp-noop-cancel")]
    [InlineData("hang-create")]
    [InlineData("close-while-hung")]
    [InlineData("terminate-twice")]
    [InlineData("hang-irp-overlapped")]
    [InlineData("terminate-then-release")]
    [InlineData("orphan-then-complete")]
    public void Every_story_is_played_to_its_end_and_the_machine_is_left_clean(string scenario)
    {
        var seen = Machine.Play(Machine.Target(_ => { }, timeout: TimeSpan.FromMinutes(Machine.IsWine ? 2 : 30), clock: Machine.IsWine ? new HastyClock() : null), ScenarioCatalogue.Named(scenario)!);

        seen.OfType<RunStopped>().Should().BeEmpty();
        seen.OfType<DriverEntryReturned>().Should().ContainSingle().Which.Devices.Should().Equal(MyFault.Device);
        seen.OfType<DriverUnloaded>().Should().ContainSingle();
        seen.OfType<ProcessStates>().Should().NotBeEmpty();
        seen.OfType<CallEntered>().Should().Contain(call => call.Process == "victim" && call.Call.StartsWith("NtCreateFile"));
        seen.Select(observation => observation.At).Should().BeInAscendingOrder();
        MachineShouldBeClean();
    }

    [Fact]
    public void The_harness_closes_its_own_handle_before_the_driver_is_unloaded()
    {
        // On Windows an open file object keeps a driver loaded; Wine unloads it all the same, so that only the calls tell.
        var seen = Machine.Play(Machine.Target(_ => { }), new HangIrpRelease());
        var closed = seen.OfType<CallReturned>().Should().ContainSingle(call => call.Process == Story.Controller && call.Call == "CloseHandle").Which;
        closed.Status.Should().Be(NtStatus.Success);
        closed.N.Should().BeGreaterThan(seen.OfType<ProcessStates>().Last().N).And.BeLessThan(seen.OfType<DriverUnloaded>().Single().N);
    }

    [Fact]
    public void A_file_that_the_system_does_not_load_has_no_entry_that_returned()
    {
        // The image of a driver, and not a section of it.
        var image = MyFault.Image()[..0x600];
        var seen = Machine.Play(Machine.Target(_ => { }), new HangIrp(), driver: new DriverUnderTest("cut-short.sys", image, @"\Device\Nobody"));
        seen.OfType<RunStopped>().Should().ContainSingle().Which.Why.Should().Contain("StartService");
        seen.OfType<DriverUnloaded>().Should().BeEmpty();
        DriverService.Exists("DriverFault-cut-short").Should().BeFalse();
    }

    [Fact]
    public void A_story_ends_with_its_driver_unloaded()
    {
        hangIrp.Evidence.OfType<RunStopped>().Should().BeEmpty();
        hangIrp.Evidence.OfType<DriverUnloaded>().Should().ContainSingle();
        MachineShouldBeClean();
    }

    [Fact]
    public void The_managed_stack_before_the_kill_shows_the_call_that_does_not_come_back()
    {
        var seen = hangIrp.Evidence;
        var kill = seen.OfType<TerminateRequested>().Single();
        var stack = seen.OfType<ManagedStackSeen>().First();
        stack.N.Should().BeLessThan(kill.N);
        stack.Frames[0].Should().Contain("DeviceIoControl");
        stack.Frames.Should().Contain(frame => frame.Contains("Caller.Play"), "the frames go up to the client's program");
        var line = File.ReadLines(SourceTree.File("src", "Harness.Windows", "Native", "DeviceHandle.cs")).ToList().FindIndex(text => text.Contains("DeviceIoControl(this", StringComparison.Ordinal)) + 1;
        stack.Frames.Should().Contain(frame => frame.EndsWith($"in DeviceHandle.cs:{line}"), "that is the line of C# whose call does not come back");
    }

    [Fact]
    public void Where_nothing_can_hang_the_detector_says_that_nothing_hangs()
    {
        if (!Machine.IsWine) Assert.Skip("on Windows this is a zombie");
        var seen = hangIrp.Evidence;
        seen.OfType<ConditionPassed>().Should().Contain(passed => passed.Held && passed.Request == "request", "the request waited");
        seen.OfType<ProcessEnded>().Should().ContainSingle(ended => ended.Process == "victim").Which.ExitStatus.Value.Should().Be(0x77);
        var settled = seen.OfType<ProcessStates>().Last().Processes.Single();
        settled.Signalled.Should().BeTrue();
        settled.Listed.Should().BeFalse();
        seen.OfType<KernelMemorySeen>().Should().BeEmpty("nobody was stuck, so no dump was taken");
    }

    [Fact]
    public void What_is_not_observed_is_said_and_not_invented()
    {
        if (!Machine.IsWine) Assert.Skip("Windows tells all of it");
        var seen = hangIrp.Evidence;
        seen.OfType<NotObserved>().Select(not => not.Source).Should().Contain([Sources.Etw, Sources.ProcessState]);
        seen.OfType<ProcessStates>().SelectMany(states => states.Processes).SelectMany(process => process.Threads).Should().BeEmpty("Wine's states of threads mean nothing");
        seen.Should().NotContain(observation => observation is IrpSent || observation is CancelRequested || observation is IrpCompleted);
    }

    [Fact]
    public void A_cancelled_request_comes_back_to_its_client()
    {
        var seen = Machine.Play(Machine.Target(_ => { }), new PendThenCancel());
        seen.OfType<CallReturned>().Should().Contain(call => call.Call == "DeviceIoControl" && call.Status == NtStatus.Pending);
        seen.OfType<CallReturned>().Should().Contain(call => call.Call == "CancelIoEx" && call.Status == NtStatus.Success);
        seen.OfType<CallReturned>().Should().Contain(call => call.Call == "GetOverlappedResult" && call.Status == NtStatus.Cancelled);
        seen.OfType<ProcessEnded>().Should().ContainSingle().Which.ExitStatus.Should().Be(NtStatus.Success);
    }

    [Fact]
    public void A_held_request_that_its_client_cancels_does_not_come_back()
    {
        var seen = Machine.Play(Machine.Target(_ => { }), new PendThenCancel(), ioctl: MyFault.HangIrp.Code);
        seen.OfType<CallReturned>().Should().Contain(call => call.Call == "CancelIoEx" && call.Status == NtStatus.Success);
        seen.OfType<CallEntered>().Should().Contain(call => call.Call.StartsWith("GetOverlappedResult"));
        seen.OfType<CallReturned>().Should().NotContain(call => call.Call == "GetOverlappedResult");
        seen.OfType<ProcessStates>().Last().Processes.Single().Signalled.Should().BeFalse("it still waits at the last look");
        MachineShouldBeClean();
    }

    [Fact]
    public void A_run_that_takes_too_long_is_stopped_and_cleaned()
    {
        var seen = Machine.Play(Machine.Target(_ => { }, timeout: TimeSpan.FromSeconds(4)), new HangIrp(), settle: TimeSpan.FromMinutes(10));
        seen.OfType<RunStopped>().Should().ContainSingle().Which.Why.Should().Contain("--timeout");
        MachineShouldBeClean();
    }

    [Fact]
    public void A_driver_whose_entry_fails_stops_the_run_and_leaves_nothing()
    {
        var image = File.ReadAllBytes(SourceTree.File("tests", "drivers", "bin", "gcc-O2", "failing-entry.sys"));
        var seen = Machine.Play(Machine.Target(_ => { }), new HangIrp(), driver: new DriverUnderTest("failing-entry.sys", image, @"\Device\FailingEntry"));
        seen.OfType<DriverEntryReturned>().Should().ContainSingle().Which.Status.IsSuccess.Should().BeFalse();
        seen.OfType<RunStopped>().Should().ContainSingle().Which.Why.Should().Contain("StartService");
        DriverService.Exists("DriverFault-failing-entry").Should().BeFalse();
    }

    [Fact]
    public void A_client_that_cannot_open_the_device_says_so()
    {
        var seen = Machine.Play(Machine.Target(_ => { }), new PendThenTerminate(), driver: Machine.MyFaultDriver with { Device = @"\Device\Nobody" });
        seen.OfType<CallReturned>().Should().Contain(call => call.Process == "victim" && call.Call == "NtCreateFile" && call.Status == NtStatus.ObjectNameNotFound);
        MachineShouldBeClean();
    }

    [Fact]
    public void Two_runs_cannot_have_one_machine()
    {
        using var other = Journal.Take(LocalTarget.Folder, null)!;
        Action play = () => Machine.Play(Machine.Target(_ => { }), new HangIrp());
        play.Should().Throw<UnusableDriverException>().WithMessage("*another run has this machine*");
    }

    [Fact]
    public void It_says_what_it_does_to_the_machine_before_it_does_it()
    {
        hangIrp.Told.Should().ContainSingle().Which.Should().Contain("myfault.sys is installed as the service DriverFault-myfault").And.Contain("elevated");
    }
}

/// <summary>hang-irp, played once for those who only look at what it left.</summary>
public sealed class HangIrpPlayed
{
    public HangIrpPlayed() => Evidence = Machine.Play(Machine.Target(Told.Add), new HangIrp());

    public List<string> Told { get; } = [];

    public IReadOnlyList<Observation> Evidence { get; }
}
