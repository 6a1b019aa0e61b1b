using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Tracing.Zombies;

/// <summary>A thread of a dying process in a wait that lasts, and what its stack and its IRPs say of the reason.</summary>
internal sealed class HeldThread
{
    private const string ParseDevice = "nt!IopParseDevice";

    private readonly double _asked;

    /// <summary>What a system service of the thread waits for; null: it was completed, or nobody saw it.</summary>
    private readonly FollowedRequest? _sent;

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
        var sent = past is null ? thread.Sent : past.Sent;
        Requests = [.. process.Requests.Where(IsOfThisWait).OrderByDescending(request => request == sent).ThenByDescending(request => request.Owner == thread)];
        OwnsRequest = Requests.Count > 0 && Requests[0].Owner == thread;
        _sent = OwnsRequest && Requests[0] == sent ? sent : null;
        (Hold, Function) = Explain();
        Awaited = FindAwaited();
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

    /// <summary>That of <see cref="Requests"/> for which it waits, as the function that waits tells; null: it cannot be told, or the trace does not have it.</summary>
    public FollowedRequest? Awaited { get; }

    /// <summary>The dispatch routine of a driver that it called and that has not returned.</summary>
    public (FollowedRequest Request, ulong Routine)? InDispatch { get; }

    public Hold Hold { get; }

    /// <summary>The function that waits, as a stack shows it; null: no stack does.</summary>
    public string? Function { get; }

    /// <summary>Some of nt's routines on the stack have no names.</summary>
    public bool IsUnnamed => Stack.Any(IsUnnamedKernel);

    /// <summary>Nothing explains it, and it may be a wait for a driver: it has the reason of such a wait, and nothing names the function, or its caller is in no image.</summary>
    public bool IsObscure => Hold == Hold.Unexplained && (Reason is WaitReason.Executive or WaitReason.DelayExecution) && (Stack.Any(frame => ModuleOffset.Module(frame) is null) || !Stack.Any(frame => frame.Contains('!', StringComparison.Ordinal)));

    /// <summary>The driver whose own frame waits, "driver.sys".</summary>
    public string? OwnFrame => Hold == Hold.BlockedInDispatch && Function is not null ? ModuleOffset.Module(Function) : null;

    /// <summary>It ran again and again in between.</summary>
    public bool Polls => Past is { Times: > 1 };

    /// <summary>The waits of a process's threads that last, those first that say most.</summary>
    public static IReadOnlyList<HeldThread> Of(FollowedProcess process, double end, FrameNames names) =>
    [
        .. process.Threads.SelectMany(thread => Of(thread, end, names))
            .OrderBy(held => held.Hold == Hold.Unexplained).ThenBy(held => held.Requests.Count == 0).ThenBy(held => !held.OwnsRequest).ThenBy(held => held.Function is null)
                .ThenByDescending(held => Math.Round(held.Total / StuckThread.Soonest.TotalMilliseconds)).ThenBy(held => held.Thread.Tid),
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

        // The wait for IRP_MJ_CLEANUP gives another reason than the others.
        if (Requests.Any(IsUncancellable) && Reason is WaitReason.Executive or WaitReason.UserRequest)
            return (Hold.UncancellableRequest, Stack.Select(ModuleOffset.Function).FirstOrDefault(frame => frame is ParseDevice or "nt!IopCloseFile" or "nt!IopDeleteFile"));
        if (Stack.Count > 0 && !IsUnnamed) return (Hold.Unexplained, null);
        if (Past is null && InDispatch is not null) return (Hold.BlockedInDispatch, null);
        return (Reason switch
        {
            // The exit APC ended the wait for the request, and the thread began another that nothing ends.
            WaitReason.Executive when _sent is not null && !Polls && Thread.RanAfter && Since >= _asked => Hold.NoCancelRoutine,
            // Handles are being closed, and the file object of this request among them.
            WaitReason.DelayExecution when Requests.Any(request => Thread.Process!.CleanedUp.TryGetValue(request.File, out var closed) && closed <= Since) => Hold.Rundown,
            _ => Hold.Unexplained,
        }, null);
    }

    private FollowedRequest? FindAwaited()
    {
        var first = Requests.Count > 0 ? Requests[0] : null;
        switch (Hold)
        {
            case Hold.NoCancelRoutine or Hold.CancelRoutineDidNotComplete:
                return _sent;
            case Hold.UncancellableRequest:
                return Requests.LastOrDefault(IsUncancellable);
            case Hold.Rundown when Function == StuckThread.CancelThreadIo:
                return OwnsRequest ? Requests.First(request => request.Owner == Thread) : null;
            case Hold.Rundown:
                // The handle that is being closed is the one for which IRP_MJ_CLEANUP was sent last.
                var closed = Thread.Process!.CleanedUp;
                return Requests.Where(request => closed.ContainsKey(request.File)).MaxBy(request => closed[request.File]) ?? (Requests.All(request => request.File == Requests[0].File) ? first : null);
            default:
                return first;
        }
    }

    private bool IsUncancellable(FollowedRequest request) => request.Owner == Thread && request.Major is IrpMajor.Create or IrpMajor.Cleanup or IrpMajor.Close;

    /// <summary>The number of frames when there is none.</summary>
    private int Index(Func<string, bool> of)
    {
        for (var i = 0; i < Stack.Count; i++)
            if (of(Stack[i])) return i;
        return Stack.Count;
    }

    private static bool IsUnnamedKernel(string frame) => ModuleOffset.Module(frame) == ModuleOffset.Kernel && !frame.Contains('!', StringComparison.Ordinal);
}
