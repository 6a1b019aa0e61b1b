using System.Text.Json;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Core.Traces;

namespace Harness.Core.Reports;

/// <summary>What a diagnosis says of a trace's file itself.</summary>
/// <param name="Path">As the user gave it.</param>
/// <param name="Header">What the trace tells of its machine.</param>
/// <param name="Symbols">The PDBs and images by which routines were named.</param>
/// <param name="Notes">What could not be used.</param>
public sealed record DiagnosedTrace(string Path, TraceHeader Header, IReadOnlyList<string> Symbols, IReadOnlyList<string> Notes);

/// <summary>
/// The object that <c>diagnose --format json</c> prints of an event trace. Times are milliseconds from the trace's beginning, spans milliseconds.
/// Addresses are "0x…" strings.
/// </summary>
/// <param name="File">As the user gave it.</param>
/// <param name="Kind">"event trace log".</param>
/// <param name="Build">NT build number.</param>
/// <param name="Processors">Of the machine.</param>
/// <param name="Length">Of the trace.</param>
/// <param name="Symbols">By what routines were named.</param>
/// <param name="Verdict">"zombie", "none", or "unclear": it cannot be told.</param>
/// <param name="Asked">Processes that were to end.</param>
/// <param name="EndedUnasked">Processes that ended without an event that asked for it.</param>
/// <param name="Forgotten">Processes that went at once after they were asked to, beyond the first thousand of those.</param>
/// <param name="Gaps">Why nothing in this trace is certain: events were lost, or a part cannot be read.</param>
/// <param name="Lacks">Events that were not recorded and would have told more.</param>
/// <param name="Notes">What could not be used.</param>
public sealed record TraceDiagnosisLine(string File, string Kind, uint Build, uint Processors, decimal Length, IReadOnlyList<string> Symbols, string Verdict, IReadOnlyList<TracedFateLine> Asked, int EndedUnasked, int Forgotten,
    IReadOnlyList<string> Gaps, IReadOnlyList<string> Lacks, IReadOnlyList<string> Notes)
{
    /// <summary>The line, without a line end.</summary>
    public static string Of(DiagnosedTrace file, TraceDiagnosis seen) => JsonSerializer.Serialize(
        new TraceDiagnosisLine(file.Path, "event trace log", file.Header.Build, file.Header.Processors, TracedFateLine.Milliseconds(seen.Length), [.. file.Symbols, .. seen.Symbols], seen.Verdict,
            [.. seen.Fates.Select(TracedFateLine.Of)], seen.EndedUnasked, seen.Forgotten, seen.Gaps, seen.Lacks, [.. file.Notes, .. seen.Notes]),
        JsonLayout.OneLine.TraceDiagnosisLine);
}

/// <summary>A process that was to end.</summary>
/// <param name="Pid">Its process ID.</param>
/// <param name="Image">Its image; "" when the trace doesn't tell.</param>
/// <param name="Asked">When its end was asked for; null: not in the trace.</param>
/// <param name="AskedBy">Who asked; null: not known.</param>
/// <param name="Ended">When it ended; null: not as far as the trace goes.</param>
/// <param name="WentAfter">From the one to the other.</param>
/// <param name="Answer">"proven", "consistentWith", "notAZombie" or "cannotTell".</param>
/// <param name="Finding">The finding's id, as a run would tell it; null when no kind of zombie is told.</param>
/// <param name="Driver">The guilty driver; null when there is none, or it cannot be told.</param>
/// <param name="Function">The function that waits, where a stack shows it.</param>
/// <param name="Held">For how long.</param>
/// <param name="Says">Some sentences.</param>
/// <param name="Facts">The links of the chain.</param>
/// <param name="Wait">The wait that keeps it.</param>
/// <param name="Waits">Waits of its other threads that last.</param>
/// <param name="Irps">IRPs of its threads that were not completed in time.</param>
public sealed record TracedFateLine(int Pid, string Image, decimal? Asked, TracedThread? AskedBy, decimal? Ended, decimal? WentAfter, Answer Answer, string? Finding, string? Driver, string? Function, decimal? Held,
    string Says, IReadOnlyList<FactLine> Facts, TracedWaitLine? Wait, IReadOnlyList<TracedWaitLine> Waits, IReadOnlyList<TracedIrpLine> Irps)
{
    internal static TracedFateLine Of(TracedFate fate) => new(fate.Pid, fate.Image, Milliseconds(fate.Asked), fate.AskedBy, Milliseconds(fate.Ended), Milliseconds(fate.Ended - fate.Asked), fate.Answer,
        fate is { IsZombie: true, Hold: { } hold } ? Zombie.Finding(hold).Id : null, fate.Driver, fate.Function, Milliseconds(fate.Held), fate.Says, [.. fate.Facts.Select(fact => new FactLine(fact.Name, fact.Holds))],
        fate.Wait is null ? null : TracedWaitLine.Of(fate.Wait), [.. fate.Waits.Select(TracedWaitLine.Of)], [.. fate.Requests.Select(TracedIrpLine.Of)]);

    internal static decimal Milliseconds(TimeSpan time) => time.Ticks / (decimal)TimeSpan.TicksPerMillisecond;

    internal static decimal? Milliseconds(TimeSpan? time) => time is { } told ? Milliseconds(told) : null;
}

/// <summary>A wait, in the columns of Windows Performance Analyzer and PerfView.</summary>
/// <param name="Tid">The thread.</param>
/// <param name="WaitReason">Why it switched out.</param>
/// <param name="Since">When it first did.</param>
/// <param name="Until">When it last switched in; null: it waits when the session ends.</param>
/// <param name="Switches">How often it switched in.</param>
/// <param name="TimeSinceLast">How long it had not run then.</param>
/// <param name="ReadyThread">Who made it ready last; null: nobody, or it isn't in the trace.</param>
/// <param name="ReadyAt">When.</param>
/// <param name="ReadyInDpc">A DPC did, which runs on whatever thread was there.</param>
/// <param name="ReadyThreadStack">The stack of that, innermost first.</param>
/// <param name="SwitchInStack">Innermost first, kernel frames only.</param>
public sealed record TracedWaitLine(int Tid, WaitReason WaitReason, decimal Since, decimal? Until, int Switches, decimal TimeSinceLast, TracedThread? ReadyThread, decimal? ReadyAt, bool? ReadyInDpc,
    IReadOnlyList<string> ReadyThreadStack, IReadOnlyList<string> SwitchInStack)
{
    internal static TracedWaitLine Of(TracedWait wait) => new(wait.Tid, wait.WaitReason, TracedFateLine.Milliseconds(wait.Since), TracedFateLine.Milliseconds(wait.Until), wait.Switches, TracedFateLine.Milliseconds(wait.TimeSinceLast),
        wait.Ready?.By, TracedFateLine.Milliseconds(wait.Ready?.At), wait.Ready?.InDpc, wait.Ready?.Stack ?? [], wait.SwitchInStack);
}

/// <summary>An IRP that entered a driver.</summary>
/// <param name="Address">Its address.</param>
/// <param name="Major">"IRP_MJ_DEVICE_CONTROL".</param>
/// <param name="Driver">The last one it was sent to; null when that address is in no image.</param>
/// <param name="Routine">Its dispatch routine.</param>
/// <param name="SentDownBy">Drivers that had it before.</param>
/// <param name="Since">When it entered the first.</param>
/// <param name="Tid">The thread that sent it.</param>
/// <param name="Completed">When it was completed; null: not as far as the trace goes.</param>
/// <param name="CompletedBy">On which thread.</param>
public sealed record TracedIrpLine(KernelAddress Address, string Major, string? Driver, string Routine, IReadOnlyList<string> SentDownBy, decimal Since, int Tid, decimal? Completed, TracedThread? CompletedBy)
{
    internal static TracedIrpLine Of(TracedRequest request) => new(request.Address, request.Major.NtName(), request.Driver, request.Routine, request.SentDownBy, TracedFateLine.Milliseconds(request.Since), request.Tid,
        TracedFateLine.Milliseconds(request.Completed), request.CompletedBy);
}
