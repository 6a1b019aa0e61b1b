using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>The rules. They see a run's description and its evidence, never the target, and say the same of a saved run on any machine.</summary>
public static class Judge
{
    /// <summary>
    /// Judges one run. A proven finding that the story did not expect is a fail, even if the run stopped afterwards; without one, anything
    /// that keeps the run from being judged makes it inconclusive; a pass needs every promise kept on evidence.
    /// </summary>
    public static Judgement Of(RunDescription run, IReadOnlyList<Observation> evidence)
    {
        var testimony = new Testimony(run, evidence);
        var outcomePromises = run.Story.Promises.OfType<OutcomePromise>().ToList();
        var outcomes = outcomePromises.Select(p => OutcomeRule.Weigh(testimony, p, nameCheckpoint: outcomePromises.Count > 1)).ToList();

        // When the request was over before anything befell it, the other promises had no chance to be kept.
        var kept = outcomes.Any(o => o.Outcome == Outcome.NotPending) ? [] : run.Story.Promises.Select(p => PromiseRules.Weigh(testimony, p)).OfType<Kept>().ToList();

        var findings = Distinct(FaultRules.In(testimony)
            .Concat(outcomes.Select(o => o.Finding).OfType<Finding>())
            .Concat(kept.Select(k => k.Finding).OfType<Finding>()));
        var obstacles = Obstacles.In(testimony)
            .Concat(outcomes.Select(o => o.Obstacle).OfType<string>())
            .Concat(kept.Select(k => k.Obstacle).OfType<string>())
            .ToList();
        if (outcomes.Count + kept.Count == 0) obstacles.Add("The story promises nothing, so there is nothing to judge.");

        // An IRP that was never marked pending is the explanation of a caller that nothing wakes any more.
        if (findings.Exists(f => f.Id == PendingRule.NotMarked)) findings.RemoveAll(f => f.Id == OutcomeRule.Unexplained);

        var proven = findings.Where(f => !f.Expected && f.Id != OutcomeRule.Unexplained).ToList();
        var verdict = proven.Count > 0 ? Verdict.Fail : obstacles.Count > 0 ? Verdict.Inconclusive : Verdict.Pass;
        var because = verdict switch
        {
            Verdict.Fail => outcomes.FirstOrDefault(o => ReferenceEquals(o.Finding, proven[0]))?.Told ?? proven[0].Says,
            Verdict.Inconclusive => obstacles[0],
            _ => outcomes.Count > 0 ? outcomes[^1].Told : "Every promise was kept.",
        };
        return new Judgement(verdict, outcomes.LastOrDefault()?.Outcome, outcomes.LastOrDefault()?.After, because, findings,
            [.. outcomes.SelectMany(o => o.Facts), .. kept.Select(k => k.Fact)]);
    }

    // The same finding at two checkpoints is one finding; it is expected only if it was at both.
    private static List<Finding> Distinct(IEnumerable<Finding> findings) =>
        findings.GroupBy(f => (f.Id, f.Driver, f.Code)).Select(g => g.FirstOrDefault(f => !f.Expected) ?? g.First()).ToList();
}
