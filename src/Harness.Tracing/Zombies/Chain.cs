using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Tracing.Zombies;

/// <summary>
/// Weighs what a trace has of a process that was to end: the end that was asked for, the IRP that a driver did not complete, the wait, the stack of
/// that wait. "Proven" takes them all; a link that the trace cannot have (no thread switches in from a wait that lasts) leaves "consistent with".
/// </summary>
internal sealed class Chain(KernelFollower trace, FrameNames names, IReadOnlyList<string> gaps)
{
    public TracedFate Weigh(FollowedProcess process)
    {
        var who = Who(process);
        var asked = process.Asked ?? double.NaN;
        if (gaps.Count > 0) return Fate(process, Answer.CannotTell, $"{who}: {gaps[0]}, so nothing is certain.{(process.Ended is { } seen ? $" Its end is in the trace, {Span(seen - asked)} after it was asked for." : "")}");
        var soonest = StuckThread.Soonest.TotalMilliseconds;
        if (process.Ended is { } ended && ended - asked < soonest) return Fate(process, Answer.NotAZombie, $"{who} went {Span(ended - asked)} after its end was asked for.");
        if (process.Ended is null && trace.End - asked < soonest) return Fate(process, Answer.CannotTell, $"{who} was asked to end only {Span(trace.End - asked)} before the trace does: too soon to tell a zombie from a process that goes later.");
        if (!trace.SawSwitches) return Fate(process, Answer.CannotTell, $"{who} {(process.Ended is { } late ? $"went {Span(late - asked)}" : $"was still there {Span(trace.End - asked)}")} after its end was asked for; there are no context switches in the trace, which would tell why.");
        var held = HeldThread.Of(process, trace.End, names);
        return held.Count == 0 ? Unheld(process, held) : Weigh(process, held);
    }

    /// <summary>A process that nobody was seen to ask: null unless all its threads are seen to be exiting and it stays.</summary>
    public TracedFate? WeighUnasked(FollowedProcess process)
    {
        if (gaps.Count > 0 || process.Threads.Count == 0) return null;
        var held = HeldThread.Of(process, trace.End, names);
        var exits = held.Where(h => h.Stack.Any(frame => ModuleOffset.Function(frame) == "nt!PspExitThread")).ToList();
        return process.Threads.TrueForAll(thread => exits.Exists(h => h.Thread == thread)) ? Weigh(process, exits) : null;
    }

    private TracedFate Weigh(FollowedProcess process, IReadOnlyList<HeldThread> all)
    {
        var held = all[0];
        var facts = Facts(process, held).ToList();
        var explained = held.Hold != Hold.Unexplained;
        var requested = held.Requests.Count > 0 && (held.Stack.Count == 0 || held.IsUnnamed) && held.Reason is WaitReason.Executive or WaitReason.DelayExecution;
        if (!explained && !requested) return Unheld(process, all);
        var answer = facts.Exists(fact => fact.Holds == false) ? Answer.CannotTell : explained && facts.TrueForAll(fact => fact.Holds == true) ? Answer.Proven : Answer.ConsistentWith;
        var driver = held.OwnFrame ?? (held.Hold == Hold.BlockedInDispatch && held.InDispatch is var (call, routine) ? names.ModuleOf(routine, call.Since) : held.Awaited is { } awaited ? DriverOf(awaited) : null);
        var says = new ChainText(process, held, driver, held.Requests.Count(request => DriverOf(request) == driver), ThreadOf).Told;
        var doubts = string.Join("; ", facts.Where(fact => fact.Holds is null).Select(fact => fact.Name));
        var against = string.Join("; ", facts.Where(fact => fact.Holds == false).Select(fact => fact.Name));
        if (against.Length > 0) says += $" Not so: {against}.";
        else if (!explained) says += " What kind of wait it is cannot be told: nt's routines on its stack have no names, or there is no stack.";
        if (doubts.Length > 0) says += $" Not certain, because the trace does not show: {doubts}.";
        return Fate(process, answer, says) with
        {
            Hold = explained ? held.Hold : null, Function = held.Function, Driver = ModuleOffset.IsFramework(driver) ? null : driver, Held = Time(held.Total), Facts = facts, Wait = WaitOf(held),
            Waits = [.. all.Where(other => other.Thread != held.Thread).DistinctBy(other => other.Thread).Select(WaitOf)],
        };
    }

    /// <summary>No thread of it is held by what a rule knows.</summary>
    private TracedFate Unheld(FollowedProcess process, IReadOnlyList<HeldThread> held)
    {
        var who = Who(process);
        var longest = held.MaxBy(h => h.Total);
        var waited = longest is null ? "" : $" Thread {longest.Thread.Tid} waited for {Span(longest.Total)} of that: ({longest.Reason}){(longest.Stack.Count > 0 ? $" in {Place(longest.Stack)}" : "")}.";
        var fate = process.Ended is { } ended
            ? Fate(process, Doubt(process, held, ended) is null ? Answer.NotAZombie : Answer.CannotTell, $"{who} went {Span(ended - process.Asked!.Value)} after its end was asked for; {Doubt(process, held, ended) ?? "no driver is seen to have kept it"}.{waited}")
            : Fate(process, Answer.CannotTell, $"{who} was still there {Span(trace.End - process.Asked!.Value)} after its end was asked for, {(process.Threads.TrueForAll(thread => thread.Ended is not null) ? "without a thread" : "and no thread of it is seen to wait for what a driver holds")}.{waited}");
        return fate with { Wait = longest is null ? null : WaitOf(longest) };
    }

    /// <summary>What forbids to say of a process that went late that no driver kept it; null: nothing does.</summary>
    private string? Doubt(FollowedProcess process, IReadOnlyList<HeldThread> held, double ended)
    {
        if (held.Any(h => h.IsObscure)) return "what it waited for has no name on a stack";
        // A thread that spins in a driver does not wait.
        var open = process.Requests.Find(request => (request.Completed ?? ended) - Math.Max(request.Since, process.Asked!.Value) >= StuckThread.Soonest.TotalMilliseconds);
        return open is null ? null : $"{DriverOf(open) ?? "a driver"} did not complete an IRP of it for as long as a second, and no thread is seen to wait for that";
    }

    /// <summary>The links of the chain, in their order.</summary>
    private IEnumerable<TracedFact> Facts(FollowedProcess process, HeldThread held)
    {
        yield return new(process.Asked is not null ? "its end was asked for" : "its exit has begun: nt!PspExitThread is on the stack", true);
        if (held.Hold == Hold.BlockedInDispatch)
        {
            yield return new("its call of a driver's dispatch routine has not returned", held.InDispatch is not null ? true : held.Function is not null && held.Past is not null ? true : null);
        }
        else
        {
            yield return new("an IRP that it sent to a driver was not completed", IrpIsOutstanding(process, held));
            if (held.Hold != Hold.UncancellableRequest && process.Asked is not null) yield return new("its thread ran after that", held.Thread.RanAfter);
        }

        yield return new(held.Polls ? $"then it waits again and again: ({held.Reason})" : held.Past is null ? $"then it waits and does not run any more: ({held.Reason})" : $"then it waits: ({held.Reason})", true);
        yield return process.Ended is { } ended
            ? new("the process ended only when that wait was over", held.Past is { } past && past.LastOut <= ended)
            : new("the process is listed when the session ends", process.Listed ? true : trace.SawLastRundown ? false : null);
        yield return new(held.Function is { } function ? $"{function} is on the stack with which it switches in"
            : held.Stack.Count > 0 ? "the function that waits, which has no name on the stack with which it switches in" : "the function that waits, on a stack with which it switches in", held.Function is null ? null : true);
    }

    private bool? IrpIsOutstanding(FollowedProcess process, HeldThread held)
    {
        if (held.Awaited is not null) return true;
        // Sent before the session, or completed only in part: a completion routine may stop that, and no event tells.
        return !trace.SawDrivers || process.Threads.Exists(thread => !thread.SeenFromStart || thread.SawCompletionRoutine) ? null : false;
    }

    // Records.

    private TracedFate Fate(FollowedProcess process, Answer answer, string says) => new(process.Pid, process.Image, process.Asked is { } asked ? Time(asked) : null,
        process.AskedBy is { } by ? ThreadOf(by) : null, process.Ended is { } ended ? Time(ended) : null, answer, null, null, null, null, says, [], null, [], [.. process.Requests.Select(RequestOf)]);

    private TracedWait WaitOf(HeldThread held) => new(held.Thread.Tid, held.Reason, Time(held.Since), held.Past is { } past ? Time(past.Until) : null, held.Past?.Times ?? 0, Time(held.TimeSinceLast), Time(held.Total),
        (held.Past is null ? held.Thread.Ready : held.Past.Ready) is { } ready ? new TracedReady(ThreadOf(ready.By), Time(ready.At), ready.InDpc, names.Of(ready.Stack, ready.At)) : null, held.Stack);

    private TracedRequest RequestOf(FollowedRequest request) => new(new(request.Address), request.Major, DriverOf(request), names.Of(request.Routines[^1], request.Since),
        [.. request.Routines.SkipLast(1).Select(routine => names.ModuleOf(routine, request.Since)).OfType<string>().Distinct()], Time(request.Since), request.Owner?.Tid ?? -1,
        request.Completed is { } completed ? Time(completed) : null, request.Completed is null ? null : ThreadOf(request.CompletedBy));

    private string? DriverOf(FollowedRequest request) => names.ModuleOf(request.Routines[^1], request.Since);

    private static TracedThread ThreadOf(FollowedThread? thread) => new(thread?.Tid ?? -1, thread?.Process?.Pid ?? -1, thread?.Process?.Image ?? "");

    private static string Place(IReadOnlyList<string> stack) => ModuleOffset.Function(stack.FirstOrDefault(frame => !IsPartOfWait(frame)) ?? stack[^1]);

    private static bool IsPartOfWait(string frame) => frame.StartsWith("nt!Ki", StringComparison.Ordinal) || frame.StartsWith("nt!KeWaitFor", StringComparison.Ordinal) || frame.StartsWith("nt!KeDelayExecutionThread", StringComparison.Ordinal);

    private static string Who(FollowedProcess process) => ChainText.Who(process);

    private static string Span(double milliseconds) => Spelled.Duration(Time(milliseconds));

    /// <summary>To the clock's 100 ns. A damaged trace may have any time: some thousand years are enough.</summary>
    internal static TimeSpan Time(double milliseconds) => TimeSpan.FromTicks((long)Math.Clamp(Math.Round(milliseconds * TimeSpan.TicksPerMillisecond), -long.MaxValue / 4, long.MaxValue / 4));
}
