using System.Runtime.Versioning;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>What a story waits for, as far as a user-mode program can see it.</summary>
[SupportedOSPlatform("windows")]
internal sealed class StoryConditions(List<RunningClient> clients, Waits waits)
{
    /// <summary>Where the system tells nothing of threads, a call that has not come back for so long is taken to wait.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(500);

    private readonly Lazy<bool> _tellsWaits = new(TellsWaits);

    /// <summary>What <see cref="UntilWaiting"/> means here.</summary>
    public string Waiting => _tellsWaits.Value ? "waiting" : $"waiting, by all that can be told: the call has not come back for {Quiet.TotalMilliseconds:0} ms, or with STATUS_PENDING";

    /// <summary>Waits until the condition is decided or its limit has passed; true when it holds.</summary>
    public bool Await(Act condition) => condition switch
    {
        UntilWaiting until => waits.Until(until.Limit, () => IsDecided(until)) && IsWaiting(until),
        UntilGone until => waits.Until(until.Limit, () => ClientOf(until.Process).HasEnded),
        _ => throw new ArgumentException(condition.GetType().Name, nameof(condition)),
    };

    /// <summary>The system tells the states of threads: somewhere one waits. (Wine says of every thread that it has state 0.)</summary>
    public static bool TellsWaits() => SystemInformation.Processes().SelectMany(process => process.Threads).Any(thread => thread.State == ThreadState.Waiting);

    private bool IsDecided(UntilWaiting until) => IsWaiting(until) || ClientOf(until.Process).HasEnded || IsOver(until);

    private bool IsOver(UntilWaiting until) => ClientOf(until.Process).CallOf(until.Request) is { CameBack: true } call && call.Status != NtStatus.Pending;

    // Overlapped: the call came back with STATUS_PENDING. Synchronous: its thread waits, with an IRP on its list.
    private bool IsWaiting(UntilWaiting until)
    {
        var client = ClientOf(until.Process);
        if (client.CallOf(until.Request) is not { } call || client.Handle.IsSignalled) return false;
        if (call.CameBack) return call.Status == NtStatus.Pending;
        if (!_tellsWaits.Value) return waits.Elapsed(call.At, waits.Now) >= Quiet;
        using var thread = ThreadHandle.ToAsk(call.Tid);
        return thread?.IsIoPending == true
            && SystemInformation.Processes().FirstOrDefault(process => process.Pid == client.Pid)?.Threads.FirstOrDefault(t => t.Tid == call.Tid) is { State: ThreadState.Waiting };
    }

    private RunningClient ClientOf(string process)
    {
        lock (clients) return clients.First(client => client.Name == process);
    }
}
