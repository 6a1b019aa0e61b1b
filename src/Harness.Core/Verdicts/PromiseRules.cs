using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>What a promise came to.</summary>
/// <param name="Fact">The promise as a fact.</param>
/// <param name="Finding">When it was broken.</param>
/// <param name="Obstacle">When it cannot be told.</param>
internal sealed record Kept(Fact Fact, Finding? Finding = null, string? Obstacle = null);

/// <summary>The promises about a request. Its outcome is <see cref="OutcomeRule"/>'s business.</summary>
internal static class PromiseRules
{
    internal const string Broken = "promise-broken-";

    /// <summary>How long a dying thread waits for its IRPs (learn.microsoft.com, "Canceling IRPs").</summary>
    private static readonly TimeSpan GivesUpAfter = TimeSpan.FromMinutes(5);

    internal static Kept? Weigh(Testimony testimony, Promise promise) => promise switch
    {
        RequestStatusPromise status => RequestStatus(testimony, status),
        CancelRoutineRanPromise ran => CancelRoutineRan(testimony, ran),
        IrpDisassociatedPromise given => Disassociated(testimony, given),
        ProcessEndedPromise other => OtherEnded(testimony, other.Process),
        OutcomePromise => null,
        _ => new Kept(new Fact(promise.GetType().Name, null, null), null, $"No rule knows the promise {promise.GetType().Name}."),
    };

    private static Kept RequestStatus(Testimony testimony, RequestStatusPromise promise)
    {
        var name = $"request '{promise.Request}' completed with {promise.Status}";
        var completion = testimony.Of<IrpCompleted>(promise.Request, o => (o.Irp, o.Request)).LastOrDefault();
        if (completion is null) return Returned(testimony, promise, name) ?? new Kept(new Fact(name, null, null), null, $"No evidence that the request '{promise.Request}' was completed.");
        if (completion.Status == promise.Status) return new Kept(new Fact(name, true, Citation.Of(completion)));
        return new Kept(new Fact(name, false, Citation.Of(completion)), new Finding(Broken + "request-status", "Wrong completion status", null, [],
            Nt.ModuleOffset.Module(completion.By),
            $"{completion.By} completed the request '{promise.Request}' with {completion.Status} instead of {promise.Status} at {Spelled.Clock(completion.At)} ({Citation.Of(completion)}).", false));
    }

    // Where nobody sees the driver complete it, its client sees what came of it: the status of the I/O status block is the IRP's.
    private static Kept? Returned(Testimony testimony, RequestStatusPromise promise, string name)
    {
        if (promise.Request != testimony.Story.Request || testimony.Returned is not { } returned || testimony.PendingBefore(returned) is null) return null;
        var kept = returned.Status == promise.Status;
        return new Kept(new Fact(name, kept, Citation.Of(returned)), kept ? null : new Finding(Broken + "request-status", "Wrong completion status", null, [], testimony.Holder,
            $"The request '{promise.Request}' came back to its client with {returned.Status} instead of {promise.Status} at {Spelled.Clock(returned.At)} ({Citation.Of(returned)}).", false));
    }

    private static Kept CancelRoutineRan(Testimony testimony, CancelRoutineRanPromise promise)
    {
        var name = $"a cancel routine was called for '{promise.Request}'";
        var cancels = testimony.Of<CancelRequested>(promise.Request, o => (o.Irp, o.Request)).ToList();
        if (cancels.Count == 0) return Held(testimony, promise, name) ?? new Kept(new Fact(name, null, null), null, $"No evidence that the request '{promise.Request}' was cancelled.");
        if (cancels.FirstOrDefault(c => c.CancelRoutine is not null) is { } called) return new Kept(new Fact(name, true, Citation.Of(called)));
        var first = cancels[0];
        return new Kept(new Fact(name, false, Citation.Of(first)), new Finding(Broken + "cancel-routine-ran", "No cancel routine", null, [],
            Holder(testimony, first),
            $"IoCancelIrp found no cancel routine on IRP {first.Irp} of the request '{promise.Request}' at {Spelled.Clock(first.At)} ({Citation.Of(first)}).", false));
    }

    // Where nobody sees the cancellation, the way in which its thread waits tells what IoCancelIrp found (docs/zombies.md).
    private static Kept? Held(Testimony testimony, CancelRoutineRanPromise promise, string name) =>
        promise.Request != testimony.Story.Request || TraceRule.Held(testimony) is not (Hold.CancelRoutineDidNotComplete or Hold.NoCancelRoutine, _, _) held ? null
        : held.Hold == Hold.CancelRoutineDidNotComplete ? new Kept(new Fact(name, true, held.Source))
        : new Kept(new Fact(name, false, held.Source), new Finding(Broken + "cancel-routine-ran", "No cancel routine", null, [], held.Driver,
            $"The thread of the request '{promise.Request}' waits as IoCancelIrp leaves it that found no cancel routine ({held.Source}).", false));

    private static Kept Disassociated(Testimony testimony, IrpDisassociatedPromise promise)
    {
        var name = $"the I/O manager gave up the IRP of '{promise.Request}'";
        if (testimony.Of<IrpDisassociated>(promise.Request, o => (o.Irp, o.Request)).FirstOrDefault() is { } seen) return new Kept(new Fact(name, true, Citation.Of(seen)));
        if (promise.Request == testimony.Story.Request && testimony.Evidence.OfType<EventLogSeen>().FirstOrDefault(o => o.Events.Any(logged => logged.IsCancelTimeout)) is { } logged) return new Kept(new Fact(name, true, Citation.Of(logged)));
        var completion = testimony.Of<IrpCompleted>(promise.Request, o => (o.Irp, o.Request)).LastOrDefault();
        if (completion is null && promise.Request == testimony.Story.Request && testimony.Fate is { } fate && WasGivenUp(fate)) return new Kept(new Fact(name, true, Citation.Of(testimony.Trace)));
        if (completion is null)
            return new Kept(new Fact(name, null, null), null, $"No evidence that the IRP of the request '{promise.Request}' was given up.");
        return new Kept(new Fact(name, false, Citation.Of(completion)), new Finding(Broken + "irp-disassociated", "The IRP was completed before the I/O manager gave it up", null, [],
            Nt.ModuleOffset.Module(completion.By),
            $"{completion.By} completed the request '{promise.Request}' at {Spelled.Clock(completion.At)}, before the I/O manager gave its IRP up ({Citation.Of(completion)}).", false));
    }

    // A process in rundown waits for its IRPs, five minutes: it can have gone then, and before one was complete, only because that was given up. One that went
    // sooner had another IRP that nobody waits for, a driver's own.
    private static bool WasGivenUp(TracedFate fate) =>
        fate is { Answer: Answer.Proven, Hold: Hold.Rundown, Asked: { } asked, Ended: { } ended } && ended - asked >= GivesUpAfter && fate.Requests.Any(request => request.Completed is not { } completed || completed > ended);

    private static Kept OtherEnded(Testimony testimony, string process)
    {
        var name = $"'{process}' came to its end";
        if (testimony.Evidence.OfType<ProcessEnded>().FirstOrDefault(o => o.Process == process) is { } end) return new Kept(new Fact(name, true, Citation.Of(end)));
        var states = testimony.Evidence.OfType<ProcessStates>().LastOrDefault(o => o.Processes.Any(p => p.Name == process));
        var state = states?.Processes.First(p => p.Name == process);
        if (state is null) return new Kept(new Fact(name, null, null), null, $"No evidence of what became of '{process}'.");
        if (state.Signalled) return new Kept(new Fact(name, true, Citation.Of(states)));
        var memory = testimony.Evidence.OfType<KernelMemorySeen>().LastOrDefault(o => o.Checkpoint == states!.Checkpoint);
        var stuck = StuckThread.Of(memory?.Processes.FirstOrDefault(p => p.Pid == state.Pid), request: null);
        var where = stuck is null ? "" : $" Its thread {stuck.Thread.Tid} waits {stuck.Wait}{(stuck.Irp is null ? "" : $" and has {Spelled.Irp(stuck.Irp)}")} ({Citation.Of(memory)}).";
        return new Kept(new Fact(name, false, Citation.Of(states)), new Finding(Broken + "process-ended", "Another client does not get through", null, [], stuck?.Driver,
            $"'{process}' (pid {state.Pid}), which nobody terminated, has not come to its end at '{states!.Checkpoint}' ({Citation.Of(states)}).{where}", false));
    }

    // Whoever was last handed the IRP before it was cancelled.
    private static string? Holder(Testimony testimony, CancelRequested cancel) =>
        testimony.Evidence.OfType<IrpSent>().LastOrDefault(o => o.Irp == cancel.Irp && o.N < cancel.N)?.Driver;
}
