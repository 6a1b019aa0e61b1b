using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>What was left of the victim when the run's collectors looked last.</summary>
internal sealed class LastLook
{
    internal LastLook(RunDescription run, IReadOnlyList<Observation> evidence)
    {
        Testimony = new Testimony(run, evidence);
        var last = evidence.Select(o => (o as ProcessStates)?.Checkpoint ?? (o as KernelMemorySeen)?.Checkpoint).LastOrDefault(c => c is not null);
        At = last is null ? null : Testimony.At(last);
        IsLast = last is not null && last == Testimony.Story.LastCheckpoint;

        Telling = evidence.OfType<KernelMemorySeen>().Select(seen => Testimony.At(seen.Checkpoint)).LastOrDefault(at => Testimony.Kill?.N < at.N && at.Record is { Signalled: false }) ?? At;
        Threads = At?.Record?.Threads ?? [];
        Irps = [.. Threads.SelectMany(t => t.Irps).DistinctBy(i => i.Address)];
        var terminated = Testimony.Kill is { Result.IsSuccess: true } kill && kill.N < At?.N && At.Record is { Signalled: false } && At.State is not { Signalled: true };
        KeepsAlive = terminated ? StuckThread.Of(At?.Record, Testimony.Sent?.Irp)?.Thread : null;
    }

    internal Testimony Testimony { get; }

    /// <summary>The last checkpoint; null when none was reached.</summary>
    internal Checkpoint? At { get; }

    /// <summary>It was the story's last checkpoint: the run did not stop before, so nothing has changed since.</summary>
    internal bool IsLast { get; }

    /// <summary>The checkpoint that says most to a person: the last at which the victim, terminated, was still there; else the last.</summary>
    internal Checkpoint? Telling { get; }

    /// <summary>The victim's threads in kernel memory.</summary>
    internal IReadOnlyList<ThreadRecord> Threads { get; }

    /// <summary>Their IRPs, each once.</summary>
    internal IReadOnlyList<IrpRecord> Irps { get; }

    /// <summary>The thread that keeps the terminated victim from ending; null when it has ended or nobody terminated it.</summary>
    internal ThreadRecord? KeepsAlive { get; }
}
