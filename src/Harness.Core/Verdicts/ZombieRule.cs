using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>
/// The zombie rule: termination succeeded, the process is still listed and not signalled, one of its threads waits in kernel mode where
/// nothing can alert it, a driver still has an IRP of it, and the waiting function is on the thread's stack. User mode tells of the process
/// (process-state); kernel memory of the thread and the IRP or, where it does not tell, an event trace (etw). None is assumed.
/// </summary>
internal static class ZombieRule
{
    /// <summary>TerminateProcess (or the process's own exit) was accepted.</summary>
    internal static Fact Terminated(Testimony testimony) => new("terminate succeeded", testimony.Kill?.Result.IsSuccess, Citation.Of(testimony.Kill));

    internal static OutcomeAt Weigh(Testimony testimony, Checkpoint at, OutcomePromise promise)
    {
        var stuck = StuckThread.Of(at.Record, testimony.Sent?.Irp);
        var process = InUserMode(testimony, at);
        List<Fact> kernel = [FromMemory(ZombieFacts.Waits(stuck), at), .. ZombieFacts.OfItsKind(stuck).Select(fact => FromMemory(fact, at))];
        // What memory has seen otherwise no trace makes good.
        var traced = kernel.Exists(f => f.Holds is null) && !kernel.Exists(f => f.Holds == false) ? TraceRule.Of(testimony) : null;
        if (traced is not null) kernel = traced.Facts;
        List<Fact> decisive = [.. process, .. kernel];
        IReadOnlyList<Fact> facts = traced is null ? [.. decisive, .. TraceRule.Beside(testimony, stuck)] : decisive;
        var outcome = process.All(f => f.Holds == true) && kernel[0].Holds == true ? Outcome.Zombie : (Outcome?)null;

        var missing = decisive.Where(f => f.Holds is null).ToList();
        if (missing.Count > 0)
            return new OutcomeAt(outcome, null, facts, "",
                Obstacle: $"The outcome of {testimony.Victim} at '{at.Name}' cannot be judged; no evidence for: {string.Join("; ", missing.Select(f => f.Name))}{Excuse(at)}{TraceRule.Excuse(testimony)}.");

        var refuted = facts.Where(f => f.Holds == false).ToList();
        var hold = traced?.Hold ?? stuck?.Hold ?? Hold.Unexplained;
        if (refuted.Count > 0 || hold == Hold.Unexplained)
        {
            var why = refuted.Count > 0 ? "not so: " + string.Join("; ", refuted.Select(f => $"{f.Name} ({f.Source})")) : "its wait is none that the rules know";
            var says = $"{testimony.Victim} has not ended {Since(testimony, at)} and no rule explains it; {why}.";
            return new OutcomeAt(outcome, null, facts, says,
                new Finding(OutcomeRule.Unexplained, "The process does not end, for an unknown reason", null, [], null, says, Expected: false), says);
        }

        var zombie = traced is null ? new Zombie(at.Record!, stuck!) : null;
        var told = $"{testimony.Victim} was still there {Since(testimony, at)}: {zombie?.Blame ?? traced!.Blame}.";
        if (testimony.Kill is { } kill && at.At - kill.At < StuckThread.Soonest)
            return OutcomeRule.CannotTell(facts, $"{told} That is too soon to tell a zombie from a process that goes later: it needs {Spelled.Duration(StuckThread.Soonest)} to settle.");
        var (id, title) = Zombie.Finding(hold);
        return new OutcomeAt(Outcome.Zombie, null, facts, told,
            new Finding(id, title, null, [], traced is null ? stuck!.Driver : traced.Driver, $"{told} {zombie?.Told(Citation.Of(at.Memory)) ?? traced!.Says}", promise.Expected == Outcome.Zombie));
    }

    private static List<Fact> InUserMode(Testimony testimony, Checkpoint at) =>
    [
        Terminated(testimony),
        new Fact("process still listed", at.State?.Listed, at.State is null ? null : Citation.Of(at.States)),
        new Fact("process object not signalled", !at.State?.Signalled, at.State is null ? null : Citation.Of(at.States)),
    ];

    /// <summary>A fact read from the victim's kernel memory. What was not found where something could not be read is missing, not refuted.</summary>
    internal static Fact FromMemory((string Name, bool? Holds) fact, Checkpoint at)
    {
        var (name, holds) = fact;
        return at.Record is null || holds is null || (holds == false && at.Unread.Count > 0) ? new Fact(name, null, null) : new Fact(name, holds, Citation.Of(at.Memory));
    }

    /// <summary>" (kernel memory: …)" when something could not be read.</summary>
    internal static string Excuse(Checkpoint at) => at.Unread.Count == 0 ? "" : $" (kernel memory: {string.Join("; ", at.Unread)})";

    private static string Since(Testimony testimony, Checkpoint at) =>
        testimony.Kill is { } kill ? $"{Spelled.Duration(at.At - kill.At)} after it was killed" : $"at '{at.Name}'";
}
