using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;

namespace Scenarios.Tests;

/// <summary>A target that plays nothing: it leaves the evidence that a test wrote. For tests of what comes after a target.</summary>
internal sealed class ScriptedTarget(Action<Story, DriverUnderTest, EvidenceLog> play) : ITarget
{
    public string Name => "emulated";

    public string? Lacks => null;

    public TimeSpan DefaultSettle => TimeSpan.FromMinutes(10);

    /// <summary>What is said of a driver file before anything is begun; null: nothing.</summary>
    public Action<string>? Checks { get; init; }

    /// <summary>What was played, in order.</summary>
    public List<(Story Story, DriverUnderTest Driver, Conditions Conditions)> Played { get; } = [];

    public void Check(string fileName, byte[] image) => Checks?.Invoke(fileName);

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence)
    {
        Played.Add((story, driver, conditions));
        play(story, driver, evidence);
    }

    /// <summary>Whatever the story: its victim is killed with its request pending, and stays, or goes this long afterwards.</summary>
    public static ScriptedTarget Victim(Outcome outcome, TimeSpan? after = null) => new((story, driver, evidence) => Kill(story, driver, evidence, outcome, after ?? TimeSpan.Zero));

    private static void Kill(Story story, DriverUnderTest driver, EvidenceLog evidence, Outcome outcome, TimeSpan after)
    {
        const int pid = 412, tid = 416;
        var irp = new KernelAddress(0xFFFFC00012345000);
        var process = new KernelAddress(0xFFFFC00012340000);
        var look = TimeSpan.FromMinutes(10);
        evidence.Add(TimeSpan.Zero, Sources.Emulator, new CallEntered("victim", pid, tid, "DeviceIoControl(h, 0x222008)", "request"));
        evidence.Add(TimeSpan.Zero, Sources.Emulator, new IrpSent(irp, "request", IrpMajor.DeviceControl, 0x222008, driver.Device, driver.FileName, 1, tid));
        evidence.Add(TimeSpan.Zero, Sources.Emulator, new DispatchReturned(irp, "request", NtStatus.Pending));
        evidence.Add(TimeSpan.Zero, Sources.Emulator, new TerminateRequested("victim", pid, NtStatus.Success));
        evidence.Add(TimeSpan.Zero, Sources.Emulator, new CancelRequested(irp, "request", outcome == Outcome.Ended ? driver.FileName + "+0x1000" : null, "nt!IopCancelAlertedRequest"));
        var ended = outcome == Outcome.Ended;
        if (ended)
        {
            evidence.Add(after, Sources.Emulator, new IrpCompleted(irp, "request", NtStatus.Cancelled, 0, driver.FileName + "+0x1010"));
            evidence.Add(after, Sources.Emulator, new ProcessEnded("victim", pid, new NtStatus(0x77)));
        }

        StackFrame Frame(string name) => new(new KernelAddress(0xFFFFF80000001000), new KernelAddress(0xFFFF8A0000001000), name, name.StartsWith("nt!", StringComparison.Ordinal) ? "nt" : null);
        var location = new IrpLocation(1, true, IrpMajor.DeviceControl, 0, 0x222008, true, new KernelAddress(0xFFFFC00012346000), driver.Device, driver.FileName, new KernelAddress(0xFFFFC00012347000), null);
        var held = new IrpRecord(irp, "thread", true, null, 1, 1, new KernelAddress(0xFFFFC00012348000), [location], driver.FileName, driver.Device);
        var thread = new ThreadRecord(new KernelAddress(0xFFFFC00012348000), tid, ThreadState.Waiting, WaitReason.Executive, ProcessorMode.KernelMode, false,
            new WaitObject(new KernelAddress(0xFFFFC00012347080), "NotificationEvent", null),
            [Frame("nt!KiSwapContext+0x76"), Frame("nt!KeWaitForSingleObject+0x20"), Frame("nt!IopCancelAlertedRequest+0x6d"), Frame("nt!IopSynchronousServiceTail+0x30")], [held]);
        foreach (var checkpoint in story.Processes.SelectMany(p => p.Threads).SelectMany(t => t.Acts).OfType<Observe>().Where(act => act.Checkpoint != "waiting"))
        {
            evidence.Add(look, Sources.ProcessState, new ProcessStates(checkpoint.Checkpoint,
                [new ProcessState("victim", "victim.exe", pid, !ended, ended, new NtStatus(ended ? 0x77u : 0x103), ended ? 0 : 1, ended ? [] : [new ThreadStateSeen(tid, ThreadState.Waiting, WaitReason.Executive, true)])]));
            evidence.Add(look, Sources.KernelMemory, new KernelMemorySeen(checkpoint.Checkpoint,
                ended ? [] : [new ProcessRecord(process, pid, "victim.exe", true, true, false, new NtStatus(0x103), [thread])]));
        }
    }
}
