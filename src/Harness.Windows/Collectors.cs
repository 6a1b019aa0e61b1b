using System.Runtime.Versioning;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>What collectors are given.</summary>
/// <param name="Folder">Where what they leave goes.</param>
/// <param name="SymbolPath">Where symbols are, as _NT_SYMBOL_PATH says it; null: nowhere.</param>
internal sealed record Collecting(string Folder, string? SymbolPath);

/// <summary>What looks at a checkpoint. Each says what it sees, or that it could not look.</summary>
[SupportedOSPlatform("windows")]
internal sealed class Collectors(Collecting collecting, List<RunningClient> clients, Timeline timeline)
{
    private static readonly TimeSpan ToAttach = TimeSpan.FromSeconds(20);

    private bool _saidWaits;

    /// <summary>Process states; and kernel memory, where a process was killed and is still there: a dump takes seconds and much of a disk.</summary>
    public void Look(string checkpoint)
    {
        timeline.Add(Sources.ProcessState, new ProcessStates(checkpoint, States()));
        if (!clients.Exists(client => client.Killed && !client.HasEnded)) return;
        LookAtKernelMemory(checkpoint);
        foreach (var client in clients.Where(client => client.Killed && !client.HasEnded)) LookAtManagedStacks(client);
    }

    /// <summary>The managed stacks of the threads that are in a system call.</summary>
    public void LookAtManagedStacks(RunningClient client)
    {
        var tids = client.CallingThreads;
        if (tids.Count == 0 || client.HasEnded) return;
        var what = $"managed stacks of '{client.Name}'{(client.Killed ? " after it was killed" : "")}";
        try
        {
            // Of a process that is going nobody knows whether it can be suspended.
            var reading = Task.Run(() => ManagedStacks.Of(client.Pid, tids));
            if (!reading.Wait(ToAttach)) throw new InvalidOperationException($"it could not be attached to within {ToAttach.TotalSeconds:0} s");
            var stacks = reading.Result;
            foreach (var (tid, frames) in stacks) timeline.Add(Sources.Clrmd, new ManagedStackSeen(client.Name, client.Pid, tid, frames));
            if (stacks.Count == 0) timeline.Add(Sources.Clrmd, new NotObserved(what, "none of the threads has managed frames"));
        }
        catch (Exception e) when (e is InvalidOperationException or AggregateException)
        {
            timeline.Add(Sources.Clrmd, new NotObserved(what, e.GetBaseException().Message));
        }
    }

    private List<ProcessState> States()
    {
        var listed = SystemInformation.Processes();
        var tellsWaits = listed.SelectMany(process => process.Threads).Any(thread => thread.State == ThreadState.Waiting);
        if (!tellsWaits && !_saidWaits)
        {
            _saidWaits = true;
            timeline.Add(Sources.ProcessState, new NotObserved("states of threads", "NtQuerySystemInformation says of no thread of this machine that it waits"));
        }

        return [.. clients.Select(client => StateOf(client, listed, tellsWaits))];
    }

    private static ProcessState StateOf(RunningClient client, IReadOnlyList<ListedProcess> listed, bool tellsWaits)
    {
        // What was not signalled when the list was made may have ended since.
        var process = listed.FirstOrDefault(process => process.Pid == client.Pid);
        var signalled = client.HasEnded;
        var threads = signalled || !tellsWaits ? [] : process?.Threads.Select(thread => new ThreadStateSeen(thread.Tid, thread.State, thread.WaitReason, IsIoPending(thread.Tid))).ToList() ?? [];
        return new ProcessState(client.Name, process?.Image ?? "", client.Pid, Listed: process is not null && !signalled, signalled, client.Handle.ExitStatus, process?.Handles ?? 0, threads) { Deleting = signalled ? null : client.Handle.IsDeleting };
    }

    private static bool? IsIoPending(int tid)
    {
        using var thread = ThreadHandle.ToAsk(tid);
        return thread?.IsIoPending;
    }

    private void LookAtKernelMemory(string checkpoint)
    {
        var path = Path.Combine(collecting.Folder, $"{string.Concat(checkpoint.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-'))}.dmp");
        try
        {
            if (!Privilege.Enable(Privilege.Debug)) throw new InvalidOperationException($"this process has no {Privilege.Debug}");
            var status = LiveKernelDump.Write(path);
            if (status.Value != 0) throw new InvalidOperationException($"NtSystemDebugControl(SysDbgGetLiveKernelDump): {status}");
            using var symbols = string.IsNullOrEmpty(collecting.SymbolPath) ? null : SymbolPath.Parse(collecting.SymbolPath);
            using var dump = KernelDump.Open(path, symbols);
            var view = new KernelView(dump);
            var pids = clients.Select(client => client.Pid).ToHashSet();
            var records = view.Processes(pids.Contains);
            IReadOnlyList<string> notes = [.. dump.Notes, .. view.Notes];
            timeline.Add(Sources.KernelMemory, new KernelMemorySeen(checkpoint, records) { Notes = notes.Count == 0 ? null : notes });
        }
        catch (Exception e) when (e is InvalidOperationException or UnusableDumpException or IOException or UnauthorizedAccessException)
        {
            timeline.Add(Sources.KernelMemory, new NotObserved("kernel memory", $"{(e is UnusableDumpException ? $"the live dump {Path.GetFileName(path)} " : "")}{e.Message}"));
        }
    }
}
