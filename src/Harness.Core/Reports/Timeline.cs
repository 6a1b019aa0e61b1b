using System.Globalization;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>Who speaks in a line of the timeline.</summary>
internal enum Voice
{
    Client, Kernel, Driver, Harness, Alarm,
}

/// <summary>One line of the story.</summary>
internal sealed record TimelineEntry(TimeSpan At, Voice Voice, string Text);

/// <summary>The evidence in the words of a person who tells what happened.</summary>
internal static class Timeline
{
    /// <summary>Beyond this a reader is better served by evidence.jsonl: the middle is left out, and says so.</summary>
    private const int Longest = 400;

    internal static IReadOnlyList<TimelineEntry> Of(IReadOnlyList<Observation> evidence)
    {
        var cast = new Cast(evidence);
        if (evidence.Count <= Longest) return [.. evidence.SelectMany(seen => Entries(seen, cast))];
        var head = evidence.Take(Longest / 2).SelectMany(seen => Entries(seen, cast));
        var tail = evidence.Skip(evidence.Count - (Longest / 2)).SelectMany(seen => Entries(seen, cast));
        var gap = new TimelineEntry(evidence[Longest / 2].At, Voice.Harness, $"… {evidence.Count - Longest} more observations in evidence.jsonl …");
        return [.. head, gap, .. tail];
    }

    private const int MostFrames = 8;

    private static IEnumerable<TimelineEntry> Entries(Observation seen, Cast cast) =>
        Told(seen, cast).Select(line => new TimelineEntry(seen.At, line.Voice, Printable.Line(line.Text)));

    private static IEnumerable<(Voice Voice, string Text)> Told(Observation seen, Cast cast) => seen switch
    {
        DriverLoaded o => [(Voice.Kernel, $"{o.Module} is loaded at {o.Base}")],
        DriverEntryReturned o => [(o.Status.IsSuccess ? Voice.Driver : Voice.Alarm,
            $"{o.Module}: DriverEntry returns {o.Status}{(o.Devices.Count > 0 ? ", devices: " + string.Join(", ", o.Devices) : "")}")],
        DriverUnloaded o => [(Voice.Driver, $"{o.Module} is unloaded: DriverUnload returns")],
        DriverNotUnloaded o => [(Voice.Kernel, $"{o.Module} cannot be unloaded: {o.Why}")],
        ExportsMissing o => [(Voice.Harness, $"{o.Module} imports what this target does not model: {string.Join(", ", o.Names)}")],
        Unmodelled o => [(Voice.Alarm, $"{o.Caller} needs {o.What}, which is not modelled: {o.Detail}")],
        CallEntered o => [(Voice.Client, $"{cast.Who(o.Process, o.Pid, o.Tid)} calls {o.Call}")],
        CallReturned o => [(Voice.Client, $"{cast.Who(o.Process, o.Pid, o.Tid)}: {o.Call} returns {o.Status}{Bytes(o.Information)}")],
        ConditionPassed o => [(o.Held ? Voice.Harness : Voice.Alarm, o.Held ? $"now: {o.Condition}" : $"the limit passed, and not: {o.Condition}")],
        IrpSent o => [(Voice.Kernel, $"{o.Driver} is sent IRP {o.Irp}: {Spelled.Request(o.Major, o.Ioctl)}")],
        DispatchReturned o => [(Voice.Driver, $"the dispatch routine returns {o.Status} for IRP {o.Irp}")],
        CancelRequested { CancelRoutine: null } o => [(Voice.Kernel, $"IoCancelIrp({o.Irp}) from {ModuleOffset.Function(o.By)}: no cancel routine")],
        CancelRequested o => [(Voice.Kernel, $"IoCancelIrp({o.Irp}) from {ModuleOffset.Function(o.By)}: calls {o.CancelRoutine}")],
        CancelRoutineReturned o => [(Voice.Driver, $"the cancel routine {o.CancelRoutine} returns")],
        IrpCompleted o => [(Voice.Driver, $"{o.By} completes IRP {o.Irp}: {o.Status}{Bytes(o.Information)}")],
        IrpFinished => [],
        IrpDisassociated o => [(Voice.Alarm, $"the I/O manager gives up on IRP {o.Irp}: {o.Driver} ({o.Device}) did not complete it in five minutes (error log: IO_DRIVER_CANCEL_TIMEOUT)")],
        TerminateRequested o => [(Voice.Client, $"TerminateProcess on {Who(o.Process, o.Pid)}: {o.Result}")],
        ThreadEnded o => [(Voice.Kernel, $"{Who(o.Process, o.Pid)}: thread {o.Tid} has ended")],
        ProcessEnded o => [(Voice.Kernel, $"{Who(o.Process, o.Pid)} has ended, exit status {o.ExitStatus.Hex}")],
        DebugPrinted o => [(Voice.Driver, $"DbgPrint: {o.Text}")],
        BugChecked o => [(Voice.Alarm, $"the machine stops with {new BugCheck(o.Code).Hex} {new BugCheck(o.Code)} ({string.Join(", ", o.Parameters)}), raised by {o.By}")],
        DriverFault o => [(Voice.Alarm, $"{o.Id}: {o.By}: {o.Detail}")],
        RunStopped o => [(Voice.Alarm, $"the target stops the run: {o.Why}")],
        ProcessStates o => o.Processes.Select(p => (Voice.Harness, $"checkpoint '{o.Checkpoint}', process list: {State(p)}")),
        KernelMemorySeen o => [(Voice.Harness, $"checkpoint '{o.Checkpoint}', kernel memory: {Count(o.Processes.Count, "process", "processes")}, {Count(o.Processes.Sum(p => p.Threads.Count), "thread", "threads")}, {Count(o.Processes.SelectMany(p => p.Threads).SelectMany(t => t.Irps).DistinctBy(i => i.Address).Count(), "IRP", "IRPs")}")],
        ManagedStackSeen o => [(Voice.Harness, $"{cast.Who(o.Process, o.Pid, o.Tid)} is in managed code: {ManagedStack(o.Frames)}")],
        TraceKept o => [(Voice.Harness, $"{o.File} is kept{(o.EventsLost > 0 ? $"; {o.EventsLost.ToString(CultureInfo.InvariantCulture)} events were lost" : "")}")],
        EventTraceSeen { Processes: [], Gaps: var gaps } o => [(gaps.Count > 0 ? Voice.Alarm : Voice.Harness, $"{o.File} tells of no process of the story that was to end{string.Concat(gaps.Select(gap => $"; {gap}"))}")],
        EventTraceSeen o => o.Processes.Select(fate => (fate.IsZombie ? Voice.Alarm : Voice.Harness, $"{o.File}: {Answered(fate.Answer)}: {fate.Says}")),
        EventLogSeen o => o.Events.Select(logged => (logged.IsCancelTimeout ? Voice.Alarm : Voice.Kernel, $"event log {o.Log}: {logged.Provider}, event {logged.EventId.ToString(CultureInfo.InvariantCulture)}{(logged.IsCancelTimeout ? " (IO_DRIVER_CANCEL_TIMEOUT)" : "")}: {logged.Text}")).Concat(o.LeftOut == 0 ? [] : [(Voice.Harness, $"event log {o.Log}: {Count(o.LeftOut, "more event", "more events")}, left out")]),
        NotObserved o => [(Voice.Alarm, $"{o.What}: not observed: {o.Why}")],
        _ => [(Voice.Harness, $"{seen.GetType().Name} ({seen.Source})")],
    };

    // Without parameters, which are in the evidence, and without the runtime's double of a call into native code.
    private static string ManagedStack(IReadOnlyList<string> frames)
    {
        var named = frames.Select(frame => frame.IndexOf('(', StringComparison.Ordinal) is var from and >= 0 && frame.LastIndexOf(')') is var to && to > from ? frame[..from] + frame[(to + 1)..] : frame).ToList();
        var told = named.Where((frame, i) => i == 0 || frame != named[i - 1]).ToList();
        return string.Join(" <- ", told.Take(MostFrames)) + (told.Count > MostFrames ? $" <- {(told.Count - MostFrames).ToString(CultureInfo.InvariantCulture)} more" : "");
    }

    private static string State(ProcessState process)
    {
        var who = Who(process.Name, process.Pid);
        if (process.Signalled) return $"{who} has ended";
        var waits = process.Threads.Select(t => t.State == ThreadState.Waiting ? $"{t.State} ({t.WaitReason})" : t.State.ToString())
            .GroupBy(wait => wait).Select(g => g.Count() == 1 ? g.Key : $"{g.Count().ToString(CultureInfo.InvariantCulture)} x {g.Key}");
        return $"{who} is {(process.Listed ? "listed" : "not listed")}, not signalled{(process.Threads.Count == 0 ? "" : $"; threads: {string.Join(", ", waits)}")}";
    }

    private static string Answered(Answer answer) => answer switch { Answer.Proven => "proven", Answer.ConsistentWith => "consistent with a zombie", Answer.NotAZombie => "no zombie", _ => "cannot tell" };

    private static string Who(string process, int pid) => $"{process} (pid {pid.ToString(CultureInfo.InvariantCulture)})";

    /// <summary>Who appears in the evidence: of a process that calls from several threads it is said which one calls.</summary>
    private sealed class Cast(IReadOnlyList<Observation> evidence)
    {
        private readonly HashSet<int> _severalThreads = [.. evidence.OfType<CallEntered>().GroupBy(o => o.Pid).Where(g => g.DistinctBy(o => o.Tid).Skip(1).Any()).Select(g => g.Key)];

        internal string Who(string process, int pid, int tid) =>
            _severalThreads.Contains(pid) ? $"{process} (pid {pid.ToString(CultureInfo.InvariantCulture)}, tid {tid.ToString(CultureInfo.InvariantCulture)})" : Timeline.Who(process, pid);
    }

    private static string Bytes(ulong information) => information == 0 ? "" : $", {information.ToString(CultureInfo.InvariantCulture)} bytes";

    private static string Count(int count, string one, string many) => $"{count.ToString(CultureInfo.InvariantCulture)} {(count == 1 ? one : many)}";
}
