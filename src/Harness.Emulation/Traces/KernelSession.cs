using Harness.Core.Nt;

namespace Harness.Emulation.Traces;

/// <summary>
/// A session of the kernel's logger with the keywords Process, Thread, ImageLoad, ContextSwitch, Dispatcher and Driver, and with stacks of
/// ContextSwitch and Dispatcher: what each event's record holds. Sources: phnt's ntwmi.h, the event classes of the Windows SDK (learn.microsoft.com),
/// and real files, by which the kinds of header and the versions go; versions of the events that no real file at hand has: ContextSwitch and
/// ReadyThread as of Windows 10, Driver as TraceEvent decodes them.
/// </summary>
internal sealed class KernelSession
{
    private const int LongestRecord = 0x2000;

    /// <summary>The version of the kernel's events as a whole, as real files have it.</summary>
    private const uint KernelEventVersion = 0x46;

    // PERF_PROC_THREAD and PERF_LOADER are in the first of eight group masks, PERF_CONTEXT_SWITCH, PERF_DRIVERS and PERF_DISPATCHER in the second.
    private const uint ProcessThreadAndLoader = 0x7, SwitchDriversAndDispatcher = 0x4 | 0x10 | 0x200;

    private readonly TraceBuffers _buffers;
    private readonly byte[] _record = new byte[LongestRecord];
    private readonly long _began;
    private uint _matchId;

    /// <param name="processors">Each has buffers of its own.</param>
    /// <param name="now">The machine's clock, in 100 ns units.</param>
    public KernelSession(int processors, ulong now)
    {
        _buffers = new TraceBuffers(processors);
        _began = _buffers.Tick(now);
    }

    /// <summary>How far the session is.</summary>
    public TraceMark Mark => _buffers.Mark(_matchId);

    /// <summary>Forgets what was logged after a mark.</summary>
    public void CutBackTo(TraceMark mark)
    {
        _buffers.CutBackTo(mark);
        _matchId = mark.MatchId;
    }

    // Rundown.

    /// <summary>What exists is listed from here on.</summary>
    public void BeginRundown(EventOrigin at, bool started)
    {
        var extension = PerfInfo(at, started ? KernelTraceEvents.Extension : KernelTraceEvents.EndExtension, 2);
        PutGroupMasks(ref extension);
        Log(at, extension);
    }

    public void EndRundown(EventOrigin at) => Log(at, PerfInfo(at, KernelTraceEvents.RundownComplete, 2));

    public void KernelBase(EventOrigin at, ulong address)
    {
        var record = PerfInfo(at, KernelTraceEvents.ImageKernelBase, 2);
        record.Put64(address);
        Log(at, record);
    }

    // Processes, threads and images.

    /// <summary>A process began or ended: told by whoever made it, or by its last thread.</summary>
    public void Process(EventOrigin at, ushort hookId, in ProcessFacts process)
    {
        var record = System(at, hookId, 4);
        PutProcess(ref record, process);
        Log(at, record);
    }

    /// <summary>A process of a rundown.</summary>
    public void RunDown(EventOrigin at, bool started, in ProcessFacts process)
    {
        var defunct = process.ExitTime != 0;
        var hookId = defunct ? KernelTraceEvents.ProcessDefunct : started ? KernelTraceEvents.ProcessDCStart : KernelTraceEvents.ProcessDCEnd;
        var record = PerfInfo(at, hookId, (ushort)(defunct ? 5 : 4));
        PutProcess(ref record, process);
        if (defunct) record.Put64(process.ExitTime);
        Log(at, record);
    }

    /// <summary>Somebody asks for a process's end.</summary>
    public void TerminateProcess(EventOrigin at, uint victim)
    {
        var record = System(at, KernelTraceEvents.ProcessTerminate, 2);
        record.Put32(victim);
        Log(at, record);
    }

    public void Thread(EventOrigin at, ushort hookId, in ThreadFacts thread)
    {
        const byte normalPagePriority = 5, normalIoPriority = 2;
        var record = System(at, hookId, 3);
        record.Put32(thread.Process);
        record.Put32(thread.Id);
        record.Put64(thread.StackBase);
        record.Put64(thread.StackLimit);
        record.Skip(16);
        record.Put64(thread.Affinity);
        record.Put64(thread.StartAddress);
        record.Put64(thread.Teb);
        record.Put32(0);
        record.Put8(thread.Priority);
        record.Put8(normalPagePriority);
        record.Put8(normalIoPriority);
        record.Put8(0);
        record.PutUnicode("");
        Log(at, record);
    }

    /// <summary>An image is loaded, unloaded, or there at a rundown.</summary>
    public void Image(EventOrigin at, ushort hookId, ImageFacts image)
    {
        var rundown = hookId is KernelTraceEvents.ImageDCStart or KernelTraceEvents.ImageDCEnd;
        var time = _buffers.Tick(at.Now);
        // Consumers join the two by their time.
        if (image.Pdb is { } pdb) Log(at, Rsds(time, image, pdb));
        var record = rundown ? TraceRecord.PerfInfo(_record, hookId, 3, time) : TraceRecord.System(_record, hookId, 3, time, at.Thread, at.Process);
        record.Put64(image.Base);
        record.Put64(image.Size);
        record.Put32(image.Process);
        record.Put32(image.CheckSum);
        record.Put32(image.TimeDateStamp);
        record.Skip(4);
        record.Put64(image.DefaultBase);
        record.Skip(16);
        record.PutUnicode(image.Path);
        Log(at, record);
    }

    /// <summary>Names of an image's routines, for an image that no symbol store has; in as many records as they need.</summary>
    public void Names(EventOrigin at, ulong image, IEnumerable<(uint Rva, string Name)> names)
    {
        const int headers = FullHeaderLayout.SizeInBytes + ImageNamesLayout.First;
        var part = new List<(uint Rva, string Name)>();
        var length = headers;
        foreach (var name in names)
        {
            var more = sizeof(uint) + name.Name.Length + 1;
            if (length + more > LongestRecord) LogPart();
            part.Add(name);
            length += more;
        }

        LogPart();

        void LogPart()
        {
            var record = TraceRecord.Full(_record, ImageNamesLayout.Class, ImageNamesLayout.Names, ImageNamesLayout.Version, _buffers.Tick(at.Now));
            record.Put64(image);
            record.Put32((uint)part.Count);
            foreach (var (rva, name) in part)
            {
                record.Put32(rva);
                record.PutAnsi(name);
            }

            Log(at, record);
            part.Clear();
            length = headers;
        }
    }

    private TraceRecord Rsds(long time, ImageFacts image, PdbIdentity pdb)
    {
        const byte rsds = 36;
        var record = TraceRecord.Full(_record, KernelTraceGroups.ImageId, rsds, 2, time);
        record.Put64(image.Base);
        record.Put32(image.Process);
        record.Put(pdb.Guid);
        record.Put32(pdb.Age);
        record.PutAnsi(pdb.Name);
        return record;
    }

    // The dispatcher.

    /// <summary>CSwitch, version 4; the stack is of the thread that has the processor now.</summary>
    /// <param name="at">That thread.</param>
    /// <param name="change">Who follows whom.</param>
    /// <param name="stack">Innermost first; none of an idle thread.</param>
    public void ContextSwitch(EventOrigin at, in SwitchFacts change, ReadOnlySpan<ulong> stack)
    {
        var record = PerfInfo(at, KernelTraceEvents.ContextSwitch, 4);
        record.Put32(change.NewThread);
        record.Put32(change.OldThread);
        record.Put8(change.NewPriority);
        record.Put8(change.OldPriority);
        record.Skip(2);
        record.Put8(change.OldWaitReason);
        // ThreadFlags, where earlier versions have the wait mode.
        record.Put8(0);
        record.Put8(change.OldState);
        record.Put8((byte)at.Processor);
        record.Put32(change.NewWaitTicks);
        record.Put32(0);
        Log(at, record);
        Stack(at, record.Time, stack);
    }

    /// <summary>A thread was made ready; the stack is of the thread that did it.</summary>
    /// <param name="at">That thread.</param>
    /// <param name="thread">The thread that can run now.</param>
    /// <param name="adjustReason">1: its wait is over; 0: it begins.</param>
    /// <param name="fromDpc">By a DPC, which runs on whatever thread was there.</param>
    /// <param name="stack">Innermost first.</param>
    public void ReadyThread(EventOrigin at, uint thread, byte adjustReason, bool fromDpc, ReadOnlySpan<ulong> stack)
    {
        var record = PerfInfo(at, KernelTraceEvents.ReadyThread, 2);
        record.Put32(thread);
        record.Put8(adjustReason);
        record.Put8(0);
        record.Put8(fromDpc ? (byte)1 : (byte)0);
        record.Put8(0);
        Log(at, record);
        Stack(at, record.Time, stack);
    }

    private void Stack(EventOrigin at, long ofEvent, ReadOnlySpan<ulong> stack)
    {
        if (stack.IsEmpty) return;
        var record = PerfInfo(at, KernelTraceEvents.StackWalk, 2);
        record.Put64((ulong)ofEvent);
        record.Put32(at.Process);
        record.Put32(at.Thread);
        foreach (var address in stack) record.Put64(address);
        Log(at, record);
    }

    // Drivers. Each pair of call and return has a number of its own (UniqMatchId).

    /// <summary>A number that no pair has had yet.</summary>
    public uint NextMatchId() => ++_matchId;

    public void MajorFunctionCall(EventOrigin at, uint major, uint minor, ulong routine, ulong file, ulong irp, uint id)
    {
        var record = PerfInfo(at, KernelTraceEvents.DriverMajorFunctionCall, 2);
        record.Put32(major);
        record.Put32(minor);
        record.Put64(routine);
        record.Put64(file);
        record.Put64(irp);
        record.Put32(id);
        Log(at, record);
    }

    /// <summary>A dispatch routine or IoCompleteRequest has returned.</summary>
    public void Return(EventOrigin at, ushort hookId, ulong irp, uint id)
    {
        var record = PerfInfo(at, hookId, 2);
        record.Put64(irp);
        record.Put32(id);
        Log(at, record);
    }

    /// <summary>IoCompleteRequest was called, or a completion routine has returned to it.</summary>
    public void Completion(EventOrigin at, ushort hookId, ulong routine, ulong irp, uint id)
    {
        var record = PerfInfo(at, hookId, 2);
        record.Put64(routine);
        record.Put64(irp);
        record.Put32(id);
        Log(at, record);
    }

    // The file.

    /// <summary>The whole file as the session is now. Pieces, each valid until the next is asked for.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> File(SessionFacts facts)
    {
        var first = new LogfileHeader(facts, _buffers.Count);
        var bytes = new List<byte>();
        void Append(ReadOnlySpan<byte> record)
        {
            bytes.AddRange(record);
            while (bytes.Count % TraceBufferLayout.RecordAlignment != 0) bytes.Add(0);
        }

        Append(first.Record(_record, _began));
        var extension = TraceRecord.System(_record, KernelTraceEvents.Extension, 2, _began, 0, 0);
        PutGroupMasks(ref extension);
        Append(extension.Bytes);
        return _buffers.File([.. bytes], _buffers.Tick(facts.Stopped));
    }

    private TraceRecord System(EventOrigin at, ushort hookId, ushort version) =>
        TraceRecord.System(_record, hookId, version, _buffers.Tick(at.Now), at.Thread, at.Process);

    private TraceRecord PerfInfo(EventOrigin at, ushort hookId, ushort version) =>
        TraceRecord.PerfInfo(_record, hookId, version, _buffers.Tick(at.Now));

    private void Log(EventOrigin at, TraceRecord record) => _buffers.Add(at.Processor, record.Time, record.Bytes);

    private static void PutProcess(ref TraceRecord record, in ProcessFacts process)
    {
        record.Put64(process.Key);
        record.Put32(process.Id);
        record.Put32(process.Parent);
        record.Put32(process.Session);
        record.Put32(process.ExitStatus);
        record.Put64(process.DirectoryTableBase);
        record.Put32(0);
        // No token, so no SID.
        record.Put32(0);
        record.PutAnsi(process.Image);
        // Command line, package, application.
        record.PutUnicode("");
        record.PutUnicode("");
        record.PutUnicode("");
    }

    private static void PutGroupMasks(ref TraceRecord record)
    {
        record.Put32(ProcessThreadAndLoader);
        record.Put32(SwitchDriversAndDispatcher);
        record.Skip(6 * 4);
        record.Put32(KernelEventVersion);
    }
}
