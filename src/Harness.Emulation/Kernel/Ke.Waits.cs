using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Waiting for dispatcher objects: the whole wait is in the thread's wait blocks and on its stack.</summary>
internal static partial class Ke
{
    private const int TimerWaitBlock = 3;
    private const byte WaitAll = 0, WaitAny = 1, BlockActive = 4, BlockInactive = 5;

    private static void DefineWaits(NtRoutines nt)
    {
        // Local 0: due time. The steps: begin, try, resumed.
        nt.Add("KeWaitForSingleObject", 1, BeginWaitForSingle, TryWaitForSingle, SingleWaitResumed);
        nt.Add("KeWaitForMutexObject", 1, BeginWaitForSingle, TryWaitForSingle, SingleWaitResumed);
        nt.Add("KeWaitForMultipleObjects", 1, BeginWaitForMultiple, TryWaitForMultiple, MultipleWaitResumed);
        nt.Add("KeDelayExecutionThread", 1, BeginDelay, TryDelay, DelayResumed, p => p.Return(NtStatus.Success));
    }

    /// <summary>Reads a time-out parameter: 0 = wait for ever, 1 = do not wait, else interrupt time in 100 ns units.</summary>
    public static ulong DueTime(Processor p, ulong timeout)
    {
        if (timeout == 0) return 0;
        return DueTimeOf(p.Machine, (long)p.Memory.ReadU64(timeout));
    }

    /// <summary>Negative: from now. Positive: absolute system time.</summary>
    public static ulong DueTimeOf(Machine machine, long time)
    {
        if (time == 0) return 1;
        var now = NtData.InterruptTime(machine.Memory);
        if (time < 0) return now + (ulong)-time;
        var since = time - (long)Machine.BootTime;
        return since <= 1 ? 1 : (ulong)since;
    }

    private static void RequireWaitableLevel(Processor p, ulong due)
    {
        // wdm.h: a wait with a time-out other than zero needs IRQL < DISPATCH_LEVEL; the scheduler stops the machine at 0xB8.
        if (p.Irql >= DispatchLevel && due != 1) throw new BugCheckException(0xB8, p.CurrentThread.Address, 0, 0, 0);
    }

    private static Next BeginWaitForSingle(Processor p)
    {
        p[0] = DueTime(p, p.Arg(4));
        RequireWaitableLevel(p, p[0]);
        return p.Goto(1);
    }

    private static Next TryWaitForSingle(Processor p)
    {
        var thread = p.CurrentThread;
        var header = new DispatcherHeader(p.Memory, p.Arg(0));
        if (IsSignalledFor(header, thread)) return p.Return(Consume(header, thread));
        var mode = (ProcessorMode)p.Arg8(2);
        if (EndsAtOnce(p, thread, mode, alertable: p.Arg8(3) != 0, p[0], out var status)) return p.Return(status);
        Enlist(thread.WaitBlock(0), thread, header, WaitAny, 0);
        return Block(p, thread, thread.WaitBlock(0).Address, 1, (WaitReason)p.Arg8(1), mode, p.Arg8(3) != 0, p[0]);
    }

    private static Next SingleWaitResumed(Processor p) => p.ResultStatus == NtStatus.KernelApc ? p.Goto(1) : p.Return(p.Result);

    // KeWaitForMultipleObjects(Count, Object[], WaitType, WaitReason, WaitMode, Alertable, Timeout, WaitBlockArray)
    private static Next BeginWaitForMultiple(Processor p)
    {
        p[0] = DueTime(p, p.Arg(6));
        RequireWaitableLevel(p, p[0]);
        var most = p.Arg(7) == 0 ? 3u : 64u;
        if (p.Arg32(0) == 0 || p.Arg32(0) > most) throw new BugCheckException(0xC, 0, 0, 0, 0);
        return p.Goto(1);
    }

    private static Next TryWaitForMultiple(Processor p)
    {
        var thread = p.CurrentThread;
        var count = (int)p.Arg32(0);
        var all = p.Arg32(2) == WaitAll;
        var signalled = 0;
        for (var i = 0; i < count; i++)
        {
            if (!IsSignalledFor(MultipleObject(p, i), thread)) continue;
            if (!all) return p.Return((ulong)i + Consume(MultipleObject(p, i), thread).Value);
            signalled++;
        }
        if (all && signalled == count)
        {
            for (var i = 0; i < count; i++) Consume(MultipleObject(p, i), thread);
            return p.Return(NtStatus.Success);
        }
        var mode = (ProcessorMode)p.Arg8(4);
        if (EndsAtOnce(p, thread, mode, alertable: p.Arg8(5) != 0, p[0], out var status)) return p.Return(status);
        var blocks = p.Arg(7) == 0 ? thread.WaitBlock(0).Address : p.Arg(7);
        for (var i = 0; i < count; i++)
            Enlist(new WaitBlock(p.Memory, blocks + ((ulong)i * WaitBlock.Size)), thread, MultipleObject(p, i), all ? WaitAll : WaitAny, (ushort)i);
        return Block(p, thread, blocks, count, (WaitReason)p.Arg8(3), mode, p.Arg8(5) != 0, p[0]);
    }

    private static DispatcherHeader MultipleObject(Processor p, int index) => new(p.Memory, p.Memory.ReadU64(p.Arg(1) + ((ulong)index * 8)));

    private static Next MultipleWaitResumed(Processor p) => p.ResultStatus == NtStatus.KernelApc ? p.Goto(1) : p.Return(p.Result);

    // KeDelayExecutionThread(WaitMode, Alertable, Interval)
    private static Next BeginDelay(Processor p)
    {
        p[0] = DueTime(p, p.Arg(2));
        RequireWaitableLevel(p, 0);
        return p.Goto(1);
    }

    private static Next TryDelay(Processor p)
    {
        var thread = p.CurrentThread;
        var mode = (ProcessorMode)p.Arg8(0);
        if (EndsAtOnce(p, thread, mode, alertable: p.Arg8(1) != 0, p[0], out var status))
        {
            if (status != NtStatus.Timeout) return p.Return(status);
            // An interval that is over already gives the processor to whoever has the same priority.
            return p.Call("KiDispatchYield", 3);
        }
        return Block(p, thread, thread.WaitBlock(TimerWaitBlock).Address, 0, WaitReason.DelayExecution, mode, p.Arg8(1) != 0, p[0]);
    }

    private static Next DelayResumed(Processor p)
    {
        if (p.ResultStatus == NtStatus.KernelApc) return p.Goto(1);
        return p.Return(p.ResultStatus == NtStatus.Timeout ? NtStatus.Success : p.ResultStatus);
    }

    /// <summary>What ends a wait before it begins: alerts and user APCs where the wait lets them, a time-out that has passed.</summary>
    private static bool EndsAtOnce(Processor p, Structures.Thread thread, ProcessorMode mode, bool alertable, ulong due, out NtStatus status)
    {
        status = NtStatus.Success;
        var apcs = thread.ApcState;
        if (alertable)
        {
            var alerted = mode == ProcessorMode.UserMode ? thread.AlertedUserMode : thread.AlertedKernelMode;
            if (alerted != 0)
            {
                if (mode == ProcessorMode.UserMode) thread.AlertedUserMode = 0;
                else thread.AlertedKernelMode = 0;
                status = NtStatus.Alerted;
                return true;
            }
            if (mode == ProcessorMode.UserMode && !apcs.List(ProcessorMode.UserMode).IsEmpty)
            {
                apcs.UserApcPending = true;
                status = NtStatus.UserApc;
                return true;
            }
        }
        else if (mode == ProcessorMode.UserMode && apcs.UserApcPending)
        {
            // The exit APC of a terminated thread ends every user-mode wait. A kernel-mode wait knows nothing of it.
            status = NtStatus.UserApc;
            return true;
        }
        if (due != 0 && due <= NtData.InterruptTime(p.Memory) + (due == 1 ? 1ul : 0))
        {
            status = NtStatus.Timeout;
            return true;
        }
        return false;
    }

    private static void Enlist(WaitBlock block, Structures.Thread thread, DispatcherHeader header, byte type, ushort key)
    {
        block.WaitType = type;
        block.BlockState = BlockActive;
        block.WaitKey = key;
        block.Thread = thread;
        block.Object = header;
        header.WaitListHead.InsertTail(block.WaitListEntry);
    }

    private static Next Block(Processor p, Structures.Thread thread, ulong blocks, int count, WaitReason reason, ProcessorMode mode, bool alertable, ulong due)
    {
        var timed = thread.WaitBlock(TimerWaitBlock);
        timed.BlockState = BlockInactive;
        if (due != 0)
        {
            var timer = thread.Timer;
            timer.Header.Initialize(DispatcherType.NotificationTimer, Structures.Timer.Size, 0);
            timer.Dpc = 0;
            timer.Period = 0;
            Enlist(timed, thread, timer.Header, WaitAny, (ushort)NtStatus.Timeout.Value);
            Insert(p.Machine, timer, due);
        }
        thread.WaitBlockList = blocks;
        thread.WaitBlockCount = (byte)count;
        thread.State = ThreadState.Waiting;
        thread.WaitReason = reason;
        thread.WaitMode = mode;
        thread.Alertable = alertable;
        thread.WaitIrql = p.Irql;
        thread.CurrentRunTime = 0;
        thread.WaitTime = (uint)(NtData.InterruptTime(p.Memory) / Machine.TickLength);
        p.Irql = DispatchLevel;
        return p.Call("KiCommitThreadWait", 2, thread.Address);
    }

    /// <summary>Who waits for what: every thread of every process.</summary>
    public static IEnumerable<(Structures.Thread Thread, ulong Object)> Waits(GuestMemory m)
    {
        foreach (var thread in Ps.Threads(m))
            for (var i = 0; thread.State == ThreadState.Waiting && i < thread.WaitBlockCount; i++)
                yield return (thread, new WaitBlock(m, thread.WaitBlockList + ((ulong)i * WaitBlock.Size)).Object.Address);
    }

    /// <summary>Ends a thread's wait with this status and makes it ready.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="thread">Whose wait.</param>
    /// <param name="status">What the wait returns.</param>
    /// <param name="byClock">Because a timer expired.</param>
    public static void Unwait(Machine machine, Structures.Thread thread, NtStatus status, bool byClock = false)
    {
        for (var i = 0; i < thread.WaitBlockCount; i++)
        {
            var block = new WaitBlock(thread.Memory, thread.WaitBlockList + ((ulong)i * WaitBlock.Size));
            if (block.BlockState != BlockActive) continue;
            block.WaitListEntry.Remove();
            block.BlockState = BlockInactive;
        }
        var timed = thread.WaitBlock(TimerWaitBlock);
        if (timed.BlockState == BlockActive)
        {
            timed.WaitListEntry.Remove();
            timed.BlockState = BlockInactive;
            Remove(thread.Timer);
        }
        thread.WaitStatus = status.Value;
        machine.Trace?.Unwaited(thread, byClock);
        Ready(machine, thread);
    }

    /// <summary>An object became signalled: satisfies the waits on it, in order, as long as it stays signalled.</summary>
    public static void SatisfyWaits(Machine machine, DispatcherHeader header)
    {
        // Nothing but its expiration signals a timer.
        var byClock = header.Type is DispatcherType.NotificationTimer or DispatcherType.SynchronizationTimer;
        // A thread may wait for one object with several blocks, and all go with its wait: after each one the list is read anew.
        while (FirstSatisfied(header) is { IsNull: false } block)
        {
            var thread = block.Thread;
            if (block.WaitType == WaitAny)
            {
                var consumed = Consume(header, thread);
                Unwait(machine, thread, new NtStatus(block.WaitKey + consumed.Value), byClock);
            }
            else
            {
                for (var i = 0; i < thread.WaitBlockCount; i++) Consume(new WaitBlock(header.Memory, thread.WaitBlockList + ((ulong)i * WaitBlock.Size)).Object, thread);
                Unwait(machine, thread, NtStatus.Success, byClock);
            }
        }
    }

    private static WaitBlock FirstSatisfied(DispatcherHeader header)
    {
        foreach (var entry in header.WaitListHead.Entries())
        {
            var block = new WaitBlock(header.Memory, entry);
            if (IsSignalledFor(header, block.Thread) && (block.WaitType == WaitAny || AllSignalled(block.Thread))) return block;
        }
        return default;
    }

    private static bool AllSignalled(Structures.Thread thread)
    {
        for (var i = 0; i < thread.WaitBlockCount; i++)
            if (!IsSignalledFor(new WaitBlock(thread.Memory, thread.WaitBlockList + ((ulong)i * WaitBlock.Size)).Object, thread)) return false;
        return true;
    }

    private static bool IsSignalledFor(DispatcherHeader header, Structures.Thread thread)
    {
        if (header.SignalState > 0) return true;
        return header.Type == DispatcherType.Mutant && MutantOwner(header) == thread.Address;
    }

    /// <summary>What a satisfied wait does to the object (side effects of KeWaitForXxx, learn.microsoft.com).</summary>
    private static NtStatus Consume(DispatcherHeader header, Structures.Thread thread)
    {
        switch (header.Type)
        {
            case DispatcherType.SynchronizationEvent:
            case DispatcherType.SynchronizationTimer:
                header.SignalState = 0;
                break;
            case DispatcherType.Semaphore:
            case DispatcherType.Queue:
                header.SignalState--;
                break;
            case DispatcherType.Mutant:
                return AcquireMutant(header, thread);
            default:
                break;
        }
        return NtStatus.Success;
    }
}
