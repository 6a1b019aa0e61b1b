using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>
/// The zombie rule: termination succeeded, the process is still listed and not signalled, one of its threads waits in kernel mode where
/// nothing can alert it, a driver still has an IRP of it, and the waiting function is on the thread's stack. Each fact has one kind of
/// source (user mode: process-state; the thread and the IRP: kernel-memory) and none is assumed.
/// </summary>
internal static class ZombieRule
{
    /// <summary>TerminateProcess (or the process's own exit) was accepted.</summary>
    internal static Fact Terminated(Testimony testimony) => new("terminate succeeded", testimony.Kill?.Result.IsSuccess, Citation.Of(testimony.Kill));

    internal static OutcomeAt Weigh(Testimony testimony, Checkpoint at, OutcomePromise promise)
    {
        var stuck = KeepsAlive(at.Record, testimony.Sent?.Irp);
        var common = Common(testimony, at, stuck);
        IReadOnlyList<Fact> facts = [.. common, .. OfItsKind(at, stuck)];

        var missing = facts.Where(f => f.Holds is null).ToList();
        var isZombie = common.All(f => f.Holds == true);
        if (missing.Count > 0)
            return new OutcomeAt(isZombie ? Outcome.Zombie : null, null, facts, "",
                Obstacle: $"The outcome of {testimony.Victim} at '{at.Name}' cannot be judged; no evidence for: {string.Join("; ", missing.Select(f => f.Name))}{Excuse(at)}.");

        var refuted = facts.Where(f => f.Holds == false).ToList();
        if (refuted.Count > 0 || stuck is null || stuck.Hold == Hold.Unexplained)
        {
            var why = refuted.Count > 0 ? "not so: " + string.Join("; ", refuted.Select(f => $"{f.Name} ({f.Source})")) : "its wait is none that the rules know";
            var says = $"{testimony.Victim} has not ended {Since(testimony, at)} and no rule explains it; {why}.";
            return new OutcomeAt(isZombie ? Outcome.Zombie : null, null, facts, says,
                new Finding(OutcomeRule.Unexplained, "The process does not end, for an unknown reason", null, [], null, says, Expected: false), says);
        }

        var told = $"{testimony.Victim} was still there {Since(testimony, at)}: {Blame(at.Record!, stuck)}.";
        if (testimony.Kill is { } kill && at.At - kill.At < OutcomeRule.Soonest)
            return OutcomeRule.CannotTell(facts, $"{told} That is too soon to tell a zombie from a process that goes later: it needs {Spelled.Duration(OutcomeRule.Soonest)} to settle.");
        return new OutcomeAt(Outcome.Zombie, null, facts, told, Found(testimony, at, stuck, promise.Expected == Outcome.Zombie));
    }

    /// <summary>The thread that keeps a terminated process alive: one that a rule explains, else one that waits for good, else any.</summary>
    internal static StuckThread? KeepsAlive(ProcessRecord? process, Nt.KernelAddress? request)
    {
        if (process is null) return null;
        var threads = process.Threads.Select(t => StuckThread.Look(t, request)).ToList();
        return threads.FirstOrDefault(t => t.WaitsForGood && t.Hold != Hold.Unexplained && t.Irp is not null)
            ?? threads.FirstOrDefault(t => t.WaitsForGood && t.Hold != Hold.Unexplained)
            ?? threads.FirstOrDefault(t => t.WaitsForGood)
            ?? threads.FirstOrDefault();
    }

    private static List<Fact> Common(Testimony testimony, Checkpoint at, StuckThread? stuck) =>
    [
        Terminated(testimony),
        new Fact("process still listed", at.State?.Listed, at.State is null ? null : Citation.Of(at.States)),
        new Fact("process object not signalled", !at.State?.Signalled, at.State is null ? null : Citation.Of(at.States)),
        FromMemory(stuck is { Hold: Hold.BlockedInDispatch, Thread.Alertable: true } ? "a thread waits in kernel mode, alertable, which no exit ends" : "a thread waits in kernel mode, not alertable", at, stuck?.WaitsForGood ?? false),
    ];

    // A stack that could not be read says nothing about what is on it.
    private static IEnumerable<Fact> OfItsKind(Checkpoint at, StuckThread? stuck)
    {
        bool? Read(bool holds) => stuck is { Thread.Stack.Count: 0 } ? null : holds;
        switch (stuck?.Hold)
        {
            case Hold.BlockedInDispatch:
                yield return FromMemory($"the driver's own frame {stuck.Function} waits", at, true);
                break;
            case Hold.UncancellableRequest:
                yield return FromMemory("a create, cleanup or close IRP that nobody cancels is outstanding", at, true);
                break;
            default:
                yield return FromMemory("an IRP on the thread's or the file object's list", at, stuck?.Irp is not null);
                yield return FromMemory("Irp.Cancel is set", at, stuck?.Irp?.Cancel ?? false);
                yield return FromMemory($"{stuck?.Function ?? "a function that waits for a cancelled IRP"} is on its stack", at, Read(stuck?.Function is not null));
                break;
        }
    }

    /// <summary>A fact read from the victim's kernel memory. What was not found where something could not be read is missing, not refuted.</summary>
    internal static Fact FromMemory(string name, Checkpoint at, bool? holds) =>
        at.Record is null || holds is null || (holds == false && at.Unread.Count > 0) ? new Fact(name, null, null) : new Fact(name, holds, Citation.Of(at.Memory));

    /// <summary>" (kernel memory: …)" when something could not be read.</summary>
    internal static string Excuse(Checkpoint at) => at.Unread.Count == 0 ? "" : $" (kernel memory: {string.Join("; ", at.Unread)})";

    private static Finding Found(Testimony testimony, Checkpoint at, StuckThread stuck, bool expected)
    {
        var (id, title) = stuck.Hold switch
        {
            Hold.NoCancelRoutine => ("zombie-no-cancel-routine", "Zombie process: a pending IRP without a cancel routine"),
            Hold.CancelRoutineDidNotComplete => ("zombie-cancel-routine-did-not-complete", "Zombie process: the cancel routine did not complete the IRP"),
            Hold.Rundown => ("zombie-in-rundown", "Zombie process: its last thread waits for an IRP in rundown"),
            Hold.BlockedInDispatch => ("blocked-in-dispatch", "Zombie process: a driver waits in kernel mode on its caller's thread"),
            Hold.UncancellableRequest => ("zombie-uncancellable-request", "Zombie process: a create, cleanup or close was never completed"),
            _ => throw new ArgumentOutOfRangeException(nameof(stuck), stuck.Hold, "not a reason that a finding tells"),
        };
        var irp = stuck.Irp is null ? "" : $" It has {Spelled.Irp(stuck.Irp)}, current stack location {stuck.Irp.CurrentLocation} of {stuck.Irp.StackCount}{(stuck.Irp.Cancel ? "" : "; nobody has cancelled it")}{CancelRoutineNow(stuck)}.";
        var says = $"{testimony.Victim} was still there {Since(testimony, at)}: {Blame(at.Record!, stuck)}. "
            + $"Thread {stuck.Thread.Tid} waits in {stuck.Place}: {stuck.Wait} ({Citation.Of(at.Memory)}).{irp}{Others(at.Record!, stuck)}";
        return new Finding(id, title, null, [], stuck.Driver, says, expected);
    }

    /// <summary>The other threads that wait for good, by where they wait: " 15 more threads of it wait in nt!IopCancelAlertedRequest."</summary>
    private static string Others(ProcessRecord process, StuckThread stuck) => string.Concat(process.Threads
        .Where(t => t.Tid != stuck.Thread.Tid).Select(t => StuckThread.Look(t, null)).Where(t => t.WaitsForGood)
        .GroupBy(t => t.Place)
        .Select(g => g.Count() == 1
            ? $" Its thread {g.First().Thread.Tid} waits too, in {g.Key}{(g.First().Thread.WaitObject?.BelongsTo is { } what ? $" for {what}" : "")}."
            : $" {g.Count()} more threads of it wait in {g.Key}."));

    // Seen now, although IoCancelIrp took any routine away: the driver set it after the cancellation and never looked at Irp.Cancel.
    private static string CancelRoutineNow(StuckThread stuck) =>
        stuck.Irp is { Cancel: true, CancelRoutine: { } routine } ? $"; the cancel routine {routine} was set after the cancellation had passed" : "";

    /// <summary>"driver.sys holds 1 IRP without a cancel routine".</summary>
    private static string Blame(ProcessRecord process, StuckThread stuck)
    {
        var driver = stuck.Driver ?? "an unknown driver";
        var held = process.Threads.SelectMany(t => t.Irps).Where(i => i.Holder == stuck.Driver).DistinctBy(i => i.Address).Count();
        var irps = held == 1 ? "1 IRP" : $"{held} IRPs";
        return stuck.Hold switch
        {
            Hold.NoCancelRoutine => $"{driver} holds {irps} without a cancel routine",
            Hold.CancelRoutineDidNotComplete => $"{driver} holds {irps} whose cancel routine ran and did not complete {(held == 1 ? "it" : "them")}",
            Hold.Rundown => $"{driver} holds {irps} that the exiting thread waits for",
            Hold.BlockedInDispatch => $"{driver} waits in kernel mode on its caller's thread",
            _ => $"{driver} holds {irps} that nobody can cancel",
        };
    }

    private static string Since(Testimony testimony, Checkpoint at) =>
        testimony.Kill is { } kill ? $"{Spelled.Duration(at.At - kill.At)} after it was killed" : $"at '{at.Name}'";
}
