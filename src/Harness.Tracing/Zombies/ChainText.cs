using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Core.Traces;

namespace Harness.Tracing.Zombies;

/// <summary>What keeps a process, in sentences.</summary>
internal sealed class ChainText(FollowedProcess process, HeldThread held, string? driver, Func<FollowedThread?, TracedThread> named)
{
    public string Told => $"{Who(process)} {(process.Ended is null && held.Past is null or { Times: > 1 } && process.Ended is null ? "has been" : "was")} held for {Span(held.Total)} after its end was asked for: {Blame}. {Wait}{Irp}{Ending}";

    public static string Who(FollowedProcess process) => process.Image.Length > 0 ? $"'{process.Image}' (pid {process.Pid})" : $"pid {process.Pid}";

    private string Blame
    {
        get
        {
            var count = held.Requests.Count == 1 ? "1 IRP" : held.Requests.Count == 0 ? "an IRP" : $"{held.Requests.Count} IRPs";
            var who = driver ?? "a driver that the trace does not name";
            return held.Hold switch
            {
                Hold.NoCancelRoutine => $"{who} holds {count} without a cancel routine",
                Hold.CancelRoutineDidNotComplete => $"{who} holds {count} whose cancel routine ran and did not complete {(held.Requests.Count > 1 ? "them" : "it")}",
                Hold.Rundown when held.Function == StuckThread.CleanupProcessResources => $"{who} holds {count} that the closing of its handles waits for",
                Hold.Rundown => $"{who} holds {count} that its rundown waits for",
                Hold.BlockedInDispatch => $"{who} waits in kernel mode on its caller's thread",
                Hold.UncancellableRequest => $"{who} holds {count} ({held.Requests[0].Major.NtName()}) that nobody cancels",
                _ => $"{who} has not completed {count}",
            };
        }
    }

    private string Wait => held.Polls
        ? $"Thread {held.Thread.Tid} waits{InFunction}: ({held.Reason}), {held.Past!.Times} times, {Span(held.Total / held.Past.Times)} each."
        : held.Past is null ? $"Thread {held.Thread.Tid} waits{InFunction}: ({held.Reason}), and has not run for {Span(held.TimeSinceLast)}."
        : $"Thread {held.Thread.Tid} waited{InFunction}: ({held.Reason}).";

    private string InFunction => held.Function is { } function ? $" in {function}" : "";

    private string Irp
    {
        get
        {
            var request = held.Hold == Hold.BlockedInDispatch && held.InDispatch is var (call, _) ? call : held.Requests.Count > 0 ? held.Requests[0] : null;
            if (request is null) return "";
            return $" {new KernelAddress(request.Address)} ({request.Major.NtName()}) was sent by thread {request.Owner?.Tid ?? -1} at {Spelled.Clock(Chain.Time(request.Since))}.";
        }
    }

    private string Ending
    {
        get
        {
            var released = held.Requests.FirstOrDefault(request => request.Completed is not null);
            var text = released is null ? "" : $" It was completed at {Spelled.Clock(Chain.Time(released.Completed!.Value))} on {Thread(released.CompletedBy)}.";
            if (held.Past is { Times: 1, Ready: { } ready }) text += ready is { InDpc: false, By: not null } && ready.By == released?.CompletedBy ? " That made the thread ready." : $" The thread was made ready by {(ready.InDpc ? "a DPC on " : "")}{Thread(ready.By)}.";
            if (process.Ended is not { } ended) return text;
            if (released is null && held.Requests.Count > 0 && held.Hold == Hold.Rundown) text += " The IRP was not completed.";
            return text + $" The process went {Span(ended - process.Asked!.Value)} after its end was asked for.";
        }
    }

    private string Thread(FollowedThread? thread)
    {
        var of = named(thread);
        return of.Tid < 0 ? "an unknown thread" : of.Image.Length > 0 ? $"thread {of.Tid} of '{of.Image}' (pid {of.Pid})" : $"thread {of.Tid}";
    }

    private static string Span(double milliseconds) => Spelled.Duration(Chain.Time(milliseconds));
}
