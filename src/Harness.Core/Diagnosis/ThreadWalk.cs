using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>The threads of a process, as !thread shows them.</summary>
internal sealed class ThreadWalk(KernelMemoryReader memory, NtLayout layout, StackUnwinder stacks, IrpWalk irps, WaitWalk waits, FilesOnStack filesOnStack)
{
    private const int MostThreads = 65536;
    private const byte ThreadObject = 6;

    /// <summary>The threads on EPROCESS.ThreadListHead that have not ended.</summary>
    /// <param name="process">EPROCESS.</param>
    /// <param name="deleting">The process was told to go: its threads may hold files that no handle leads to any more.</param>
    public IReadOnlyList<ThreadRecord> Of(KernelAddress process, bool deleting)
    {
        var threads = All(process);
        var records = new List<ThreadRecord>(threads.Count);
        foreach (var thread in threads)
            if (Read(thread, deleting, threads) is { State: not ThreadState.Terminated } record) records.Add(record);
        return records;
    }

    /// <summary>ETHREADs on EPROCESS.ThreadListHead, those that have ended too: somebody's handle keeps them there.</summary>
    public IReadOnlyList<KernelAddress> All(KernelAddress process)
    {
        var links = memory.List(process + layout.EProcess.ThreadListHead, MostThreads, $"the thread list of process {process}").Entries;
        var threads = new List<KernelAddress>(links.Count);
        foreach (var link in links)
        {
            var thread = link - layout.EThread.ThreadListEntry;
            if (memory.Byte(thread + layout.DispatcherHeader.Type) is not { } type || (type & 0x7F) != ThreadObject || memory.Pointer(thread + layout.KThread.Process) != process)
                memory.Note($"the thread list of process {process}: {thread} is not a thread of it");
            else threads.Add(thread);
        }

        return threads;
    }

    private ThreadRecord? Read(KernelAddress thread, bool deleting, IReadOnlyList<KernelAddress> siblings)
    {
        if (memory.Byte(thread + layout.KThread.State) is not { } stateCode || memory.Byte(thread + layout.KThread.WaitReason) is not { } reasonCode
            || memory.Byte(thread + layout.KThread.WaitMode) is not { } modeCode || memory.Bits(thread, layout.KThread.Alertable) is not { } alertable
            || memory.UInt64(thread + layout.EThread.Cid + 8) is not { } tid)
        {
            memory.Note($"thread {thread} is not in memory");
            return null;
        }

        var state = (ThreadState)stateCode;
        if (state == ThreadState.Terminated) return null;
        if (state > ThreadState.WaitingForProcessInSwap) memory.Note($"thread {thread}: its state is {stateCode}");
        var waiting = state == ThreadState.Waiting;
        var (reason, mode) = ((WaitReason)reasonCode, (ProcessorMode)modeCode);
        if (waiting && (reason > WaitReason.WrPhysicalFault || mode > ProcessorMode.UserMode)) memory.Note($"thread {thread}: it waits for reason {reasonCode} in mode {modeCode}");

        var outstanding = irps.OfThread(thread);
        // One that polls may just be between two waits.
        AddThoseOfFiles(outstanding, deleting && state != ThreadState.Running && mode == ProcessorMode.KernelMode ? thread : null, polls: reason == WaitReason.DelayExecution);
        return new ThreadRecord(thread, (int)tid, state, reason, mode, alertable != 0,
            waiting ? waits.Of(thread, reason, outstanding, siblings) : null,
            state == ThreadState.Running ? [] : stacks.OfThread(thread), outstanding);
    }

    /// <summary>IRPs of files with a completion port are on the file's list: the files are those of the thread's IRPs, and those a dying thread closes.</summary>
    private void AddThoseOfFiles(List<IrpRecord> outstanding, KernelAddress? dying, bool polls)
    {
        var files = new List<KernelAddress>();
        foreach (var irp in outstanding) irps.AddFiles(irp, files);
        if (dying is { } thread && stacks.Bounds(thread) is { } stack && memory.Pointer(thread + layout.KThread.KernelStack) is { } from)
        {
            files.AddRange(filesOnStack.Find(from, stack, out var absent));
            // A thread that closes a file in rundown looks for its IRPs again and again.
            if (files.Count == 0 && absent > 0 && polls) memory.Note($"thread {thread}: it has no IRP, and of the pointers on its stack {absent} lead to memory that is absent, where the file may be that it waits for");
        }

        foreach (var file in files)
            foreach (var irp in irps.OfFile(file))
                if (!outstanding.Exists(known => known.Address == irp.Address)) outstanding.Add(irp);
    }
}
