using System.Runtime.Versioning;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>Who has handles of processes that have ended: a process object lives as long as its last handle.</summary>
[SupportedOSPlatform("windows")]
internal static class HandleHolders
{
    /// <summary>The ended processes that somebody has handles of, by process ID.</summary>
    /// <param name="listed">Every process of the machine.</param>
    /// <param name="unknown">What could not be looked at is added.</param>
    /// <param name="notes">What is of no weight for whether there are zombies is added.</param>
    public static Dictionary<int, KeptProcess> OfEndedProcesses(IReadOnlyList<ListedProcess> listed, List<string> unknown, List<string> notes)
    {
        var found = new Dictionary<int, (string Image, Dictionary<int, int> Handles)>();
        using var own = ProcessHandle.Open(Environment.ProcessId);
        var handles = SystemInformation.Handles();
        // The index of the type "Process" differs from build to build: it is that of a handle which certainly is one.
        if (handles.FirstOrDefault(handle => handle.Owner == Environment.ProcessId && handle.Value == own.DangerousGetHandle()) is not { } certain)
        {
            unknown.Add("handles (this process's own are not among those that the system tells)");
            return [];
        }

        var closed = 0;
        foreach (var owner in handles.Where(handle => handle.ObjectType == certain.ObjectType && handle.Owner != Environment.ProcessId).GroupBy(handle => handle.Owner))
        {
            using var process = ProcessHandle.ToCopyFrom(owner.Key);
            if (process is null)
            {
                closed++;
                continue;
            }

            foreach (var handle in owner)
            {
                using var copy = ProcessHandle.CopyOf(process, handle.Value);
                if (copy is not { IsSignalled: true }) continue;
                if (!found.TryGetValue(copy.Pid, out var kept)) found[copy.Pid] = kept = (copy.Image ?? "(unknown)", []);
                kept.Handles[owner.Key] = kept.Handles.GetValueOrDefault(owner.Key) + 1;
            }
        }

        if (closed > 0) notes.Add($"handles of {closed} {(closed == 1 ? "process that does" : "processes that do")} not let others copy them were not looked at: whoever keeps an ended process may be missing");
        var images = listed.DistinctBy(process => process.Pid).ToDictionary(process => process.Pid, process => process.Image);
        return found.ToDictionary(kept => kept.Key, kept => new KeptProcess(kept.Value.Image,
            [.. kept.Value.Handles.Select(holder => new Holder(holder.Key, images.GetValueOrDefault(holder.Key) ?? "(unknown)", holder.Value))]));
    }
}

/// <summary>An ended process that somebody has handles of.</summary>
internal sealed record KeptProcess(string Image, IReadOnlyList<Holder> Holders);
