using System.Globalization;
using System.Runtime.Versioning;
using Harness.Core.Nt;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>Why a process that was told to end, or has ended, is still there.</summary>
public enum Remnant
{
    /// <summary>A thread of it waits in kernel mode for an IRP that a driver has.</summary>
    IrpZombie,

    /// <summary>It was told to end and has threads; what keeps them cannot be told from here.</summary>
    Dying,

    /// <summary>It has ended, and somebody's handle keeps its process object. No driver is to blame.</summary>
    KeptByHandle,
}

/// <summary>What user mode can see of a process.</summary>
/// <param name="Pid">Its process ID.</param>
/// <param name="Image">"victim.exe".</param>
/// <param name="Deleting">PROCESS_EXTENDED_BASIC_INFORMATION.IsProcessDeleting; null: not told.</param>
/// <param name="Signalled">The process object's state; null: it could not be opened.</param>
/// <param name="Threads">Its threads.</param>
/// <param name="Holders">Who has handles of it.</param>
public sealed record ProcessFacts(int Pid, string Image, bool? Deleting, bool? Signalled, IReadOnlyList<ThreadFacts> Threads, IReadOnlyList<Holder> Holders);

/// <summary>What user mode can see of a thread.</summary>
public sealed record ThreadFacts(int Tid, ThreadState State, WaitReason WaitReason, bool? IoPending);

/// <summary>Somebody with handles of a process.</summary>
public sealed record Holder(int Pid, string Image, int Handles);

/// <summary>A process that is still there.</summary>
/// <param name="Process">What was seen of it.</param>
/// <param name="Why">Why it is there.</param>
/// <param name="Says">One sentence.</param>
public sealed record Remaining(ProcessFacts Process, Remnant Why, string Says);

/// <summary>The processes of a machine that should be gone.</summary>
/// <param name="Remaining">Those, zombies first.</param>
/// <param name="Unknown">What could not be looked at; null when everything could. With it, an empty list proves nothing.</param>
public sealed record ZombieCensus(IReadOnlyList<Remaining> Remaining, string? Unknown)
{
    /// <summary>What else was not looked at; no zombie hides there.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Weighs what was seen.</summary>
    public static ZombieCensus Of(IEnumerable<ProcessFacts> processes, string? unknown) =>
        new([.. processes.Select(Weigh).OfType<Remaining>().OrderBy(remaining => remaining.Why).ThenBy(remaining => remaining.Process.Pid)], unknown);

    /// <summary>Looks at this machine.</summary>
    /// <exception cref="WindowsException">It does not tell its processes.</exception>
    [SupportedOSPlatform("windows")]
    public static ZombieCensus OfThisMachine()
    {
        List<string> unknown = [], notes = [];
        if (!Privilege.Enable(Privilege.Debug)) unknown.Add($"processes of other users (this one has no {Privilege.Debug}: run it as an administrator)");
        var listed = SystemInformation.Processes();
        if (!listed.SelectMany(process => process.Threads).Any(thread => thread.State == ThreadState.Waiting)) unknown.Add("states of threads (this system does not tell them)");
        var holders = HandleHolders.OfEndedProcesses(listed, unknown, notes);
        List<ProcessFacts> facts = [.. listed.Where(process => process.Pid > 4).Select(process => Facts(process, holders.GetValueOrDefault(process.Pid)?.Holders ?? []))];
        var names = listed.Select(process => process.Pid).ToHashSet();
        facts.AddRange(holders.Where(held => !names.Contains(held.Key)).Select(held => new ProcessFacts(held.Key, held.Value.Image, null, true, [], held.Value.Holders)));
        return Of(facts, unknown.Count == 0 ? null : string.Join("; ", unknown)) with { Notes = notes };
    }

    [SupportedOSPlatform("windows")]
    private static ProcessFacts Facts(ListedProcess process, IReadOnlyList<Holder> holders)
    {
        using var handle = ProcessHandle.ToAsk(process.Pid);
        var deleting = handle?.IsDeleting;
        // Threads are asked only of the few that are on their way out.
        return new ProcessFacts(process.Pid, process.Image, deleting, handle?.IsSignalled,
            [.. process.Threads.Select(thread => new ThreadFacts(thread.Tid, thread.State, thread.WaitReason, deleting == true ? IsIoPending(thread.Tid) : null))], holders);
    }

    [SupportedOSPlatform("windows")]
    private static bool? IsIoPending(int tid)
    {
        using var thread = ThreadHandle.ToAsk(tid);
        return thread?.IsIoPending;
    }

    private static Remaining? Weigh(ProcessFacts process)
    {
        var who = $"{process.Image} (pid {process.Pid.ToString(CultureInfo.InvariantCulture)})";
        if (process.Signalled == true)
            return process.Holders.Count == 0 ? null : new Remaining(process, Remnant.KeptByHandle,
                $"{who} has ended; its process object is kept by {string.Join(", ", process.Holders.Select(holder => $"{holder.Image} (pid {holder.Pid.ToString(CultureInfo.InvariantCulture)}, {holder.Handles.ToString(CultureInfo.InvariantCulture)} {(holder.Handles == 1 ? "handle" : "handles")})"))}");
        if (process.Deleting != true || process.Signalled is null || process.Threads.Count == 0) return null;

        // The two waits of a thread whose IRP does not come back: for the IRP's event, and again every few milliseconds.
        var stuck = process.Threads.FirstOrDefault(thread => thread is { State: ThreadState.Waiting, WaitReason: WaitReason.Executive or WaitReason.DelayExecution, IoPending: true });
        if (stuck is not null)
            return new Remaining(process, Remnant.IrpZombie, $"{who} was told to end, and its thread {stuck.Tid.ToString(CultureInfo.InvariantCulture)} is Waiting ({stuck.WaitReason}) with I/O pending: a driver has its IRP ('driverfault diagnose' of a live dump tells which)");
        var threads = string.Join(", ", process.Threads.Select(thread => thread.State == ThreadState.Waiting ? $"{thread.State} ({thread.WaitReason})" : thread.State.ToString()).Distinct());
        return new Remaining(process, Remnant.Dying, $"{who} was told to end and has not: threads {threads}. It may be on its way, or wait for the IRP of a file that has a completion port ('driverfault diagnose' of a live dump tells)");
    }
}
