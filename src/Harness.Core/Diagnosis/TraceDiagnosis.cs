using System.Text.Json.Serialization;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>What a trace answers when asked whether a process was held by a driver as it died.</summary>
[JsonConverter(typeof(NamedJson<Answer>))]
public enum Answer
{
    /// <summary>Every link of the chain is in the trace, the stack of the wait too.</summary>
    [JsonStringEnumMemberName("proven")] Proven,

    /// <summary>What is there fits, and something that would make it certain is not there.</summary>
    [JsonStringEnumMemberName("consistentWith")] ConsistentWith,

    /// <summary>It went, and no driver kept it.</summary>
    [JsonStringEnumMemberName("notAZombie")] NotAZombie,

    /// <summary>The trace does not tell.</summary>
    [JsonStringEnumMemberName("cannotTell")] CannotTell,
}

/// <summary>A thread as traces name it.</summary>
/// <param name="Tid">Its ID.</param>
/// <param name="Pid">Of its process; -1: the trace doesn't tell.</param>
/// <param name="Image">Of its process; "" when the trace doesn't tell.</param>
public sealed record TracedThread(int Tid, int Pid, string Image);

/// <summary>Who made a thread ready (ReadyThread).</summary>
/// <param name="By">The thread that did it, or on which a DPC did.</param>
/// <param name="At">When.</param>
/// <param name="InDpc">A DPC did, which runs on whatever thread was there.</param>
/// <param name="Stack">The stack it was done on, innermost first; empty when the trace has none.</param>
public sealed record TracedReady(TracedThread By, TimeSpan At, bool InDpc, IReadOnlyList<string> Stack);

/// <summary>A wait of a thread, or the same wait over and over; in the columns of Windows Performance Analyzer and PerfView.</summary>
/// <param name="Tid">The thread.</param>
/// <param name="WaitReason">Why it switched out.</param>
/// <param name="Since">When it first switched out.</param>
/// <param name="Until">When it last switched in; null: it waits when the session ends.</param>
/// <param name="Switches">How often it switched in from it; 0: never again.</param>
/// <param name="TimeSinceLast">How long it had not run, when it last switched in or, if it waits, when the session ends.</param>
/// <param name="Total">How long it waited in all, after its process's end was asked for.</param>
/// <param name="Ready">Who ended the wait last; null when nobody did or the trace doesn't tell.</param>
/// <param name="SwitchInStack">The stack it switched in with, innermost first, kernel frames only; empty when it did not, or the trace has none.</param>
public sealed record TracedWait(int Tid, WaitReason WaitReason, TimeSpan Since, TimeSpan? Until, int Switches, TimeSpan TimeSinceLast, TimeSpan Total, TracedReady? Ready, IReadOnlyList<string> SwitchInStack);

/// <summary>An IRP that entered a driver.</summary>
/// <param name="Address">Its address, which another IRP may have later.</param>
/// <param name="Major">Of its first call.</param>
/// <param name="Driver">"driver.sys": the last one it was sent to; null when that address is in no image.</param>
/// <param name="Routine">The dispatch routine, "driver.sys+0x1130".</param>
/// <param name="SentDownBy">Drivers that had it before, the first first.</param>
/// <param name="Since">When it entered the first.</param>
/// <param name="Tid">The thread that sent it.</param>
/// <param name="Completed">When it was completed; null: not as far as the trace goes.</param>
/// <param name="CompletedBy">On which thread.</param>
public sealed record TracedRequest(KernelAddress Address, IrpMajor Major, string? Driver, string Routine, IReadOnlyList<string> SentDownBy, TimeSpan Since, int Tid, TimeSpan? Completed, TracedThread? CompletedBy);

/// <summary>A process that was to end.</summary>
/// <param name="Pid">Its ID.</param>
/// <param name="Image">Its image; "" when the trace doesn't tell.</param>
/// <param name="Asked">When its end was asked for first (Process/Terminate); null: that isn't in the trace, and what is there shows that it is ending.</param>
/// <param name="AskedBy">Who asked.</param>
/// <param name="Ended">When it ended (Process/End); null: not as far as the trace goes.</param>
/// <param name="Answer">What the trace answers.</param>
/// <param name="Hold">What holds it, or held it; null unless a driver does.</param>
/// <param name="Function">The function that waits, if a stack shows it.</param>
/// <param name="Driver">The driver that holds it; null when there is none, or it cannot be told.</param>
/// <param name="Held">For how long, after its end was asked for.</param>
/// <param name="Says">One or more sentences.</param>
/// <param name="Facts">The links of the chain: so, not so, or (null) not in the trace.</param>
/// <param name="Wait">The wait of the thread that keeps it.</param>
/// <param name="Waits">Waits of its other threads that lasted too.</param>
/// <param name="Requests">IRPs of its threads that were not completed in time.</param>
public sealed record TracedFate(int Pid, string Image, TimeSpan? Asked, TracedThread? AskedBy, TimeSpan? Ended, Answer Answer, Hold? Hold, string? Function, string? Driver, TimeSpan? Held, string Says,
    IReadOnlyList<TracedFact> Facts, TracedWait? Wait, IReadOnlyList<TracedWait> Waits, IReadOnlyList<TracedRequest> Requests)
{
    /// <summary>A driver holds it or held it, for certain or likely.</summary>
    public bool IsZombie => Answer is Answer.Proven or Answer.ConsistentWith;
}

/// <summary>A link of the chain.</summary>
/// <param name="Name">"the process is listed when the session ends".</param>
/// <param name="Holds">Null: the trace does not show it.</param>
public sealed record TracedFact(string Name, bool? Holds);

/// <summary>What a trace of the kernel tells of processes that were to end. Times are from its beginning.</summary>
/// <param name="Length">Up to the last event of those that are followed.</param>
/// <param name="Fates">Processes that were asked to end, or are seen to be ending, in the order of that.</param>
/// <param name="EndedUnasked">Processes that ended without an event that asked for it.</param>
/// <param name="Forgotten">Processes that went at once after they were asked to, beyond the first thousand of those.</param>
/// <param name="Gaps">Why no answer of this trace would be one: events were lost, or a part cannot be read.</param>
/// <param name="Lacks">Events that were not recorded and would have told more.</param>
/// <param name="Symbols">Where names of routines are from.</param>
/// <param name="Notes">What could not be used.</param>
public sealed record TraceDiagnosis(TimeSpan Length, IReadOnlyList<TracedFate> Fates, int EndedUnasked, int Forgotten, IReadOnlyList<string> Gaps, IReadOnlyList<string> Lacks, IReadOnlyList<string> Symbols, IReadOnlyList<string> Notes)
{
    /// <summary>"zombie"; "none" when somebody was asked to end, nothing is missing and nothing open; else "unclear".</summary>
    public string Verdict => Fates.Any(fate => fate.IsZombie) ? "zombie" : Gaps.Count > 0 || Fates.Any(fate => fate.Answer == Answer.CannotTell) || !SawProcesses || Asked == 0 ? "unclear" : "none";

    /// <summary>How many processes were asked to end while the session was on. Those that were asked before are not in the trace, and may hang all the same.</summary>
    public int Asked => Fates.Count(fate => fate.Asked is not null) + Forgotten;

    /// <summary>It has events of processes at all.</summary>
    public bool SawProcesses { get; init; } = true;
}
