using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>What the story waits for, and what its checkpoints see.</summary>
internal sealed partial class Clients
{
    /// <summary>After an action of a processor: conditions that have come true let their waiters go.</summary>
    public void SignalConditions()
    {
        foreach (var client in _clients)
            foreach (var condition in client.Conditions)
                if (client.ConditionEvents[condition] is var header && !header.WaitListHead.IsEmpty) SignalIfOver(client, condition);
    }

    private void SignalIfOver(Client client, Act condition)
    {
        if (IsOver(condition)) Ke.SetEvent(machine, client.ConditionEvents[condition]);
    }

    private bool IsOver(Act condition) =>
        condition is UntilGone gone ? ClientOf(gone.Process).Process.Header.SignalState != 0 : IsWaiting((UntilWaiting)condition, out var done) || done;

    private void ConditionPassed(Act condition) =>
        machine.Log(condition is UntilWaiting until
            ? new ConditionPassed("waiting", until.Process, until.Request, IsWaiting(until, out _))
            : new ConditionPassed("gone", ((UntilGone)condition).Process, null, IsOver(condition)));

    /// <summary>
    /// The request is with the driver, and its issuer waits: synchronous, in nt for the file object or in the driver itself for whatever;
    /// overlapped, for nothing. <paramref name="done"/>: it can't come to that any more.
    /// </summary>
    private bool IsWaiting(UntilWaiting until, out bool done)
    {
        var m = machine.Memory;
        var client = ClientOf(until.Process);
        var request = client.Requests[until.Request];
        Span<byte> bytes = stackalloc byte[0x20];
        done = client.Process.Header.SignalState != 0 || !m.TryReadIn(client.Process.DirectoryTableBase, request.Block, bytes);
        if (done) return false;
        var progress = BitConverter.ToUInt64(bytes[(int)Progress..]);
        var status = BitConverter.ToUInt32(bytes);
        if (client.Overlapped.GetValueOrDefault(request.Handle))
        {
            done = progress == Failed || progress == CameBack && status != NtStatus.Pending.Value;
            return progress == CameBack && !done;
        }
        done = progress is CameBack or Failed;
        foreach (var thread in client.Threads)
            foreach (var irp in Io.OutstandingIrps(thread))
                if (machine.RequestOf(irp) == request.Name && thread.State == ThreadState.Waiting) return true;
        return false;
    }

    // Looking.

    /// <summary>A checkpoint: what user mode sees, and what a kernel debugger sees, of every process but the harness's own.</summary>
    private void Look(string checkpoint)
    {
        var watched = _clients.Where(c => c.Name != Story.Controller).ToList();
        machine.Log(new ProcessStates(checkpoint, [.. watched.Select(StateOf)]), Sources.ProcessState);
        var view = new KernelView(machine.KernelMemory);
        var records = new List<ProcessRecord>();
        foreach (var client in watched)
            if (view.ProcessAt(new KernelAddress(client.Process.Address)) is { } record) records.Add(record);
        machine.Log(new KernelMemorySeen(checkpoint, records) { Notes = view.Notes.Count == 0 ? null : view.Notes }, Sources.KernelMemory);
    }

    /// <summary>NtQuerySystemInformation and WaitForSingleObject, from the same structures that Windows answers them from.</summary>
    private static ProcessState StateOf(Client client)
    {
        var process = client.Process;
        var threads = new List<ThreadStateSeen>();
        foreach (var entry in process.ThreadListHead.Entries())
        {
            var thread = new Structures.Thread(process.Memory, entry - 0x4E8);
            if (thread.State == ThreadState.Terminated) continue;
            threads.Add(new ThreadStateSeen((int)thread.UniqueThread, thread.State, thread.WaitReason, !thread.IrpList.IsEmpty));
        }
        var signalled = process.Header.SignalState != 0;
        return new ProcessState(client.Name, process.ImageFileName, client.Pid, Listed: !signalled, signalled, process.ExitStatus, Ob.HandleCount(process), threads);
    }
}
