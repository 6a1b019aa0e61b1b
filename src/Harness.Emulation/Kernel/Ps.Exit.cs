using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// How a process ends. TerminateProcess only asks: an exit APC goes to each thread, and each thread ends itself on its way to user mode.
/// A thread that never gets there never ends. (Order of PspExitThread: facts on ReactOS' ps/kill.c and Windows Internals 6, ch. 5 and 8.)
/// </summary>
internal static partial class Ps
{
    private static void DefineExit(NtRoutines nt)
    {
        // Local 0: the process.
        nt.Add("NtTerminateProcess", 1, TerminateProcess, SelfTerminated);
        nt.Add("NtTerminateThread", TerminateThread, SelfTerminated);
        nt.Add("PsTerminateSystemThread", p => p.CurrentThread.IsSystemThread ? p.Call("PspExitThread", 1, p.Arg(0)) : p.Return(NtStatus.InvalidParameter), SelfTerminated);
        nt.Add("PsExitSpecialApc", ExitSpecialApc, p => p.Return());
        nt.Add("PspExitNormalApc", ExitNormalApc);
        nt.Add("PspExitThread", 2, ExitThread, AwaitOtherThreads, OtherThreadEnded, CancelIo, IoIsCancelled, HandlesAreClosed);
        nt.Add("PspRundownSingleProcess", p => p.Call("ObKillProcess", 1, p.Arg(0)), p => p.Return());
    }

    private static Next TerminateProcess(Processor p)
    {
        // NtTerminateProcess(ProcessHandle, ExitStatus)
        var status = Ob.FromHandle(p, p.Arg(0) == 0 ? ulong.MaxValue : p.Arg(0), Ob.ProcessType, out var body, out _);
        if (status.IsError) return p.Return(status);
        var process = new Structures.Process(p.Memory, body);
        var self = false;
        if (process.Header.SignalState != 0)
        {
            status = NtStatus.ProcessIsTerminating;
        }
        else
        {
            p.Machine.Trace?.TerminateRequested(process);
            process.Flags |= Structures.Process.FlagDelete;
            foreach (var entry in process.ThreadListHead.Entries())
            {
                var thread = new Structures.Thread(p.Memory, entry - 0x4E8);
                if (thread.Address == p.CurrentThread.Address) self = true;
                else TerminateThread(p.Machine, thread, new NtStatus(p.Arg32(1)));
            }
            p.Machine.Log(new TerminateRequested(p.Machine.ProcessName(process), (int)process.UniqueProcessId, NtStatus.Success));
        }
        Ob.DereferenceNow(p.Machine, body);
        if (!self) return p.Return(status);
        var current = p.CurrentThread;
        current.CrossThreadFlags |= 1;
        return p.Call("PspExitThread", 1, p.Arg(1));
    }

    /// <summary>PspTerminateThreadByPointer for another thread: a kernel APC that turns itself into the user APC which ends the thread.</summary>
    private static void TerminateThread(Machine machine, Structures.Thread thread, NtStatus status)
    {
        if (thread.Terminated || thread.State == ThreadState.Terminated) return;
        thread.CrossThreadFlags |= 1;
        var apc = new Apc(machine.Memory, Ex.Allocate(machine, Ex.NonPaged, Apc.Size, "PsAp"));
        Ke.Initialize(apc, thread, NtImage.Instance["PsExitSpecialApc"], 0, NtImage.Instance["PspExitNormalApc"], ProcessorMode.KernelMode, status.Value);
        Ke.Insert(machine, apc, apc.Address, 0);
    }

    private static Next TerminateThread(Processor p)
    {
        var handle = p.Arg(0) == 0 ? ulong.MaxValue - 1 : p.Arg(0);
        var status = Ob.FromHandle(p, handle, Ob.ThreadType, out var body, out _);
        if (status.IsError) return p.Return(status);
        var thread = new Structures.Thread(p.Memory, body);
        Ob.DereferenceNow(p.Machine, body);
        if (body != p.CurrentThread.Address)
        {
            TerminateThread(p.Machine, thread, new NtStatus(p.Arg32(1)));
            return p.Return(NtStatus.Success);
        }
        thread.CrossThreadFlags |= 1;
        return p.Call("PspExitThread", 1, p.Arg(1));
    }

    private static Next SelfTerminated(Processor p) => throw new InvalidOperationException("PspExitThread came back");

    // PsExitSpecialApc(Apc, NormalRoutine*, NormalContext*, SystemArgument1*, SystemArgument2*): SystemArgument2 is null the first time, as a kernel APC.
    private static Next ExitSpecialApc(Processor p)
    {
        if (p.Memory.ReadU64(p.Arg(4)) == 0) return p.Return();
        var status = p.Memory.ReadU64(p.Arg(2));
        Ex.Free(p.Machine, p.Arg(0));
        p.Irql = Ke.PassiveLevel;
        return p.Call("PspExitThread", 1, status);
    }

    // PspExitNormalApc(NormalContext, SystemArgument1, SystemArgument2): SystemArgument1 is the APC.
    private static Next ExitNormalApc(Processor p)
    {
        var apc = new Apc(p.Memory, p.Arg(1));
        Ke.Initialize(apc, p.CurrentThread, NtImage.Instance["PsExitSpecialApc"], 0, NtImage.Instance["PspExitNormalApc"], ProcessorMode.UserMode, p.Arg(0));
        Ke.Insert(p.Machine, apc, apc.Address, 1, first: true);
        return p.Return();
    }

    // PspExitThread(ExitStatus). Locals: 0 this is the last thread of its process, 1 a thread it waits for.
    private static Next ExitThread(Processor p)
    {
        var thread = p.CurrentThread;
        if (thread.KernelApcDisable != 0 || thread.SpecialApcDisable != 0 || p.Irql != Ke.PassiveLevel)
            // KERNEL_APC_PENDING_DURING_EXIT: a driver left a critical region entered or the IRQL raised.
            throw new BugCheckException(0x20, 0, (ulong)(ushort)thread.KernelApcDisable, p.Irql, 0);
        var process = thread.Process;
        thread.CrossThreadFlags |= 1;
        process.ActiveThreads--;
        p[0] = process.ActiveThreads == 0 && !thread.IsSystemThread ? 1ul : 0;
        if (p[0] != 0)
        {
            process.Flags |= Structures.Process.FlagDelete;
            if (process.ExitStatus == NtStatus.Pending) process.ExitStatus = new NtStatus(p.Arg32(0));
        }
        return p.Goto(1);
    }

    /// <summary>The last thread goes on when all others have ended: one of them may still wait for its I/O in IoCancelThreadIo.</summary>
    private static Next AwaitOtherThreads(Processor p)
    {
        if (p[0] == 0) return p.Goto(3);
        foreach (var entry in p.CurrentThread.Process.ThreadListHead.Entries())
        {
            var other = new Structures.Thread(p.Memory, entry - 0x4E8);
            if (other.Address == p.CurrentThread.Address || other.Header.SignalState != 0) continue;
            Ob.Reference(p.Memory, other.Address);
            p[1] = other.Address;
            return p.Call("KeWaitForSingleObject", 2, other.Address, (ulong)WaitReason.Executive, (ulong)ProcessorMode.KernelMode, 0, 0);
        }
        return p.Goto(3);
    }

    private static Next OtherThreadEnded(Processor p)
    {
        Ob.DereferenceNow(p.Machine, p[1]);
        return p.Goto(1);
    }

    private static Next CancelIo(Processor p) => p.Call("IoCancelThreadIo", 4, p.CurrentThread.Address);

    private static Next IoIsCancelled(Processor p)
    {
        p.Machine.Trace?.ThreadEnded(p.CurrentThread);
        if (p[0] == 0) return p.Goto(5);
        var process = p.CurrentThread.Process;
        process.Flags |= Structures.Process.FlagExiting;
        return p.Call("PspRundownSingleProcess", 5, process.Address);
    }

    private static Next HandlesAreClosed(Processor p)
    {
        var machine = p.Machine;
        var thread = p.CurrentThread;
        var process = thread.Process;
        thread.ExitStatus = new NtStatus(p.Arg32(0));
        thread.ExitTime = Machine.BootTime + NtData.InterruptTime(p.Memory);
        var name = machine.ProcessName(process);
        if (p[0] != 0) Mm.RequireUnlocked(machine, process);
        var apcs = thread.ApcState;
        if (!apcs.List(ProcessorMode.KernelMode).IsEmpty) throw new BugCheckException(0x20, apcs.List(ProcessorMode.KernelMode).Flink - 0x10, 0, p.Irql, 1);
        foreach (var entry in apcs.List(ProcessorMode.UserMode).Entries()) new ListHead(p.Memory, entry).Remove();
        if (p[0] != 0)
        {
            process.ExitTime = thread.ExitTime;
            machine.Trace?.ProcessEnded(process);
            Signal(machine, process.Header);
        }
        thread.State = ThreadState.Terminated;
        thread.WaitReason = WaitReason.WrTerminated;
        Signal(machine, thread.Header);
        if (!thread.IsSystemThread) machine.Log(new ThreadEnded(name, (int)process.UniqueProcessId, (int)thread.UniqueThread));
        if (p[0] != 0) machine.Log(new ProcessEnded(name, (int)process.UniqueProcessId, process.ExitStatus));

        // The processor leaves this stack for good, and only then the thread's own references go.
        var last = p[0] != 0;
        var next = Ke.Load(p, thread);
        Ob.DereferenceNow(machine, thread.Address);
        if (last) Ob.DereferenceNow(machine, process.Address);
        return next;
    }

    private static void Signal(Machine machine, DispatcherHeader header)
    {
        header.SignalState = 1;
        Ke.SatisfyWaits(machine, header);
    }
}
