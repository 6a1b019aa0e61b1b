using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Microsoft.Diagnostics.Tracing.Parsers.Kernel;
using ThreadState = Harness.Core.Nt.ThreadState;

namespace Harness.Tracing.Zombies;

/// <summary>
/// Follows processes, threads and IRPs through a trace. What it keeps is what lives, and of what has gone only the processes that took long to go
/// after they were asked to.
/// </summary>
internal sealed class KernelFollower
{
    /// <summary>Processes that went at once and are kept; of the others the number is.</summary>
    private const int MostQuick = 1000;

    /// <summary>ReadyThread events of a processor whose stacks may still come.</summary>
    private const int MostReadies = 4;

    /// <summary>What a processor runs that has nothing to run; each has its own, and all have ID 0.</summary>
    private static readonly FollowedThread Idle = new(0, new FollowedProcess(0, "Idle"));

    private readonly Dictionary<int, FollowedProcess> _processes = [];
    private readonly Dictionary<int, FollowedThread> _threads = [];
    private readonly Dictionary<ulong, FollowedRequest> _requests = [];

    /// <summary>IRPs whose IoCompleteRequest has not returned.</summary>
    private readonly Dictionary<ulong, FollowedRequest> _completing = [];
    private readonly List<FollowedThread?> _running = [];
    private readonly List<FollowedReady?[]> _readies = [];
    private readonly List<FollowedProcess> _dying = [];
    private readonly EventTrace _trace;
    private ulong[] _frames = new ulong[256];
    private int _quick;

    public KernelFollower(EventTrace trace)
    {
        _trace = trace;
        Images = new ImageTimeline(trace);
        var kernel = trace.Kernel;
        kernel.ProcessStart += data => Process(data, starts: true);
        kernel.ProcessDCStart += data => Process(data, starts: false);
        kernel.ProcessDCStop += ListProcess;
        kernel.ProcessStop += EndProcess;
        trace.Terminations.ProcessTerminate += data => Ask(data.TimeStampRelativeMSec, data.VictimProcessID, By(data.ThreadID, data.ProcessorNumber));
        kernel.ThreadStart += data => Thread(data, starts: true);
        kernel.ThreadDCStart += data => Thread(data, starts: false);
        kernel.ThreadDCStop += data => Thread(data, starts: false);
        kernel.ThreadStop += EndThread;
        kernel.ThreadCSwitch += Switch;
        kernel.DispatcherReadyThread += MakeReady;
        kernel.StackWalkStack += Stack;
        kernel.StackWalkStackKeyKernel += CachedStack;
        kernel.DiskIODriverMajorFunctionCall += Call;
        kernel.DiskIODriverMajorFunctionReturn += data => Return(data.ThreadID, data.ProcessorNumber, (uint)data.UniqMatchID);
        kernel.DiskIODriverCompleteRequest += Complete;
        kernel.DiskIODriverCompletionRoutine += RunCompletionRoutine;
        kernel.DiskIODriverCompleteRequestReturn += data => _completing.Remove(data.Irp);
    }

    public ImageTimeline Images { get; }

    /// <summary>Processes that were asked to end, in that order; those that went at once have nothing but their times.</summary>
    public IReadOnlyList<FollowedProcess> Dying => _dying;

    /// <summary>All other processes that are there when the trace ends, with their threads.</summary>
    public IEnumerable<FollowedProcess> Others => _processes.Values.Where(process => process.Asked is null);

    public int EndedUnasked { get; private set; }

    /// <summary>Processes that went at once and are none of <see cref="Dying"/>.</summary>
    public int Forgotten => Math.Max(_quick - MostQuick, 0);

    /// <summary>The time of the last event; of a silent machine that is the rundown with which the session ends.</summary>
    public double End { get; private set; }

    /// <summary>An event is earlier than one before it by so much that no answer is left: a second. Processors differ by less.</summary>
    public bool RunsBackwards { get; private set; }

    public bool SawProcesses { get; private set; }

    public bool SawSwitches { get; private set; }

    public bool SawReadies { get; private set; }

    public bool SawStacks { get; private set; }

    public bool SawDrivers { get; private set; }

    public bool SawLastRundown { get; private set; }

    /// <summary>The trace is over: gives each process the threads and IRPs it still has.</summary>
    public void Finish()
    {
        foreach (var thread in _threads.Values)
        {
            thread.Settle();
            if (thread.Process is { Ended: null, Asked: null } process) process.Threads.Add(thread);
        }

        // By address, so that the order does not hang on a hash.
        foreach (var request in _requests.Values.OrderBy(request => request.Since).ThenBy(request => request.Address))
            if (request.Owner?.Process is { Ended: null } process && (process.Asked is not null || process.Threads.Count > 0)) process.Requests.Add(request);
    }

    // Processes and threads.

    private void Process(ProcessTraceData data, bool starts)
    {
        At(data.TimeStampRelativeMSec);
        SawProcesses = true;
        if (starts || !_processes.TryGetValue(data.ProcessID, out var known)) _processes[data.ProcessID] = new FollowedProcess(data.ProcessID, data.KernelImageFileName);
        else known.Image = data.KernelImageFileName;
    }

    private void ListProcess(ProcessTraceData data)
    {
        At(data.TimeStampRelativeMSec);
        SawLastRundown = SawProcesses = true;
        var process = Known(data.ProcessID);
        if (process.Image.Length == 0) process.Image = data.KernelImageFileName;
        process.Listed = true;
    }

    private void EndProcess(ProcessTraceData data)
    {
        At(data.TimeStampRelativeMSec);
        SawProcesses = true;
        if (!_processes.Remove(data.ProcessID, out var process)) process = new FollowedProcess(data.ProcessID, data.KernelImageFileName);
        process.Ended = data.TimeStampRelativeMSec;
        if (process.Image.Length == 0) process.Image = data.KernelImageFileName;
        if (process.Asked is not { } asked)
        {
            EndedUnasked++;
            return;
        }

        foreach (var thread in process.Threads) thread.Settle();
        if (process.Ended - asked < StuckThread.Soonest.TotalMilliseconds)
        {
            process.Threads.Clear();
            if (++_quick > MostQuick) _dying.Remove(process);
            return;
        }

        foreach (var request in _requests.Values)
            if (request.Owner?.Process == process) process.Requests.Add(request);
        process.Requests.Sort((a, b) => (a.Since, a.Address).CompareTo((b.Since, b.Address)));
    }

    private void Ask(double at, int pid, FollowedThread? by)
    {
        At(at);
        if (pid < 0) return;
        SawProcesses = true;
        var process = Known(pid);
        if (process.Asked is not null) return;
        process.Ask(at, by);
        _dying.Add(process);
        foreach (var thread in _threads.Values)
        {
            if (thread.Process != process) continue;
            thread.Dies();
            process.Threads.Add(thread);
        }

        process.Threads.Sort((a, b) => a.Tid.CompareTo(b.Tid));
    }

    private FollowedProcess Known(int pid)
    {
        if (!_processes.TryGetValue(pid, out var process)) _processes[pid] = process = new FollowedProcess(pid, "");
        return process;
    }

    private void Thread(ThreadTraceData data, bool starts)
    {
        At(data.TimeStampRelativeMSec);
        if (data.ThreadID <= 0) return;
        var process = Known(data.ProcessID);
        if (!starts && _threads.TryGetValue(data.ThreadID, out var known))
        {
            if (known.Process is null)
            {
                known.Process = process;
                if (process.Asked is not null) process.Threads.Add(known);
            }

            return;
        }

        var thread = _threads[data.ThreadID] = new FollowedThread(data.ThreadID, process) { SeenFromStart = starts };
        if (process.Asked is not null) process.Threads.Add(thread);
    }

    private void EndThread(ThreadTraceData data)
    {
        At(data.TimeStampRelativeMSec);
        if (!_threads.TryGetValue(data.ThreadID, out var thread)) return;
        thread.Ended = data.TimeStampRelativeMSec;
        thread.Settle();
    }

    /// <summary>The thread that logs an event: the header's, or the one that has the processor.</summary>
    private FollowedThread? By(int tid, int processor) => tid > 0 ? Thread(tid) : _running.Count > processor ? _running[processor] : null;

    private FollowedThread Thread(int tid)
    {
        if (!_threads.TryGetValue(tid, out var thread)) _threads[tid] = thread = new FollowedThread(tid, null);
        return thread;
    }

    private void At(double time)
    {
        RunsBackwards |= time <= End - StuckThread.Soonest.TotalMilliseconds;
        End = Math.Max(End, time);
    }

    // The dispatcher.

    private void Switch(CSwitchTraceData data)
    {
        At(data.TimeStampRelativeMSec);
        SawSwitches = true;
        Grow(data.ProcessorNumber);
        // Thread 0 is each processor's idle thread.
        if (data.OldThreadID > 0)
        {
            var state = (ThreadState)(int)data.OldThreadState;
            if (state == ThreadState.Terminated)
            {
                if (_threads.Remove(data.OldThreadID, out var gone)) gone.Ended ??= data.TimeStampRelativeMSec;
            }
            else
            {
                Thread(data.OldThreadID).SwitchOut(data.TimeStampRelativeMSec, state == ThreadState.Waiting, (WaitReason)(int)data.OldThreadWaitReason);
            }
        }

        var runs = data.NewThreadID > 0 ? Thread(data.NewThreadID) : Idle;
        if (runs != Idle) runs.SwitchIn(data.TimeStampRelativeMSec);
        _running[data.ProcessorNumber] = runs;
    }

    private void MakeReady(DispatcherReadyThreadTraceData data)
    {
        const int executingDpc = 1;
        At(data.TimeStampRelativeMSec);
        SawReadies = true;
        Grow(data.ProcessorNumber);
        if (data.AwakenedThreadID <= 0) return;
        var ready = new FollowedReady(data.TimeStampRelativeMSec, By(data.ThreadID, data.ProcessorNumber), ((int)data.Flags & executingDpc) != 0);
        var thread = Thread(data.AwakenedThreadID);
        thread.MadeReady(ready);
        if (thread.Process?.Asked is null) return;
        var readies = _readies[data.ProcessorNumber];
        Array.Copy(readies, 0, readies, 1, MostReadies - 1);
        readies[0] = ready;
    }

    private void Grow(int processor)
    {
        while (_running.Count <= processor)
        {
            _running.Add(null);
            _readies.Add(new FollowedReady?[MostReadies]);
        }
    }

    private void Stack(StackWalkStackTraceData data)
    {
        var (ready, thread) = OwnerOf(data.EventTimeStampRelativeMSec, data.ThreadID, data.ProcessorNumber);
        if (ready is null && thread is null) return;
        var count = Math.Max(data.FrameCount, 0);
        if (count > _frames.Length) _frames = new ulong[count];
        for (var i = 0; i < count; i++) _frames[i] = data.InstructionPointer(i);
        Keep(_frames.AsSpan(0, count), ready, thread);
    }

    private void CachedStack(StackWalkRefTraceData data)
    {
        var (ready, thread) = OwnerOf(data.EventTimeStampRelativeMSec, data.ThreadID, data.ProcessorNumber);
        // Whoever asks for one has all of them read.
        if (ready is not null || thread is not null) Keep(_trace.StackOf(data), ready, thread);
    }

    /// <summary>What a stack belongs to: making a thread ready, or a context switch; neither: another event.</summary>
    /// <param name="time">Of that event.</param>
    /// <param name="tid">Whose stack it is: of a context switch, the thread that got the processor.</param>
    /// <param name="processor">Where that event was logged too.</param>
    private (FollowedReady? Ready, FollowedThread? Thread) OwnerOf(double time, int tid, int processor)
    {
        if (processor < _readies.Count)
            foreach (var ready in _readies[processor])
                if (ready is { Stack: null } && ready.At == time) return (ready, null);
        return (null, _threads.TryGetValue(tid, out var thread) && thread.InAt == time ? thread : null);
    }

    /// <param name="frames">Innermost first, the kernel's before those of user mode, which nobody asks for.</param>
    /// <param name="ready">Whose it is, or</param>
    /// <param name="thread">whose.</param>
    private void Keep(ReadOnlySpan<ulong> frames, FollowedReady? ready, FollowedThread? thread)
    {
        var kernel = 0;
        while (kernel < frames.Length && new KernelAddress(frames[kernel]).IsKernel) kernel++;
        if (kernel == 0) return;
        if (ready is not null) ready.Stack = frames[..kernel].ToArray();
        if (thread is null) return;
        SawStacks = true;
        thread.SwitchedInWith(frames[..kernel]);
    }

    // Drivers.

    private void Call(DriverMajorFunctionCallTraceData data)
    {
        At(data.TimeStampRelativeMSec);
        SawDrivers = true;
        var by = By(data.ThreadID, data.ProcessorNumber);
        var major = (IrpMajor)data.MajorFunction;
        var irp = data.Irp;
        // Sent down a device stack, an IRP keeps its file object and its request; one that is completed has left.
        if (!_requests.TryGetValue(irp, out var request) || request.File != data.FileKey || request.Major != major)
            _requests[irp] = request = new FollowedRequest(irp, by, major, data.FileKey, data.TimeStampRelativeMSec);
        request.SentTo(data.RoutineAddr);
        by?.Call((uint)data.UniqMatchID, request, data.RoutineAddr);
        if (major == IrpMajor.Cleanup && by?.Process is { Asked: not null, Ended: null } process) process.CleanedUp.TryAdd(data.FileKey, data.TimeStampRelativeMSec);
    }

    private void Return(int tid, int processor, uint id) => By(tid, processor)?.Return(id);

    private void Complete(DriverCompleteRequestTraceData data)
    {
        At(data.TimeStampRelativeMSec);
        SawDrivers = true;
        if (!_requests.Remove(data.Irp, out var request)) return;
        request.Complete(data.TimeStampRelativeMSec, By(data.ThreadID, data.ProcessorNumber));
        _completing[data.Irp] = request;
        request.Owner?.Process?.Complete(request);
    }

    private void RunCompletionRoutine(DriverCompletionRoutineTraceData data)
    {
        if (_completing.TryGetValue(data.IrpPtr, out var request) && request.Owner is { } owner) owner.SawCompletionRoutine = true;
    }
}
