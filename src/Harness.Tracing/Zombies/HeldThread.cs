using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Tracing.Zombies;

/// <summary>A thread of a dying process in a wait that lasts, and what its stack and its IRPs say of the reason.</summary>
internal sealed class HeldThread
{
    private const string ParseDevice = "nt!IopParseDevice";

    private readonly double _asked;

    private HeldThread(FollowedThread thread, FollowedWait? past, double end, FrameNames names)
    {
        var process = thread.Process!;
        _asked = process.Asked ?? double.NegativeInfinity;
        Thread = thread;
        Past = past;
        Reason = past?.Reason ?? thread.Reason;
        Since = past?.Since ?? thread.OutAt;
        Total = past?.Total ?? end - Math.Max(thread.OutAt, _asked);
        TimeSinceLast = past is null ? end - thread.OutAt : past.Until - past.LastOut;
        Stack = names.Of(past?.Stack, past?.Until ?? end);
        InDispatch = process.Ended is null && thread.InDispatch is var (call, routine) && ModuleOffset.IsDriver(names.ModuleOf(routine, call.Since)) ? (call, routine) : null;
        Requests = [.. process.Requests.Where(IsOfThisWait).OrderByDescending(request => request.Owner == thread)];
        OwnsRequest = Requests.Count > 0 && Requests[0].Owner == thread;
        (Hold, Function) = Explain();
    }

    public FollowedThread Thread { get; }

    /// <summary>The wait, of which the thread came back; null: it is still in it.</summary>
    public FollowedWait? Past { get; }

    public WaitReason Reason { get; }

    public double Since { get; }

    /// <summary>How long, after the process's end was asked for.</summary>
    public double Total { get; }

    public double TimeSinceLast { get; }

    public IReadOnlyList<string> Stack { get; }

    /// <summary>IRPs of its process that were not completed as long as it waited, its own first.</summary>
    public IReadOnlyList<FollowedRequest> Requests { get; }

    /// <summary>It sent one of them itself.</summary>
    public bool OwnsRequest { get; }

    /// <summary>The dispatch routine of a driver that it called and that has not returned.</summary>
    public (FollowedRequest Request, ulong Routine)? InDispatch { get; }

    public Hold Hold { get; }

    /// <summary>The function that waits, as a stack shows it; null: no stack does.</summary>
    public string? Function { get; }

    /// <summary>Some of nt's routines on the stack have no names.</summary>
    public bool IsUnnamed => Stack.Any(IsUnnamedKernel);

    /// <summary>The driver whose own frame waits, "driver.sys".</summary>
    public string? OwnFrame => Hold == Hold.BlockedInDispatch && Function is not null ? ModuleOffset.Module(Function) : null;

    /// <summary>It ran again and again in between.</summary>
    public bool Polls => Past is { Times: > 1 };

    /// <summary>The waits of a process's threads that last, those first that say most.</summary>
    public static IReadOnlyList<HeldThread> Of(FollowedProcess process, double end, FrameNames names) =>
    [
        .. process.Threads.SelectMany(thread => Of(thread, end, names))
            .OrderBy(held => held.Hold == Hold.Unexplained).ThenBy(held => held.Requests.Count == 0).ThenBy(held => !held.OwnsRequest).ThenBy(held => held.Function is null).ThenByDescending(held => held.Total).ThenBy(held => held.Thread.Tid),
    ];

    private static IEnumerable<HeldThread> Of(FollowedThread thread, double end, FrameNames names)
    {
        var soonest = StuckThread.Soonest.TotalMilliseconds;
        foreach (var wait in thread.Past)
            if (wait.Total >= soonest) yield return new HeldThread(thread, wait, end, names);
        if (thread is { Waits: true, Process.Ended: null } && end - Math.Max(thread.OutAt, thread.Process.Asked ?? thread.OutAt) >= soonest) yield return new HeldThread(thread, null, end, names);
    }

    private bool IsOfThisWait(FollowedRequest request) =>
        request.Since <= (Past?.LastOut ?? Thread.OutAt) && (request.Completed is not { } completed || completed >= Math.Max(Since, _asked) + StuckThread.Soonest.TotalMilliseconds);

    /// <summary>The innermost of a driver's own frame and the function of nt that waits for a request decides, as in kernel memory (<see cref="StuckThread"/>).</summary>
    private (Hold Hold, string? Function) Explain()
    {
        var waiter = Index(frame => ModuleOffset.Function(frame) is StuckThread.CancelAlertedRequest or StuckThread.CancelThreadIo or StuckThread.CleanupProcessResources);
        var driver = Index(frame => ModuleOffset.IsDriver(ModuleOffset.Module(frame)));
        // A routine of nt without a name, called by the driver, may be one that waits for a request.
        if (driver < waiter) return Stack.Take(driver).Any(IsUnnamedKernel) && InDispatch is null ? (Hold.Unexplained, null) : (Hold.BlockedInDispatch, Stack[driver]);
        if (waiter < Stack.Count)
        {
            var function = ModuleOffset.Function(Stack[waiter]);
            return ((function, Reason) switch
            {
                (StuckThread.CancelAlertedRequest, WaitReason.Executive) => Hold.NoCancelRoutine,
                (StuckThread.CancelAlertedRequest, WaitReason.DelayExecution) => Hold.CancelRoutineDidNotComplete,
                (StuckThread.CancelThreadIo or StuckThread.CleanupProcessResources, _) => Hold.Rundown,
                _ => Hold.Unexplained,
            }, function);
        }

        if (Requests.Any(request => request.Owner == Thread && request.Major is IrpMajor.Create or IrpMajor.Cleanup or IrpMajor.Close) && Reason == WaitReason.Executive)
            return (Hold.UncancellableRequest, Stack.Select(ModuleOffset.Function).FirstOrDefault(frame => frame is ParseDevice or "nt!IopCloseFile" or "nt!IopDeleteFile"));
        if (Stack.Count > 0 && !IsUnnamed) return (Hold.Unexplained, null);
        if (Past is null && InDispatch is not null) return (Hold.BlockedInDispatch, null);
        return (Reason switch
        {
            // The exit APC ended the wait for the request, and the thread began another that nothing ends.
            WaitReason.Executive when OwnsRequest && !Polls && Thread.RanAfter && Since >= _asked => Hold.NoCancelRoutine,
            // Handles are being closed, and the file object of this request among them.
            WaitReason.DelayExecution when Requests.Any(request => Thread.Process!.CleanedUp.TryGetValue(request.File, out var closed) && closed <= Since) => Hold.Rundown,
            _ => Hold.Unexplained,
        }, null);
    }

    /// <summary>The number of frames when there is none.</summary>
    private int Index(Func<string, bool> of)
    {
        for (var i = 0; i < Stack.Count; i++)
            if (of(Stack[i])) return i;
        return Stack.Count;
    }

    private static bool IsUnnamedKernel(string frame) => ModuleOffset.Module(frame) == ModuleOffset.Kernel && !frame.Contains('!', StringComparison.Ordinal);
}
