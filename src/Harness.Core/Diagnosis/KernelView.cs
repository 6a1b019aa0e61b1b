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
    private readonly IrpWalk _irps;
    private readonly HandleTables _handles;
    private readonly KernelAddress _processIds;
    private readonly IPhysicalPages? _pages;

    /// <param name="memory">The memory to look at.</param>
    /// <param name="readLimit">After so many reads every further one fails.</param>
    /// <exception cref="UnknownBuildException">No layouts are known for the memory's build.</exception>
    public KernelView(IKernelMemory memory, long readLimit = KernelMemoryReader.DefaultReadLimit)
    {
        var reader = _memory = new KernelMemoryReader(memory, readLimit);
        _layout = memory.Layout;
        _processHead = memory.ActiveProcessHead;
        _processIds = memory.ProcessIdTable;
        _pages = memory as IPhysicalPages;
        _handles = new HandleTables(reader);
        Modules = new LoadedModules(reader, _layout, memory.LoadedModuleList, memory.Symbols);
        Stacks = new StackUnwinder(reader, _layout, Modules);
        var names = new ObjectNames(reader, _layout, Modules);
        _irps = new IrpWalk(reader, _layout, Modules, names);
        _threads = new ThreadWalk(reader, _layout, Stacks, _irps,
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

    /// <summary>
    /// The processes that were told to go or are going: those on the active process list, in its order, of whose others one field is read, and
    /// those in the table of process IDs that are not on the list and still have threads.
    /// </summary>
    /// <param name="listed">How many there are on the list.</param>
    /// <param name="whole">The list could be followed to its end.</param>
    public IReadOnlyList<ProcessRecord> Terminated(out int listed, out bool whole)
    {
        var list = Listed();
        (listed, whole) = (list.Entries.Count, list.Whole);
        var records = new List<ProcessRecord>();
        foreach (var process in list.Entries)
        {
            if (IsGoing(process) is not { } going) _memory.Note($"process {process} is not in memory");
            else if (going && Read(process, listed: true) is { } record) records.Add(record);
        }

        records.AddRange(Unlisted(ProcessesWithId(), [.. list.Entries], "the table of process IDs"));
        return records;
    }

    /// <summary>
    /// Looks for what no list leads to, in all of physical memory. That takes as long as reading the file does. Null when the memory has no physical pages.
    /// </summary>
    internal PoolFinds? SearchPool() => _pages is null ? null : new PoolSearch(_pages, _layout).Find();

    /// <summary>Processes found in pool that were told to go and still have threads, and are not among those known.</summary>
    internal IReadOnlyList<ProcessRecord> InPool(PoolFinds found, IEnumerable<ProcessRecord> known) =>
        [.. Unlisted(found.Processes, [.. Listed().Entries, .. known.Select(process => process.Address)], "pool")];

    /// <summary>The process with those IRPs found in pool that one of its threads sent, or whose file it waits for.</summary>
    internal ProcessRecord WithIrps(ProcessRecord process, PoolFinds found)
    {
        var sent = found.Irps.Select(irp => (Irp: irp, _irps.Sender(irp).Thread, _irps.Sender(irp).File)).ToList();
        var threads = process.Threads.Select(thread => thread with
        {
            Irps =
            [
                .. thread.Irps,
                .. sent.Where(s => (s.Thread == thread.Address || (!s.File.IsNull && thread.WaitObject?.Address == s.File + _layout.FileObject.Event)) && !thread.Irps.Any(known => known.Address == s.Irp))
                    .Select(s => _irps.InPool(s.Irp)).OfType<IrpRecord>(),
            ],
        });
        return process with { Threads = [.. threads] };
    }

    /// <summary>Who has a handle to one of these processes or to a thread of it, in the order of the processes that do and their handles.</summary>
    public ILookup<KernelAddress, HandleHolder> HoldersOf(IReadOnlyList<KernelAddress> processes)
    {
        var targets = new Dictionary<ulong, (KernelAddress Process, KernelAddress Object)>();
        foreach (var process in processes)
            foreach (var target in (IEnumerable<KernelAddress>)[process, .. _threads.All(process)])
                targets[(target - _layout.ObjectHeader.Body).Value] = (process, target);

        var holders = new List<(KernelAddress Process, HandleHolder Holder)>();
        foreach (var owner in targets.Count == 0 ? [] : Listed().Entries)
        {
            // A process that has ended has no table any more.
            if (_memory.Pointer(owner + _layout.EProcess.ObjectTable) is not { IsNull: false } table || Pid(owner) is not { } pid) continue;
            var image = _memory.AsciiString(owner + _layout.EProcess.ImageFileName, EProcessLayout.ImageFileNameLength) ?? "";
            foreach (var (handle, header) in _handles.Entries(table, $"the handle table of '{image}' (pid {pid})"))
                if (targets.TryGetValue(header.Value, out var target)) holders.Add((target.Process, new HandleHolder(pid, image, handle, target.Object)));
        }

        return holders.ToLookup(h => h.Process, h => h.Holder);
    }

    /// <summary>How long a thread has waited, to the clock's tick; null when the clock or the thread is not in memory.</summary>
    public TimeSpan? WaitOf(ThreadRecord thread)
    {
        if (thread.State != ThreadState.Waiting || _memory.UInt32(thread.Address + _layout.KThread.WaitTime) is not { } began) return null;
        if (_memory.UInt32(SharedUserData.At + SharedUserData.TickCountMultiplier) is not { } multiplier || multiplier == 0 || _memory.UInt32(SharedUserData.At + SharedUserData.TickCount) is not { } now) return null;
        // Ticks are counted in 32 bits here; the multiplier is milliseconds in a tick, times 2^24 (GetTickCount's arithmetic).
        return TimeSpan.FromMilliseconds((ulong)unchecked(now - began) * multiplier >> 24);
    }

    /// <summary>
    /// The wait ends by itself: a delay, or one for which the thread's own timer counts. False when that is not in memory.
    /// </summary>
    public bool HasLimit(ThreadRecord thread) => thread.WaitReason is WaitReason.DelayExecution or WaitReason.WrDelayExecution
        || (thread.State == ThreadState.Waiting && _memory.Byte(thread.Address + _layout.KThread.Timer + DispatcherHeaderLayout.TimerMiscFlags) is { } flags && (flags & DispatcherHeaderLayout.TimerInserted) != 0);

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

    private bool? IsGoing(KernelAddress process) =>
        _memory.UInt32(process + _layout.EProcess.Flags) is { } flags ? EProcessLayout.ProcessDelete.In(flags) + EProcessLayout.ProcessExiting.In(flags) > 0 : null;

    private IEnumerable<KernelAddress> ProcessesWithId()
    {
        if (_processIds.IsNull) return [];
        if (_memory.Pointer(_processIds) is { IsKernel: true } table)
            return _handles.Entries(table, "the table of process IDs").Select(entry => entry.Pointer).Where(IsProcess);
        _memory.Note("the table of process IDs is not in memory");
        return [];
    }

    private bool IsProcess(KernelAddress at) => _memory.Byte(at + _layout.DispatcherHeader.Type) is { } type && (type & 0x7F) == ProcessObject;

    /// <summary>Of these processes, those that are going, have threads and are not known. One without threads may just be on its way off the list.</summary>
    private IEnumerable<ProcessRecord> Unlisted(IEnumerable<KernelAddress> processes, HashSet<KernelAddress> known, string foundIn)
    {
        foreach (var process in processes)
            if (!known.Contains(process) && IsGoing(process) == true && Read(process, listed: false) is { Threads.Count: > 0 } record) yield return record with { FoundIn = foundIn };
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
