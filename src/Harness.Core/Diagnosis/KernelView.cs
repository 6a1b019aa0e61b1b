using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// What a kernel debugger sees, read from kernel memory at one moment. Make a new view for every moment: it remembers modules, names and
/// what was wrong. Memory may be absent or lie: what can't be read is left out and said in the notes, and nothing here throws or hangs.
/// </summary>
public sealed class KernelView
{
    private const int MostProcesses = 65536;
    private const byte ProcessObject = 3;

    private readonly KernelMemoryReader _memory;
    private readonly NtLayout _layout;
    private readonly KernelAddress _processHead;
    private readonly ThreadWalk _threads;

    /// <param name="memory">The memory to look at.</param>
    /// <param name="readLimit">After so many reads every further one fails.</param>
    /// <exception cref="UnknownBuildException">No layouts are known for the memory's build.</exception>
    public KernelView(IKernelMemory memory, long readLimit = KernelMemoryReader.DefaultReadLimit)
    {
        var reader = _memory = new KernelMemoryReader(memory, readLimit);
        _layout = memory.Layout;
        _processHead = memory.ActiveProcessHead;
        Modules = new LoadedModules(reader, _layout, memory.LoadedModuleList, memory.Symbols);
        Stacks = new StackUnwinder(reader, _layout, Modules);
        var names = new ObjectNames(reader, _layout, Modules);
        _threads = new ThreadWalk(reader, _layout, Stacks, new IrpWalk(reader, _layout, Modules, names),
            new WaitWalk(reader, _layout, Modules, names, Stacks), new FilesOnStack(reader, _layout, names));
    }

    /// <summary>The loaded modules, and names for addresses.</summary>
    public LoadedModules Modules { get; }

    /// <summary>Stacks of threads, and of registers that somebody else has.</summary>
    public StackUnwinder Stacks { get; }

    /// <summary>Everything that could not be read or contradicts itself so far, of all processes and of the lists above them.</summary>
    public IReadOnlyList<string> Notes => _memory.Notes;

    /// <summary>The processes on the active process list, in its order.</summary>
    /// <param name="onlyPid">Which process IDs are wanted; null: all. Nothing more is read of the others.</param>
    public IReadOnlyList<ProcessRecord> Processes(Func<int, bool>? onlyPid = null)
    {
        var records = new List<ProcessRecord>();
        foreach (var process in Listed().Entries)
        {
            if (onlyPid is not null && Pid(process) is { } pid && !onlyPid(pid)) continue;
            if (Read(process, listed: true) is { } record) records.Add(record);
        }

        return records;
    }

    /// <summary>The processes on the active process list that were told to go or are going, in its order. Of the others one field is read.</summary>
    /// <param name="listed">How many there are in all.</param>
    public IReadOnlyList<ProcessRecord> Terminated(out int listed)
    {
        var entries = Listed().Entries;
        listed = entries.Count;
        var records = new List<ProcessRecord>();
        foreach (var process in entries)
        {
            if (_memory.UInt32(process + _layout.EProcess.Flags) is not { } flags) _memory.Note($"process {process} is not in memory");
            else if (EProcessLayout.ProcessDelete.In(flags) + EProcessLayout.ProcessExiting.In(flags) > 0 && Read(process, listed: true) is { } record) records.Add(record);
        }

        return records;
    }

    /// <summary>How long a thread has waited, to the clock's tick; null when the clock or the thread is not in memory.</summary>
    public TimeSpan? WaitOf(ThreadRecord thread)
    {
        if (thread.State != ThreadState.Waiting || _memory.UInt32(thread.Address + _layout.KThread.WaitTime) is not { } began) return null;
        if (_memory.UInt32(SharedUserData.At + SharedUserData.TickCountMultiplier) is not { } multiplier || multiplier == 0 || _memory.UInt32(SharedUserData.At + SharedUserData.TickCount) is not { } now) return null;
        // Ticks are counted in 32 bits here; the multiplier is milliseconds in a tick, times 2^24 (GetTickCount's arithmetic).
        return TimeSpan.FromMilliseconds((ulong)unchecked(now - began) * multiplier >> 24);
    }

    /// <summary>Open handles to an object, from its header; null when it is not in memory.</summary>
    public long? HandlesTo(KernelAddress target) => (long?)_memory.UInt64(target - _layout.ObjectHeader.Body + _layout.ObjectHeader.HandleCount);

    /// <summary>A process by its EPROCESS, on the list or not any more; null, with a note, when there is none.</summary>
    public ProcessRecord? ProcessAt(KernelAddress eprocess)
    {
        var list = Listed();
        var listed = false;
        foreach (var entry in list.Entries) listed |= entry == eprocess;
        if (Read(eprocess, listed) is not { } record) return null;
        return listed || list.Whole ? record : record with { Notes = [.. record.Notes ?? [], "the process list is damaged: the process may be on it all the same"] };
    }

    private ListWalk Listed()
    {
        var links = _memory.List(_processHead, MostProcesses, "the process list");
        var processes = new List<KernelAddress>(links.Entries.Count);
        foreach (var link in links.Entries) processes.Add(link - _layout.EProcess.ActiveProcessLinks);
        return links with { Entries = processes };
    }

    private int? Pid(KernelAddress process) => (int?)_memory.UInt64(process + _layout.EProcess.UniqueProcessId);

    private ProcessRecord? Read(KernelAddress process, bool listed)
    {
        _memory.CollectNotes();
        if (_memory.Byte(process + _layout.DispatcherHeader.Type) is not { } type || Pid(process) is not { } pid
            || _memory.UInt32(process + _layout.EProcess.Flags) is not { } flags || _memory.UInt32(process + _layout.EProcess.ExitStatus) is not { } exitStatus
            || _memory.UInt32(process + _layout.DispatcherHeader.SignalState) is not { } signalState)
        {
            _memory.Note($"process {process} is not in memory");
            return null;
        }

        if ((type & 0x7F) != ProcessObject)
        {
            _memory.Note($"{process} is not a process");
            return null;
        }

        if (_memory.AsciiString(process + _layout.EProcess.ImageFileName, EProcessLayout.ImageFileNameLength) is not { } image)
        {
            image = "";
            _memory.Note($"process {process}: its image name is not in memory");
        }

        var deleting = EProcessLayout.ProcessDelete.In(flags) != 0;
        var threads = _threads.Of(process, deleting);
        var notes = _memory.CollectNotes();
        return new ProcessRecord(process, pid, image, listed, deleting, (int)signalState > 0, new NtStatus(exitStatus), threads)
        {
            Exiting = EProcessLayout.ProcessExiting.In(flags) != 0,
            Notes = notes.Count == 0 ? null : notes,
        };
    }
}
