using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Tracing.Zombies;

/// <summary>What keeps a process, in sentences.</summary>
internal sealed class ChainText(FollowedProcess process, HeldThread wait, string? driver, int heldByDriver, Func<FollowedThread?, TracedThread> named)
{
    public string Told => $"{Who(process)} {(process.Ended is null ? "has been" : "was")} held for {Span(wait.Total)} after its end was asked for: {Blame}. {Wait}{Irp}{Ending}";

    public static string Who(FollowedProcess process) => process.Image.Length > 0 ? $"'{process.Image}' (pid {process.Pid})" : $"pid {process.Pid}";

    private string Blame
    {
        get
        {
            var count = heldByDriver == 1 ? "1 IRP" : heldByDriver == 0 ? "an IRP" : $"{heldByDriver} IRPs";
            // The routine that was called is the framework's, and which driver it serves is no event.
            var who = driver is null ? "a driver that the trace does not name" : ModuleOffset.IsFramework(driver) ? $"a driver that {driver} serves, and that the trace does not name," : driver;
            return wait.Hold switch
            {
                Hold.NoCancelRoutine => $"{who} holds {count} without a cancel routine",
                Hold.CancelRoutineDidNotComplete => $"{who} holds {count} whose cancel routine ran and did not complete {(heldByDriver > 1 ? "them" : "it")}",
                Hold.Rundown when wait.Function == StuckThread.CleanupProcessResources => $"{who} holds {count} that the closing of its handles waits for",
                Hold.Rundown => $"{who} holds {count} that its rundown waits for",
                Hold.BlockedInDispatch => $"{who} waits in kernel mode on its caller's thread",
                Hold.UncancellableRequest => $"{who} holds {count} ({wait.Awaited!.Major.NtName()}) that nobody cancels",
                _ => $"{who} has not completed {count}",
            };
        }
    }

    private string Wait => wait.Polls
        ? $"Thread {wait.Thread.Tid} {(process.Ended is null ? "waits" : "waited")}{InFunction}: ({wait.Reason}), {wait.Past!.Times} times, {Span(wait.Total / wait.Past.Times)} on average."
        : wait.Past is null ? $"Thread {wait.Thread.Tid} waits{InFunction}: ({wait.Reason}), and has not run for {Span(wait.TimeSinceLast)}."
        : $"Thread {wait.Thread.Tid} waited{InFunction}: ({wait.Reason}).";

    private string InFunction => wait.Function is { } function ? $" in {function}" : "";

    private string Irp
    {
        get
        {
            var request = wait.Hold == Hold.BlockedInDispatch && wait.InDispatch is var (call, _) ? call : wait.Awaited;
            if (request is null) return "";
            return $" {new KernelAddress(request.Address)} ({request.Major.NtName()}) was sent by thread {request.Owner?.Tid ?? -1} at {Spelled.Clock(Chain.Time(request.Since))}.";
        }
    }

    private string Ending
    {
        get
        {
            var over = wait.Past?.Until ?? double.PositiveInfinity;
            var released = wait.Requests.FirstOrDefault(request => request.Completed <= over);
            var text = released is null ? "" : $" It was completed at {Spelled.Clock(Chain.Time(released.Completed!.Value))} on {Thread(released.CompletedBy)}.";
            if (wait.Past is { Times: 1, Ready: { } ready }) text += ready is { InDpc: false, By: not null } && ready.By == released?.CompletedBy ? " That made the thread ready." : $" The thread was made ready by {(ready.InDpc ? "a DPC on " : "")}{Thread(ready.By)}.";
            if (process.Ended is not { } ended) return text;
            return $"{text} The process went {Span(ended - process.Asked!.Value)} after its end was asked for{(released is null && wait.Requests.Count > 0 ? ", and the IRP was not complete" : "")}.";
        }
    }

    private string Thread(FollowedThread? thread)
    {
        var of = named(thread);
        return of.Tid < 0 ? "an unknown thread" : of.Image.Length > 0 ? $"thread {of.Tid} of '{of.Image}' (pid {of.Pid})" : $"thread {of.Tid}";
    }

    private static string Span(double milliseconds) => Spelled.Duration(Chain.Time(milliseconds));
}
