using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>What the evidence of one run says about the victim and its request. Finds; does not judge.</summary>
internal sealed class Testimony
{
    internal Testimony(RunDescription run, IReadOnlyList<Observation> evidence)
    {
        Story = run.Story;
        Evidence = evidence;
        Kill = evidence.OfType<TerminateRequested>().FirstOrDefault(o => o.Process == Story.Victim);
        End = evidence.OfType<ProcessEnded>().FirstOrDefault(o => o.Process == Story.Victim);
        Sent = Of<IrpSent>(Story.Request, o => (o.Irp, o.Request)).FirstOrDefault();
        Cancel = Of<CancelRequested>(Story.Request, o => (o.Irp, o.Request)).FirstOrDefault();
        Completion = Of<IrpCompleted>(Story.Request, o => (o.Irp, o.Request)).LastOrDefault();
        Returned = evidence.OfType<CallReturned>().FirstOrDefault(o =>
            Makes(o.Process, o.Request, o.Call) && o.Status != NtStatus.Pending);
        Entered = evidence.OfType<CallEntered>().FirstOrDefault(o => Makes(o.Process, o.Request, o.Call));
        Trace = evidence.OfType<EventTraceSeen>().LastOrDefault();
    }

    internal Story Story { get; }

    internal IReadOnlyList<Observation> Evidence { get; }

    /// <summary>The victim's termination was asked for.</summary>
    internal TerminateRequested? Kill { get; }

    /// <summary>The victim's process object was signalled.</summary>
    internal ProcessEnded? End { get; }

    /// <summary>The client's call that makes the request.</summary>
    internal CallEntered? Entered { get; }

    /// <summary>The request reached a driver.</summary>
    internal IrpSent? Sent { get; }

    /// <summary>The driver that its IRP was last sent to.</summary>
    internal string? Holder => Sent is null ? null : Of<IrpSent>(Story.Request, o => (o.Irp, o.Request)).Last().Driver;

    /// <summary>The first IoCancelIrp for it.</summary>
    internal CancelRequested? Cancel { get; }

    /// <summary>The last IoCompleteRequest for it: a driver above may have kept it (STATUS_MORE_PROCESSING_REQUIRED) and completed it again.</summary>
    internal IrpCompleted? Completion { get; }

    /// <summary>The call came back to the client with more than STATUS_PENDING.</summary>
    internal CallReturned? Returned { get; }

    /// <summary>What an event trace of the run tells; null when there is none.</summary>
    internal EventTraceSeen? Trace { get; }

    /// <summary>What it tells of the victim; null when nothing.</summary>
    internal TracedFate? Fate => Trace?.Processes.LastOrDefault(fate => fate.Pid == Pid && fate.Asked is not null) ?? Trace?.Processes.LastOrDefault(fate => fate.Pid == Pid);

    /// <summary>Somebody in the story terminates the victim.</summary>
    internal bool StoryKills => Story.Processes.SelectMany(p => p.Threads).SelectMany(t => t.Acts).OfType<Terminate>().Any(t => t.Process == Story.Victim);

    /// <summary>
    /// What befell the request: in a story that kills, the kill; otherwise whatever came first, its cancellation or the victim's own exit.
    /// </summary>
    internal Observation? Interruption => StoryKills || Cancel is null || Kill?.N < Cancel.N ? Kill : Cancel;

    /// <summary>The proof that the request was over: the driver's last completion, or the client's returned call if that came first.</summary>
    internal Observation? Over => Completion is not null && (Returned is null || Completion.N < Returned.N) ? Completion : Returned;

    /// <summary>The victim's process ID; null when no line names it.</summary>
    internal int? Pid => Kill?.Pid ?? Entered?.Pid ?? End?.Pid
        ?? Evidence.OfType<CallEntered>().FirstOrDefault(o => o.Process == Story.Victim)?.Pid
        ?? Evidence.OfType<ProcessStates>().SelectMany(o => o.Processes).FirstOrDefault(p => p.Name == Story.Victim)?.Pid;

    /// <summary>"'victim' (pid 412)".</summary>
    internal string Victim => Pid is { } pid ? $"'{Story.Victim}' (pid {pid})" : $"'{Story.Victim}'";

    // CancelIoEx names the request it cancels, and is not the request.
    private bool Makes(string process, string? request, string call) =>
        process == Story.Victim && request == Story.Request && !call.StartsWith("Cancel", StringComparison.Ordinal);

    /// <summary>The proof that the request had reached the driver by then; null when there is none.</summary>
    internal Observation? PendingBefore(Observation interruption) => Sent is not null
        ? (Sent.N < interruption.N ? Sent : null)
        : Evidence.OfType<ConditionPassed>().FirstOrDefault(o => o.Held && o.Request == Story.Request && o.N < interruption.N);

    /// <summary>
    /// Observations about the named request's IRP. A collector that doesn't know the client's name for it (ETW) is matched by the IRP's
    /// address; an observation that carries another name is never matched, since addresses are used again.
    /// </summary>
    internal IEnumerable<T> Of<T>(string request, Func<T, (KernelAddress Irp, string? Request)> about) where T : Observation
    {
        var addresses = Evidence.OfType<IrpSent>().Where(o => o.Request == request).Select(o => o.Irp).ToHashSet();
        return Evidence.OfType<T>().Where(o => about(o) is var (irp, name) && (name == request || (name is null && addresses.Contains(irp))));
    }

    /// <summary>What the collectors saw at a checkpoint.</summary>
    internal Checkpoint At(string checkpoint)
    {
        var states = Evidence.OfType<ProcessStates>().LastOrDefault(o => o.Checkpoint == checkpoint);
        var memory = Evidence.OfType<KernelMemorySeen>().LastOrDefault(o => o.Checkpoint == checkpoint);
        var state = states?.Processes.FirstOrDefault(p => p.Name == Story.Victim);
        var pid = state?.Pid ?? Pid;
        return new Checkpoint(checkpoint, states, state, memory, memory?.Processes.FirstOrDefault(p => p.Pid == pid));
    }
}

/// <summary>The victim at one checkpoint.</summary>
/// <param name="Name">The checkpoint's name.</param>
/// <param name="States">The user-mode collector's line.</param>
/// <param name="State">The victim in it.</param>
/// <param name="Memory">The kernel-memory collector's line.</param>
/// <param name="Record">The victim in it.</param>
internal sealed record Checkpoint(string Name, ProcessStates? States, ProcessState? State, KernelMemorySeen? Memory, ProcessRecord? Record)
{
    /// <summary>What of kernel memory could not be read: what isn't there then must not be taken for absent.</summary>
    internal IReadOnlyList<string> Unread => [.. Memory?.Notes ?? [], .. Record?.Notes ?? []];

    /// <summary>Some collector looked.</summary>
    internal bool Reached => States is not null || Memory is not null;

    /// <summary>Position of the checkpoint in the timeline: its first line.</summary>
    internal int N => Math.Min(States?.N ?? int.MaxValue, Memory?.N ?? int.MaxValue);

    /// <summary>When, on the run's clock.</summary>
    internal TimeSpan At => (States as Observation ?? Memory)?.At ?? TimeSpan.Zero;
}

/// <summary>Where a fact comes from.</summary>
internal static class Citation
{
    /// <summary>"kernel-memory #42".</summary>
    internal static string? Of(Observation? line) => line is null ? null : $"{line.Source} #{line.N}";
}
