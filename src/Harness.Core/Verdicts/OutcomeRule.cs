using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>What became of the victim at one checkpoint.</summary>
/// <param name="Outcome">Null: it cannot be told, or the process just lives on.</param>
/// <param name="After">From the termination request to the process object's signal.</param>
/// <param name="Facts">What was weighed.</param>
/// <param name="Told">One sentence.</param>
/// <param name="Finding">What the driver did wrong by it.</param>
/// <param name="Obstacle">Why it cannot be judged.</param>
internal sealed record OutcomeAt(Outcome? Outcome, TimeSpan? After, IReadOnlyList<Fact> Facts, string Told, Finding? Finding = null, string? Obstacle = null)
{
    /// <summary>The same, in a story that looks at several checkpoints.</summary>
    internal OutcomeAt Named(string checkpoint) => this with { Facts = [.. Facts.Select(f => f with { Name = $"{checkpoint}: {f.Name}" })] };
}

/// <summary>Zombie, ended or not pending: decides at the promise's checkpoint and compares with what was promised.</summary>
internal static class OutcomeRule
{
    /// <summary>The finding of a process that doesn't end and that no rule explains: never proof of a defect.</summary>
    internal const string Unexplained = "unexplained";

    /// <summary>The finding of a process that went in the end, long after it was killed.</summary>
    internal const string Late = "ended-late";

    /// <summary>
    /// How long a killed client may stay and still have gone soon: Windows' guidelines for I/O completion and cancellation want a cancelled request completed within ten seconds, in
    /// general (Orwick, Smith, Developing Drivers with the Windows Driver Foundation, chapter 8). NT itself waits five minutes before it gives up.
    /// </summary>
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    internal static OutcomeAt Weigh(Testimony testimony, OutcomePromise promise, bool nameCheckpoint)
    {
        var weighed = AtCheckpoint(testimony, testimony.At(promise.Checkpoint), promise);
        return nameCheckpoint ? weighed.Named(promise.Checkpoint) : weighed;
    }

    private static OutcomeAt AtCheckpoint(Testimony testimony, Checkpoint at, OutcomePromise promise)
    {
        if (!at.Reached)
            return CannotTell([], $"No evidence from the checkpoint '{at.Name}', so the outcome cannot be told.");

        var end = testimony.End is { } signal && signal.N < at.N ? signal : null;
        if (Contradiction(testimony, at, end) is { } contradiction) return CannotTell([], contradiction);
        if (end is not null || at.State is { Signalled: true }) return Ended(testimony, at, end, promise);
        return testimony.StoryKills || testimony.Kill is { } kill && kill.N < at.N
            ? ZombieRule.Weigh(testimony, at, promise)
            : UnfinishedRequestRule.Weigh(testimony, at);
    }

    // Two collectors that disagree leave nothing to stand on.
    private static string? Contradiction(Testimony testimony, Checkpoint at, ProcessEnded? end) => at.State switch
    {
        { Signalled: false } when end is not null =>
            $"Evidence contradicts itself: {testimony.Victim} ended ({Citation.Of(end)}) and is not signalled at '{at.Name}' ({Citation.Of(at.States)}).",
        { Signalled: false, Listed: false } =>
            $"Evidence contradicts itself: {testimony.Victim} is not listed and not signalled at '{at.Name}' ({Citation.Of(at.States)}).",
        { } state when at.Record is { } record && record.Signalled != state.Signalled =>
            $"Evidence contradicts itself: the process object of {testimony.Victim} is signalled in one of {Citation.Of(at.States)} and {Citation.Of(at.Memory)} and not in the other.",
        { Signalled: false } when testimony is { Kill: { } kill, Fate: { Asked: { } asked, Ended: { } ended } } && ended - asked + StuckThread.Soonest < at.At - kill.At =>
            $"Evidence contradicts itself: {testimony.Victim} is not signalled at '{at.Name}' ({Citation.Of(at.States)}), and by the event trace it went {Spelled.Duration(ended - asked)} after it was killed ({Citation.Of(testimony.Trace)}).",
        { Signalled: true } when testimony is { Trace.Gaps.Count: 0, Fate.Ended: null, Fate.Answer: not Answer.CannotTell } =>
            $"Evidence contradicts itself: {testimony.Victim} is signalled at '{at.Name}' ({Citation.Of(at.States)}), and by the event trace it never ended ({Citation.Of(testimony.Trace)}).",
        _ => null,
    };

    private static OutcomeAt Ended(Testimony testimony, Checkpoint at, ProcessEnded? end, OutcomePromise promise)
    {
        var interruption = testimony.Interruption;
        var over = testimony.Over;
        var verb = interruption is CancelRequested ? "cancelled" : "killed";
        if (over is not null && (interruption is null || over.N < interruption.N))
        {
            if (promise.OrNotPending && testimony.Sent is not null)
                return new OutcomeAt(Outcome.NotPending, null, [new Fact("the request was over by itself", true, Citation.Of(over)), new Fact("process object signalled", true, Citation.Of((Observation?)end ?? at.States))],
                    $"The request '{testimony.Story.Request}' was over at {Spelled.Clock(over.At)} by itself, and {testimony.Victim} ended.");
            return new OutcomeAt(Outcome.NotPending, null, [new Fact($"request pending when it was {verb}", false, Citation.Of(over))], "",
                Obstacle: $"The request '{testimony.Story.Request}' was over at {Spelled.Clock(over.At)} ({Citation.Of(over)}), before {(testimony.StoryKills ? $"{testimony.Victim} was killed" : "it was cancelled")}: nothing to judge.");
        }

        var pending = interruption is null ? null : testimony.PendingBefore(interruption);
        List<Fact> facts =
        [
            .. testimony.StoryKills ? [ZombieRule.Terminated(testimony)] : Array.Empty<Fact>(),
            new Fact($"request pending when it was {verb}", pending is null ? null : true, Citation.Of(pending)),
            new Fact("process object signalled", true, Citation.Of((Observation?)end ?? at.States)),
        ];
        if (facts.Where(f => f.Holds != true).Select(f => f.Name).ToList() is { Count: > 0 } missing)
            return CannotTell(facts, $"{testimony.Victim} ended, but there is no evidence for: {string.Join("; ", missing)}.");

        TimeSpan? after = end is not null && interruption is TerminateRequested kill ? end.At - kill.At : null;
        var told = after is { } time ? $"{testimony.Victim} ended {Spelled.Duration(time)} after it was killed."
            : interruption is CancelRequested cancel && over is not null ? $"The request '{testimony.Story.Request}' was over {Spelled.Duration(over.At - cancel.At)} after it was cancelled, and {testimony.Victim} ended."
            : $"{testimony.Victim} ended.";
        if (promise.Expected == Outcome.Ended)
            return after > Soon && !testimony.Evidence.OfType<IrpDisassociated>().Any() && testimony.Story.Promises.OfType<OutcomePromise>().Count() == 1
                ? new OutcomeAt(Outcome.Ended, after, facts, told, new Finding(Late, "The process ended late", null, [], testimony.Holder, $"{told} Until then nobody could end it: what is held for longer needs a cancel routine, and a cancelled request should be complete within {Spelled.Duration(Soon)}.", Expected: false))
                : new OutcomeAt(Outcome.Ended, after, facts, told);
        var says = $"{told} The story promised: {Word(promise.Expected)} at '{at.Name}'.";
        return new OutcomeAt(Outcome.Ended, after, facts, says, new Finding(PromiseRules.Broken + "outcome", "Not the promised outcome", null, [], null, says, Expected: false));
    }

    internal static OutcomeAt CannotTell(IReadOnlyList<Fact> facts, string obstacle) => new(null, null, facts, "", Obstacle: obstacle);

    private static string Word(Outcome outcome) => outcome switch
    {
        Outcome.Zombie => "a zombie",
        Outcome.Ended => "ended",
        _ => "not pending",
    };
}
