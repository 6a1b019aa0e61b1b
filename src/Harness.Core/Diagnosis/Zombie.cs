namespace Harness.Core.Diagnosis;

/// <summary>A terminated process that cannot end, and the thread that keeps it: what kernel memory alone says of it, in the words of findings.</summary>
/// <param name="Process">The process.</param>
/// <param name="Stuck">The thread whose wait a rule explains.</param>
public sealed record Zombie(ProcessRecord Process, StuckThread Stuck)
{
    /// <summary>The finding's id, "zombie-no-cancel-routine".</summary>
    public string Id => Finding(Stuck.Hold).Id;

    /// <summary>The finding in a few words.</summary>
    public string Title => Finding(Stuck.Hold).Title;

    /// <summary>The finding that tells of a hold: its id, and a few words. <see cref="Hold.Unexplained"/> has none.</summary>
    public static (string Id, string Title) Finding(Hold hold) => hold switch
    {
        Hold.NoCancelRoutine => ("zombie-no-cancel-routine", "Zombie process: a pending IRP without a cancel routine"),
        Hold.CancelRoutineDidNotComplete => ("zombie-cancel-routine-did-not-complete", "Zombie process: the cancel routine did not complete the IRP"),
        Hold.Rundown => ("zombie-in-rundown", "Zombie process: its last thread waits for an IRP in rundown"),
        Hold.BlockedInDispatch => ("blocked-in-dispatch", "Zombie process: a driver waits in kernel mode on its caller's thread"),
        Hold.UncancellableRequest => ("zombie-uncancellable-request", "Zombie process: a create, cleanup or close was never completed"),
        _ => throw new InvalidOperationException($"{hold} is not a reason that a finding tells"),
    };

    /// <summary>"driver.sys holds 1 IRP without a cancel routine".</summary>
    public string Blame
    {
        get
        {
            var driver = Stuck.Driver ?? "an unknown driver";
            var held = Process.Threads.SelectMany(t => t.Irps).Where(i => i.Holder == Stuck.Driver).DistinctBy(i => i.Address).Count();
            var irps = held == 1 ? "1 IRP" : $"{held} IRPs";
            return Stuck.Hold switch
            {
                Hold.NoCancelRoutine => $"{driver} holds {irps} without a cancel routine",
                Hold.CancelRoutineDidNotComplete => $"{driver} holds {irps} whose cancel routine ran and did not complete {(held == 1 ? "it" : "them")}",
                Hold.Rundown => $"{driver} holds {irps} that the exiting thread waits for",
                Hold.BlockedInDispatch when Stuck.Irp is { Holder: { } below } && below != driver => $"{driver} waits in kernel mode on its caller's thread, and {below} below it has an IRP of this thread",
                Hold.BlockedInDispatch => $"{driver} waits in kernel mode on its caller's thread",
                _ => $"{driver} holds {irps} that nobody can cancel",
            };
        }
    }

    /// <summary>Where the thread waits, what IRP it has, and which other threads wait with it.</summary>
    /// <param name="citation">Where that was read, "kernel-memory #19"; null: nothing is cited.</param>
    public string Told(string? citation)
    {
        var irp = Stuck.Irp is null ? "" : $" It has {Spelled.Irp(Stuck.Irp)}, current stack location {Stuck.Irp.CurrentLocation} of {Stuck.Irp.StackCount}{(Stuck.Irp.Cancel ? "" : "; nobody has cancelled it")}{CancelRoutineNow}{WayDown}.";
        return $"Thread {Stuck.Thread.Tid} waits in {Stuck.Place}: {Stuck.Wait}{(citation is null ? "" : $" ({citation})")}.{irp}{Others}";
    }

    // Seen now, although IoCancelIrp took any routine away: the driver set it after the cancellation and never looked at Irp.Cancel.
    private string CancelRoutineNow =>
        Stuck.Irp is { Cancel: true, CancelRoutine: { } routine } ? $"; the cancel routine {routine} was set after the cancellation had passed" : "";

    /// <summary>The drivers that have had the IRP and sent it down, the first first: "; filter.sys sent it down".</summary>
    private string WayDown
    {
        get
        {
            var above = Stuck.Irp!.Locations.Where(l => l.Number > Stuck.Irp.CurrentLocation && l.Driver is not null && l.Driver != Stuck.Irp.Holder).Select(l => l.Driver!).Distinct().ToList();
            return above.Count == 0 ? "" : $"; {string.Join(", ", above)} sent it down";
        }
    }

    /// <summary>The other threads that wait for good, by where they wait: " 15 more threads of it wait in nt!IopCancelAlertedRequest."</summary>
    private string Others => string.Concat(Process.Threads
        .Where(t => t.Tid != Stuck.Thread.Tid).Select(t => StuckThread.Look(t, null)).Where(t => t.WaitsForGood)
        .GroupBy(t => t.Place)
        .Select(g => g.Count() == 1
            ? $" Its thread {g.First().Thread.Tid} waits too, in {g.Key}{(g.First().Thread.WaitObject?.BelongsTo is { } what ? $" for {what}" : "")}."
            : $" {g.Count()} more threads of it wait in {g.Key}."));
}

/// <summary>The facts about the thread and its IRP by which a zombie is told; null: what was read says nothing either way.</summary>
public static class ZombieFacts
{
    /// <summary>Not so of a wait that is like it but in a routine of another name: where one look is all there is, that is a likely zombie.</summary>
    public const string OtherName = "a function that is known to wait for a cancelled IRP is on its stack";

    /// <summary>The wait itself.</summary>
    public static (string Name, bool? Holds) Waits(StuckThread? stuck) =>
        (stuck is { Hold: Hold.BlockedInDispatch, Thread.Alertable: true } ? "a thread waits in kernel mode, alertable, which no exit ends" : "a thread waits in kernel mode, not alertable", stuck?.WaitsForGood ?? false);

    /// <summary>What this kind of hold leaves behind.</summary>
    public static IEnumerable<(string Name, bool? Holds)> OfItsKind(StuckThread? stuck)
    {
        // A stack that could not be read says nothing about what is on it.
        bool? OnStack(bool holds) => stuck is { Thread.Stack.Count: 0 } ? null : holds;
        switch (stuck?.Hold)
        {
            case Hold.BlockedInDispatch:
                yield return ($"the driver's own frame {stuck.Function} waits", true);
                break;
            case Hold.UncancellableRequest:
                yield return ("a create, cleanup or close IRP that nobody cancels is outstanding", true);
                break;
            default:
                yield return (stuck?.Irp is { List: "pool" } ? "an IRP that the thread sent, on no list any more" : "an IRP on the thread's or the file object's list", stuck?.Irp is not null);
                yield return ("Irp.Cancel is set", stuck?.Irp?.Cancel ?? false);
                if (stuck is { Inferred: true }) yield return (stuck.HasOtherName ? OtherName : "it waits as the function does that waits for a cancelled IRP, which has no name without symbols", !stuck.HasOtherName);
                else yield return ($"{stuck?.Function ?? "a function that waits for a cancelled IRP"} is on its stack", OnStack(stuck?.Function is not null));
                break;
        }
    }
}
