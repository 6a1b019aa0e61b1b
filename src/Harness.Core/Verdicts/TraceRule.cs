using Harness.Core.Diagnosis;
using Harness.Core.Evidence;

namespace Harness.Core.Verdicts;

/// <summary>
/// What the event trace of a run says of its victim. By itself it is a proof only with the stack on which the thread ran again: "consistent
/// with" leaves a fact without evidence.
/// </summary>
/// <param name="Facts">The first: a driver kept it. The others: the links of the chain.</param>
/// <param name="Hold">What kept it; null: no driver did, or the trace does not tell which way.</param>
/// <param name="Driver">The driver that did.</param>
/// <param name="Blame">"by the event trace (etw #30), driver.sys kept it for 15 s".</param>
/// <param name="Says">Sentences.</param>
internal sealed record TraceRule(List<Fact> Facts, Hold? Hold, string? Driver, string Blame, string Says)
{
    /// <summary>Null when there is no trace, or it cannot tell.</summary>
    internal static TraceRule? Of(Testimony testimony)
    {
        if (testimony.Fate is not { Answer: not Answer.CannotTell } fate) return null;
        var source = Citation.Of(testimony.Trace);
        return new TraceRule([new Fact("a driver kept it after its end was asked for", fate.IsZombie, source), .. fate.Facts.Select(fact => new Fact(fact.Name, fact.Holds, fact.Holds is null ? null : source))],
            fate.IsZombie ? fate.Hold : null, fate.Driver, $"by the event trace ({source}), {fate.Driver ?? "a driver that it does not name"} kept it for {Spelled.Duration(fate.Held ?? TimeSpan.Zero)}", fate.Says);
    }

    /// <summary>What a trace says beside kernel memory that tells: the same, or not. Where it cannot tell, that decides nothing.</summary>
    internal static IEnumerable<Fact> Beside(Testimony testimony, StuckThread? stuck)
    {
        if (testimony.Fate is not { } fate) yield break;
        var source = Citation.Of(testimony.Trace);
        yield return fate switch
        {
            { Answer: Answer.CannotTell } => new Fact("the event trace shows what kept it", null, null),
            { IsZombie: false } => new Fact("the event trace shows that a driver kept it", false, source),
            { Driver: { } driver } when stuck?.Driver is { } held && Names(driver, held) is { } same => new Fact($"the event trace, too, shows that {held} kept it{(same ? "" : $", and not {driver}")}", same, source),
            _ => new Fact("the event trace shows that a driver kept it", true, source),
        };
    }

    // A trace has the address of a dispatch routine. That of a driver of a framework is in the framework, and which driver it serves is no event.
    private static bool? Names(string traced, string held) => traced.Equals(held, StringComparison.OrdinalIgnoreCase) ? true : Nt.ModuleOffset.IsFramework(traced) ? null : false;

    /// <summary>"; the event trace cannot tell: …" when it cannot, or is not whole.</summary>
    internal static string Excuse(Testimony testimony) => testimony.Fate switch
    {
        { Answer: Answer.CannotTell } fate => $"; the event trace cannot tell ({Citation.Of(testimony.Trace)}): {fate.Says.TrimEnd('.')}",
        null when testimony.Trace is { } trace => $"; the event trace ({Citation.Of(trace)}) tells nothing of it{string.Concat(trace.Gaps.Select(gap => $"; {gap}"))}",
        _ => "",
    };

    /// <summary>How the thread that made the request was held, as kernel memory or else an event trace tells it, and where that is said.</summary>
    internal static (Hold Hold, string? Driver, string Source)? Held(Testimony testimony)
    {
        bool IsItsThread(int tid) => testimony.Entered is not { } entered || entered.Tid == tid;
        foreach (var seen in testimony.Evidence.OfType<KernelMemorySeen>().Reverse())
        {
            var threads = seen.Processes.FirstOrDefault(process => process.Pid == testimony.Pid) is { Signalled: false } record ? record.Threads.Where(thread => IsItsThread(thread.Tid)) : [];
            if (threads.Select(thread => StuckThread.Look(thread, testimony.Sent?.Irp)).FirstOrDefault(look => look is { WaitsForGood: true, Inferred: false, Irp: not null }) is { } stuck) return (stuck.Hold, stuck.Driver, Citation.Of(seen)!);
        }

        return testimony.Fate is { Answer: Answer.Proven, Hold: { } hold, Function: not null, Wait: { } wait } fate && IsItsThread(wait.Tid) ? (hold, fate.Driver, Citation.Of(testimony.Trace)!) : null;
    }
}
