using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Asynchronous procedure calls: how an IRP's completion and a thread's end reach the thread.</summary>
internal static partial class Ke
{
    private const byte ApcType = 0x12;
    private const byte KernelApcInProgress = 1;

    private static void DefineApcs(NtRoutines nt)
    {
        nt.Trap("KiApcInterrupt", ApcInterrupt, ApcInterrupt, ExitToUser);
        // Locals: 0 the APC, 1..4 the values a kernel routine may change: normal routine, context, two arguments.
        nt.Add("KiDeliverApc", 6, p => p.Goto(1), DeliverKernelApc, KernelRoutineReturned, NormalRoutineReturned, DeliverUserApc, UserKernelRoutineReturned);
        nt.Add("KeInitializeApc", InitializeApc);
        nt.Add("KeInsertQueueApc", InsertQueueApc);
        nt.Add("KeRemoveQueueApc", RemoveQueueApc);
        nt.Add("KeEnterCriticalRegion", p => ChangeDisable(p, -1, 0));
        nt.Add("KeLeaveCriticalRegion", p => ChangeDisable(p, +1, 0));
        nt.Add("KeEnterGuardedRegion", p => ChangeDisable(p, 0, -1));
        nt.Add("KeLeaveGuardedRegion", p => ChangeDisable(p, 0, +1));
        nt.Add("KeAreApcsDisabled", p => p.Return(p.CurrentThread.KernelApcDisable != 0 || p.CurrentThread.SpecialApcDisable != 0));
        nt.Add("KeAreAllApcsDisabled", p => p.Return(p.CurrentThread.SpecialApcDisable != 0 || p.Irql >= ApcLevel));
        nt.Add("KeAlertThread", AlertThread);
        nt.Add("KeTestAlertThread", TestAlert);
    }

    /// <summary>Fills in a KAPC.</summary>
    public static void Initialize(Apc apc, Structures.Thread thread, ulong kernelRoutine, ulong rundownRoutine, ulong normalRoutine, ProcessorMode mode, ulong normalContext)
    {
        apc.Type = ApcType;
        apc.StructureSize = Apc.Size;
        apc.Thread = thread;
        apc.KernelRoutine = kernelRoutine;
        apc.RundownRoutine = rundownRoutine;
        apc.NormalRoutine = normalRoutine;
        apc.ApcMode = normalRoutine == 0 ? ProcessorMode.KernelMode : mode;
        apc.NormalContext = normalRoutine == 0 ? 0 : normalContext;
        apc.Inserted = false;
    }

    /// <summary>Queues an APC and, where its kind may, breaks the thread's wait. <paramref name="first"/>: the exit APC goes before all others.</summary>
    public static bool Insert(Machine machine, Apc apc, ulong argument1, ulong argument2, bool first = false)
    {
        var thread = apc.Thread;
        if (apc.Inserted || thread.State == ThreadState.Terminated) return false;
        apc.SystemArgument1 = argument1;
        apc.SystemArgument2 = argument2;
        apc.Inserted = true;
        var state = thread.ApcState;
        var list = state.List(apc.ApcMode);
        if (first) list.InsertHead(apc.ApcListEntry);
        else if (apc.NormalRoutine == 0) InsertBeforeNormal(list, apc);
        else list.InsertTail(apc.ApcListEntry);

        if (apc.ApcMode == ProcessorMode.KernelMode)
        {
            state.KernelApcPending = true;
            if (thread.State == ThreadState.Waiting)
            {
                if (thread.WaitIrql == PassiveLevel && CanDeliver(thread, apc)) Unwait(machine, thread, NtStatus.KernelApc);
            }
            else
            {
                RequestApc(machine, thread);
            }
        }
        else
        {
            if (first) state.UserApcPending = true;
            if (thread.State == ThreadState.Waiting && thread.WaitMode == ProcessorMode.UserMode && (thread.Alertable || state.UserApcPending))
            {
                state.UserApcPending = true;
                Unwait(machine, thread, NtStatus.UserApc);
            }
        }
        return true;
    }

    /// <summary>Special kernel APCs stand before normal ones, in order among themselves.</summary>
    private static void InsertBeforeNormal(ListHead list, Apc apc)
    {
        var before = list.Flink;
        while (before != list.Address && new Apc(list.Memory, before - 0x10).NormalRoutine == 0) before = list.Memory.ReadU64(before);
        new ListHead(list.Memory, before).InsertTail(apc.ApcListEntry);
    }

    private static bool CanDeliver(Structures.Thread thread, Apc apc)
    {
        if (thread.SpecialApcDisable != 0) return false;
        if (apc.NormalRoutine == 0) return true;
        return thread.KernelApcDisable == 0 && (thread.ApcState.InProgressFlags & KernelApcInProgress) == 0;
    }

    private static void RequestApc(Machine machine, Structures.Thread thread)
    {
        foreach (var p in machine.Processors)
            if (p.CurrentThread.Address == thread.Address) p.Request(ApcLevel);
    }

    private static Next ApcInterrupt(Processor p)
    {
        p.Irql = ApcLevel;
        return p.Call("KiDeliverApc", 2, (ulong)ProcessorMode.KernelMode, 0, 0);
    }

    // KiDeliverApc(PreviousMode, ExceptionFrame, TrapFrame), entered at APC_LEVEL.
    private static Next DeliverKernelApc(Processor p)
    {
        var thread = p.CurrentThread;
        var state = thread.ApcState;
        var list = state.List(ProcessorMode.KernelMode);
        state.KernelApcPending = false;
        if (list.IsEmpty || thread.SpecialApcDisable != 0)
        {
            state.KernelApcPending = !list.IsEmpty;
            return FinishKernelApcs(p);
        }
        var apc = new Apc(p.Memory, list.Flink - 0x10);
        if (!CanDeliver(thread, apc))
        {
            state.KernelApcPending = true;
            return FinishKernelApcs(p);
        }
        return CallKernelRoutine(p, apc, 2);
    }

    private static Next CallKernelRoutine(Processor p, Apc apc, int then)
    {
        apc.ApcListEntry.Remove();
        apc.Inserted = false;
        p[1] = apc.NormalRoutine;
        p[2] = apc.NormalContext;
        p[3] = apc.SystemArgument1;
        p[4] = apc.SystemArgument2;
        return p.Call(apc.KernelRoutine, then, apc.Address, p.LocalAddress(1), p.LocalAddress(2), p.LocalAddress(3), p.LocalAddress(4));
    }

    private static Next KernelRoutineReturned(Processor p)
    {
        if (p[1] == 0) return p.Goto(1);
        var state = p.CurrentThread.ApcState;
        state.InProgressFlags |= KernelApcInProgress;
        p.Irql = PassiveLevel;
        return p.Call(p[1], 3, p[2], p[3], p[4]);
    }

    private static Next NormalRoutineReturned(Processor p)
    {
        p.Irql = ApcLevel;
        var state = p.CurrentThread.ApcState;
        state.InProgressFlags &= unchecked((byte)~KernelApcInProgress);
        return p.Goto(1);
    }

    private static Next FinishKernelApcs(Processor p) => (ProcessorMode)p.Arg8(0) == ProcessorMode.UserMode ? p.Goto(4) : p.Return();

    private static Next DeliverUserApc(Processor p)
    {
        var state = p.CurrentThread.ApcState;
        var list = state.List(ProcessorMode.UserMode);
        if (!state.UserApcPending || list.IsEmpty)
        {
            state.UserApcPending = false;
            return p.Return();
        }
        state.UserApcPending = false;
        return CallKernelRoutine(p, new Apc(p.Memory, list.Flink - 0x10), 5);
    }

    private static Next UserKernelRoutineReturned(Processor p) =>
        p[1] == 0 ? p.Return() : throw new UnmodelledException("user APC routine", "a client of a story has no user-mode code that an APC could call");

    private static Next InitializeApc(Processor p)
    {
        // KeInitializeApc(Apc, Thread, Environment, KernelRoutine, RundownRoutine, NormalRoutine, Mode, NormalContext)
        Initialize(new Apc(p.Memory, p.Arg(0)), new Structures.Thread(p.Memory, p.Arg(1)), p.Arg(3), p.Arg(4), p.Arg(5), (ProcessorMode)p.Arg8(6), p.Arg(7));
        return p.Return();
    }

    private static Next InsertQueueApc(Processor p) => p.Return(Insert(p.Machine, new Apc(p.Memory, p.Arg(0)), p.Arg(1), p.Arg(2)));

    private static Next RemoveQueueApc(Processor p)
    {
        var apc = new Apc(p.Memory, p.Arg(0));
        if (!apc.Inserted) return p.Return(false);
        apc.ApcListEntry.Remove();
        apc.Inserted = false;
        return p.Return(true);
    }

    private static Next ChangeDisable(Processor p, short kernel, short special)
    {
        var thread = p.CurrentThread;
        thread.KernelApcDisable += kernel;
        thread.SpecialApcDisable += special;
        RequestApcsAgain(p, thread);
        return p.Return();
    }

    /// <summary>A region was left or a mutex released: what it kept away is tried again. In a critical region special APCs still come.</summary>
    private static void RequestApcsAgain(Processor p, Structures.Thread thread)
    {
        if (thread.SpecialApcDisable != 0 || thread.ApcState.List(ProcessorMode.KernelMode).IsEmpty) return;
        var state = thread.ApcState;
        state.KernelApcPending = true;
        p.Request(ApcLevel);
    }

    private static Next AlertThread(Processor p)
    {
        var thread = new Structures.Thread(p.Memory, p.Arg(0));
        var mode = (ProcessorMode)p.Arg8(1);
        var was = mode == ProcessorMode.UserMode ? thread.AlertedUserMode : thread.AlertedKernelMode;
        if (thread.State == ThreadState.Waiting && thread.Alertable && mode <= thread.WaitMode) Unwait(p.Machine, thread, NtStatus.Alerted);
        else if (mode == ProcessorMode.UserMode) thread.AlertedUserMode = 1;
        else thread.AlertedKernelMode = 1;
        return p.Return(was);
    }

    private static Next TestAlert(Processor p)
    {
        var thread = p.CurrentThread;
        var mode = (ProcessorMode)p.Arg8(0);
        var was = mode == ProcessorMode.UserMode ? thread.AlertedUserMode : thread.AlertedKernelMode;
        if (mode == ProcessorMode.UserMode) thread.AlertedUserMode = 0;
        else thread.AlertedKernelMode = 0;
        return p.Return(was);
    }
}
