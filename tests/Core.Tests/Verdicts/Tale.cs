using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;

namespace Core.Tests.Verdicts;

/// <summary>
/// Evidence made by hand, as a target would leave it: a victim issues 'request' to guilty.sys, which pends it. What happens then is the
/// test's to say.
/// </summary>
internal sealed class Tale
{
    internal const int VictimPid = 412;
    internal const int VictimTid = 416;
    internal const uint Ioctl = 0x222008;
    internal const string Device = @"\Device\Guilty";
    internal static readonly KernelAddress Irp = new(0xFFFF_8000_0010_2000);
    internal static readonly KernelAddress ThreadAddress = new(0xFFFF_8000_0020_0080);

    private readonly EvidenceLog _log = new();
    private TimeSpan _now;

    internal IReadOnlyList<Observation> Evidence => _log.Observations;

    internal static RunDescription Run(Outcome expected, string checkpoint = "settled", bool kills = true, params Promise[] more) =>
        Run([new OutcomePromise(checkpoint, expected), .. more], kills);

    internal static RunDescription Run(IReadOnlyList<Promise> promises, bool kills = true)
    {
        Act[] victim = [new OpenDevice("h", Overlapped: !kills), new DeviceControl("h", "request", Ioctl, [1, 2, 0xff], 16), .. kills ? Array.Empty<Act>() : [new CancelIoEx("h", "request"), new AwaitRequest("request")]];
        Act[] controller = [new OpenDevice("c"), new UntilWaiting("victim", "request", TimeSpan.FromSeconds(1)), .. kills ? [new Terminate("victim", 0x77)] : Array.Empty<Act>(), new UntilGone("victim", TimeSpan.FromMinutes(10)), new Observe("settled")];
        var story = new Story(
            [new ClientProcess("victim", [new ClientThread("main", victim)]), new ClientProcess(Story.Controller, [new ClientThread("main", controller)])],
            "victim", "request", promises);
        return new RunDescription(kills ? "hang-irp" : "pend-then-cancel", "emulated", story,
            new DriverFile("drivers/guilty.sys", "guilty.sys", new string('a', 64), Device),
            new Choices(Ioctl, [1, 2, 0xff], 16, Outcome.Zombie, TimeSpan.FromMinutes(10)), 7, 1, "1.0.0", "driverfault run hang-irp --seed 7");
    }

    internal Tale Add(Observation observation, string source = Sources.Emulator)
    {
        _log.Add(_now, source, observation);
        return this;
    }

    internal Tale Later(TimeSpan by)
    {
        _now += by;
        return this;
    }

    internal Tale LaterMs(double milliseconds) => Later(TimeSpan.FromMilliseconds(milliseconds));

    /// <summary>The driver is loaded, the device opened, the request pended.</summary>
    internal static Tale Pending() => new Tale()
        .Add(new DriverLoaded("guilty.sys", new(0xFFFF_F800_1000_0000), 0x6000))
        .Add(new DriverEntryReturned("guilty.sys", NtStatus.Success, [Device]))
        .Add(new CallEntered("victim", VictimPid, VictimTid, "CreateFile(h)", null))
        .Add(new CallReturned("victim", VictimPid, VictimTid, "CreateFile(h)", null, NtStatus.Success, 0))
        .Add(new CallEntered("victim", VictimPid, VictimTid, "DeviceIoControl(h, 0x222008)", "request"))
        .Add(new IrpSent(Irp, "request", IrpMajor.DeviceControl, Ioctl, Device, "guilty.sys", 1, VictimTid))
        .Add(new DispatchReturned(Irp, "request", NtStatus.Pending))
        .Add(new ConditionPassed("'victim' waits for 'request'", "victim", "request", Held: true))
        .LaterMs(1);

    /// <summary>TerminateProcess on the victim.</summary>
    internal Tale Killed() => Add(new TerminateRequested("victim", VictimPid, NtStatus.Success));

    /// <summary>IoCancelIrp from the dying thread.</summary>
    internal Tale Cancelled(string? routine) => Add(new CancelRequested(Irp, "request", routine, "nt!IopCancelAlertedRequest+0x2a"));

    internal Tale Completed(NtStatus status) => Add(new IrpCompleted(Irp, "request", status, 0, "guilty.sys+0x1450"));

    internal Tale Ended() => Add(new ThreadEnded("victim", VictimPid, VictimTid)).Add(new ProcessEnded("victim", VictimPid, new NtStatus(0x77)));

    /// <summary>Both collectors look; the victim is a process that still has these threads.</summary>
    internal Tale Seen(string checkpoint, params ThreadRecord[] threads) => Add(new ProcessStates(checkpoint,
            [new ProcessState("victim", "victim.exe", VictimPid, Listed: true, Signalled: false, NtStatus.Pending, 29,
                [.. threads.Select(t => new ThreadStateSeen(t.Tid, t.State, t.WaitReason, IoPending: t.Irps.Count > 0))])]), Sources.ProcessState)
        .Add(new KernelMemorySeen(checkpoint,
            [new ProcessRecord(new(0xFFFF_8000_0030_0080), VictimPid, "victim.exe", Listed: true, Deleting: true, Signalled: false, NtStatus.Pending, threads)]), Sources.KernelMemory);

    /// <summary>Both collectors look; the victim is gone.</summary>
    internal Tale SeenGone(string checkpoint) => Add(new ProcessStates(checkpoint,
            [new ProcessState("victim", "victim.exe", VictimPid, Listed: false, Signalled: true, new NtStatus(0x77), 0, [])]), Sources.ProcessState)
        .Add(new KernelMemorySeen(checkpoint, []), Sources.KernelMemory);

    /// <summary>The hang of a synchronous request that has no cancel routine, ten minutes on.</summary>
    internal static Tale Zombie() => Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", Stuck());

    /// <summary>A sound driver: its cancel routine completes the request at once.</summary>
    internal static Tale Sound() => Pending().Killed().Cancelled("guilty.sys+0x1400").LaterMs(0.05).Completed(NtStatus.Cancelled)
        .Add(new CancelRoutineReturned(Irp, "request", "guilty.sys+0x1400")).LaterMs(0.05).Ended().SeenGone("settled");

    /// <summary>A thread that waits in the kernel, by default in IopCancelAlertedRequest for ever.</summary>
    internal static ThreadRecord Stuck(WaitReason reason = WaitReason.Executive, IReadOnlyList<string>? stack = null, params IrpRecord[] irps) =>
        new(ThreadAddress, VictimTid, ThreadState.Waiting, reason, ProcessorMode.KernelMode, Alertable: false,
            new WaitObject(new(0xFFFF_8000_0040_0098), "SynchronizationEvent", @"File 0xffff800000400000 \Device\Guilty (Event)"),
            [.. (stack ?? SynchronousStack).Select(Frame)], irps.Length == 0 ? [Held()] : irps);

    internal static readonly IReadOnlyList<string> SynchronousStack =
        ["nt!KiSwapThread+0x21", "nt!KeWaitForSingleObject+0x3c", "nt!IopCancelAlertedRequest+0x6d", "nt!IopSynchronousServiceTail+0x4f", "nt!IopXxxControlFile+0x108", "nt!NtDeviceIoControlFile+0x1c"];

    internal static readonly IReadOnlyList<string> RundownStack =
        ["nt!KiSwapThread+0x21", "nt!KeDelayExecutionThread+0x3c", "nt!IoCancelThreadIo+0x4f", "nt!PspExitThread+0x108"];

    internal static readonly IReadOnlyList<string> HandleRundownStack =
        ["nt!KiSwapThread+0x21", "nt!KeDelayExecutionThread+0x3c", "nt!IopCleanupProcessResources+0x4f", "nt!IopCloseFile+0x44", "nt!ObKillProcess+0x60", "nt!PspExitThread+0x108"];

    internal static readonly IReadOnlyList<string> BlockedStack =
        ["nt!KiSwapThread+0x21", "nt!KeWaitForSingleObject+0x3c", "guilty+0x1234", "nt!IofCallDriver+0x2a", "nt!IopSynchronousServiceTail+0x20", "nt!IopXxxControlFile+0x108"];

    /// <summary>The request's IRP, one stack location, held by guilty.sys.</summary>
    internal static IrpRecord Held(bool cancel = true, string? routine = null, string list = "thread", IrpMajor major = IrpMajor.DeviceControl) =>
        new(Irp, list, cancel, routine, 1, 1, ThreadAddress,
            [new IrpLocation(1, Current: true, major, 0, major == IrpMajor.DeviceControl ? Ioctl : null, Pending: true, new(0xFFFF_8000_0050_0010), Device, "guilty.sys", new(0xFFFF_8000_0040_0000), null)],
            "guilty.sys", Device);

    private static StackFrame Frame(string name, int depth) => new(new(0xFFFF_F800_0000_1000 + ((ulong)depth * 0x100)), new(0xFFFF_9000_0000_0F00 + ((ulong)depth * 0x40)), name,
        name.StartsWith("nt!", StringComparison.Ordinal) ? "nt" : name.Split('+')[0] + ".sys");
}

/// <summary>Evidence with something changed.</summary>
internal static class Tampering
{
    internal static IReadOnlyList<Observation> Without<T>(this IReadOnlyList<Observation> evidence) where T : Observation => [.. evidence.Where(o => o is not T)];

    internal static IReadOnlyList<Observation> With<T>(this IReadOnlyList<Observation> evidence, Func<T, T> change) where T : Observation =>
        [.. evidence.Select(o => o is T t ? change(t) : o)];

    internal static IReadOnlyList<Observation> WithState(this IReadOnlyList<Observation> evidence, Func<ProcessState, ProcessState> change) =>
        evidence.With<ProcessStates>(o => o with { Processes = [.. o.Processes.Select(change)] });

    internal static IReadOnlyList<Observation> WithThread(this IReadOnlyList<Observation> evidence, Func<ThreadRecord, ThreadRecord> change) =>
        evidence.With<KernelMemorySeen>(o => o with { Processes = [.. o.Processes.Select(p => p with { Threads = [.. p.Threads.Select(change)] })] });
}
