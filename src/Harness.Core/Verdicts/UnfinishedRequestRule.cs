using Harness.Core.Diagnosis;
using Harness.Core.Evidence;

namespace Harness.Core.Verdicts;

/// <summary>
/// A victim that nobody terminated and that lives on: is it because its cancelled request was never completed? Then the driver ignores
/// cancellation, although no zombie has come of it yet.
/// </summary>
internal static class UnfinishedRequestRule
{
    internal const string Id = "request-not-completed-after-cancel";

    internal static OutcomeAt Weigh(Testimony testimony, Checkpoint at)
    {
        var cancel = testimony.Cancel is { } asked && asked.N < at.N ? asked : null;
        var irp = cancel is null ? null : at.Record?.Threads.SelectMany(t => t.Irps).FirstOrDefault(i => i.Address == cancel.Irp && i.CurrentLocation <= i.StackCount);
        Fact[] facts =
        [
            new("the request was cancelled", cancel is null ? null : true, Citation.Of(cancel)),
            new("process object not signalled", !at.State?.Signalled, at.State is null ? null : Citation.Of(at.States)),
            ZombieRule.FromMemory(("the cancelled IRP is still outstanding", cancel is null ? null : irp is { Cancel: true }), at),
        ];

        var open = facts.Where(f => f.Holds is null).Select(f => f.Name).ToList();
        if (open.Count > 0) return OutcomeRule.CannotTell(facts, $"{testimony.Victim} has not ended at '{at.Name}'; no evidence for: {string.Join("; ", open)}{ZombieRule.Excuse(at)}.");
        if (facts.Any(f => f.Holds == false))
        {
            var unexplained = $"{testimony.Victim} has not ended at '{at.Name}' although its request is not outstanding, and no rule explains it.";
            return new OutcomeAt(null, null, facts, unexplained, new Finding(OutcomeRule.Unexplained, "The process does not end, for an unknown reason", null, [], null, unexplained, false), unexplained);
        }

        var routine = cancel!.CancelRoutine is { } name ? $"its cancel routine {name} ran and did not complete it" : "it has no cancel routine";
        var says = $"{irp!.Holder ?? "An unknown driver"} still has {Spelled.Irp(irp)} {Spelled.Duration(at.At - cancel.At)} after it was cancelled ({Citation.Of(cancel)}, {Citation.Of(at.Memory)}): {routine}.";
        if (at.At - cancel.At < StuckThread.Soonest)
            return OutcomeRule.CannotTell(facts, $"{says} That is too soon to tell a request that is never completed from one that is completed later: it needs {Spelled.Duration(StuckThread.Soonest)}.");
        return new OutcomeAt(null, null, facts, says, new Finding(Id, "A cancelled request was never completed", null, [], irp.Holder, says, false));
    }
}
