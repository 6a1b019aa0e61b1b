using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Which thread runs, and how one stops and another goes on: its state is all on its own kernel stack.</summary>
internal static partial class Ke
{
    /// <summary>
    /// The least that a thread executes before another of its priority may follow. A quantum of Windows is longer, but what is left of it when
    /// driver code begins may be anything.
    /// </summary>
    private const uint Quantum = 20_000;

    private static Routine SwapContextRoutine => NtImage.Instance.RoutineOf("KiSwapContext");

    private static void DefineSwitching(NtRoutines nt)
    {
        nt.Switch("KiSwapContext", SwapContext, SwapContextResumed);
        nt.Add("KiSwapThread", p => p.Call("KiSwapContext", 1), SwapThreadResumed);
        nt.Add("KiCommitThreadWait", p => p.Call("KiSwapThread", 1), p => p.Return(p.CurrentThread.WaitStatus));
        nt.Add("KiStartSystemThread", 2, NeverEntered, StartSystemThread, SystemThreadReturned);
        nt.Trap("KiStartUserThread", NeverEntered, StartUserThread, ExitToUser);
        nt.Add("KiIdleLoop", 1, NeverEntered, Idle);
        nt.Add("NtYieldExecution", p => p.Call("KiDispatchYield", 1), p => p.Return(NtStatus.Success));
        nt.Add("KiDispatchYield", Yield, YieldResumed);
    }

    public static Next NeverEntered(Processor p) => throw new InvalidOperationException($"nt!{p.RoutineName} is not called, it is returned to");

    /// <summary>Makes a thread ready to run, at the end of its priority's list, and asks processors to look.</summary>
    public static void Ready(Machine machine, Structures.Thread thread, bool first = false)
    {
        var m = machine.Memory;
        thread.State = ThreadState.Ready;
        var list = NtData.ReadyList(m, thread.Priority);
        if (first) list.InsertHead(thread.WaitListEntry);
        else list.InsertTail(thread.WaitListEntry);
        NtData.SetReadySet(m, NtData.ReadySet(m) | 1ul << thread.Priority);
        foreach (var p in machine.Processors)
        {
            if (p.Halted) p.Halted = false;
            else if (p.CurrentThread.Priority < thread.Priority) p.Request(DispatchLevel);
        }
    }

    private static int HighestReady(GuestMemory m)
    {
        var set = NtData.ReadySet(m);
        return set == 0 ? -1 : 63 - System.Numerics.BitOperations.LeadingZeroCount(set);
    }

    /// <summary>
    /// The next thread to run. One that was made ready while its processor had not yet saved it is not to be had: it goes on where it is saved.
    /// </summary>
    private static bool TryTakeReady(Machine machine, out Structures.Thread thread)
    {
        var m = machine.Memory;
        for (var priority = HighestReady(m); priority >= 0; priority--)
        {
            var list = NtData.ReadyList(m, priority);
            var count = 0;
            for (var e = list.Flink; e != list.Address; e = m.ReadU64(e))
                if (!AtReadyEntry(m, e).Running) count++;
            if (count == 0) continue;
            // Among threads of one priority the seed chooses.
            var skip = machine.Choose(count);
            var entry = list.Flink;
            while (AtReadyEntry(m, entry).Running || skip-- > 0) entry = m.ReadU64(entry);
            thread = AtReadyEntry(m, entry);
            thread.WaitListEntry.Remove();
            if (list.IsEmpty) NtData.SetReadySet(m, NtData.ReadySet(m) & ~(1ul << priority));
            return true;
        }
        thread = default;
        return false;
    }

    private static Structures.Thread AtReadyEntry(GuestMemory m, ulong entry) => new(m, entry - 0xD8);

    /// <summary>Saves the running thread and loads the next one. The saved frame is what a debugger unwinds from.</summary>
    private static Next SwapContext(Processor p)
    {
        ref var r = ref p.Registers;
        var m = p.Memory;
        m.WriteU64(r.Rsp + 0x100, r.Rbx);
        m.WriteU64(r.Rsp + 0x108, r.Rdi);
        m.WriteU64(r.Rsp + 0x110, r.Rsi);
        m.WriteU64(r.Rsp + 0x118, r.R12);
        m.WriteU64(r.Rsp + 0x120, r.R13);
        m.WriteU64(r.Rsp + 0x128, r.R14);
        m.WriteU64(r.Rsp + 0x130, r.R15);
        Span<byte> xmm = stackalloc byte[16];
        for (var i = 6; i < 16; i++)
        {
            Emulation.Cpu.CpuRegisters.ReadXmm(ref r, i, xmm);
            m.Write(r.Rsp + 0x30 + ((ulong)(i - 6) * 0x10), xmm);
        }
        // KSWITCH_FRAME: Rbp at +0x30, Return at +0x38 (Nt/nt-offsets.json).
        m.WriteU64(r.Rsp - 0x10, r.Rbp);
        m.WriteU64(r.Rsp - 0x08, SwapContextRoutine.AddressOf(1));
        var old = p.CurrentThread;
        old.KernelStack = r.Rsp - 0x40;
        return Load(p, old);
    }

    /// <summary>Gives the processor to the next thread; what <paramref name="old"/> left is saved already, or never needed again.</summary>
    public static Next Load(Processor p, Structures.Thread old)
    {
        var m = p.Memory;
        old.Running = false;
        if (!TryTakeReady(p.Machine, out var next)) next = p.IdleThread;
        next.Running = true;
        next.State = ThreadState.Running;
        next.ContextSwitches++;
        next.QuantumTarget = next.CurrentRunTime + Quantum;
        p.CurrentThread = next;
        var process = next.ApcState.Process;
        p.Registers.Cr3 = process.DirectoryTableBase;
        m.Space = process.DirectoryTableBase;
        p.Requested &= unchecked((byte)~(1 << ApcLevel));
        if (next.ApcState.KernelApcPending) p.Request(ApcLevel);
        ref var r = ref p.Registers;
        r.Rsp = next.KernelStack + 0x40;
        r.Rbp = m.ReadU64(next.KernelStack + 0x30);
        r.Rip = m.ReadU64(next.KernelStack + 0x38);
        p.Machine.Trace?.Switched(p, old, next);
        return p.RegistersSet();
    }

    private static Next SwapContextResumed(Processor p)
    {
        ref var r = ref p.Registers;
        var m = p.Memory;
        r.Rbx = m.ReadU64(r.Rsp + 0x100);
        r.Rdi = m.ReadU64(r.Rsp + 0x108);
        r.Rsi = m.ReadU64(r.Rsp + 0x110);
        r.R12 = m.ReadU64(r.Rsp + 0x118);
        r.R13 = m.ReadU64(r.Rsp + 0x120);
        r.R14 = m.ReadU64(r.Rsp + 0x128);
        r.R15 = m.ReadU64(r.Rsp + 0x130);
        Span<byte> xmm = stackalloc byte[16];
        for (var i = 6; i < 16; i++)
        {
            m.Read(r.Rsp + 0x30 + ((ulong)(i - 6) * 0x10), xmm);
            Emulation.Cpu.CpuRegisters.WriteXmm(ref r, i, xmm);
        }
        return p.Return();
    }

    private static Next SwapThreadResumed(Processor p)
    {
        // Lowering the IRQL lets a kernel APC in that ended the wait (STATUS_KERNEL_APC): it runs before the wait is tried again.
        p.Irql = p.CurrentThread.WaitIrql;
        return p.Return();
    }

    /// <summary>Lays out the stack of a thread that has not run yet.</summary>
    public static void PrepareSystemThread(Structures.Thread thread, ulong routine, ulong context)
    {
        var m = thread.Memory;
        var rsp = thread.StackBase - 0x50 - 8 - NtImage.Instance.RoutineOf("KiStartSystemThread").Frame;
        m.WriteU64(rsp + NtImage.OutgoingArguments, routine);
        m.WriteU64(rsp + NtImage.OutgoingArguments + 8, context);
        thread.InitialStack = thread.StackBase - 0x50;
        PrepareSwitch(thread, rsp, NtImage.Instance.RoutineOf("KiStartSystemThread"), 0);
    }

    /// <summary>A user thread's first switch leads through its trap frame to user mode.</summary>
    public static void PrepareUserThread(Structures.Thread thread, ulong rip, ulong rsp)
    {
        thread.InitialStack = thread.StackBase;
        var frame = new TrapFrame(thread.Memory, thread.StackBase - Routine.TrapFrameSize);
        frame.BeginInUserMode(rip, rsp);
        thread.TrapFrame = frame.Address;
        PrepareSwitch(thread, frame.Address - Routine.TrapFrameOffset, NtImage.Instance.RoutineOf("KiStartUserThread"), frame.Address + 0x80);
    }

    /// <summary>The idle thread of a processor begins in its loop.</summary>
    public static void PrepareIdleThread(Structures.Thread thread)
    {
        thread.InitialStack = thread.StackBase - 0x50;
        PrepareSwitch(thread, thread.StackBase - 0x50 - 8 - NtImage.Instance.RoutineOf("KiIdleLoop").Frame, NtImage.Instance.RoutineOf("KiIdleLoop"), 0);
    }

    private static void PrepareSwitch(Structures.Thread thread, ulong body, Routine routine, ulong rbp)
    {
        var m = thread.Memory;
        m.WriteU64(body - 8, routine.AddressOf(1));
        var swap = body - 8 - SwapContextRoutine.Frame;
        thread.KernelStack = swap - 0x40;
        m.WriteU64(thread.KernelStack + 0x30, rbp);
        m.WriteU64(thread.KernelStack + 0x38, SwapContextRoutine.AddressOf(1));
    }

    private static Next StartSystemThread(Processor p)
    {
        p.Irql = PassiveLevel;
        return p.Call(p[0], 2, p[1]);
    }

    private static Next SystemThreadReturned(Processor p) => p.Call("PsTerminateSystemThread", 2, 0);

    private static Next StartUserThread(Processor p)
    {
        p.Irql = PassiveLevel;
        return p.Goto(2);
    }

    /// <summary>A system service has returned: its status goes to the client in RAX.</summary>
    public static Next SystemServiceExit(Processor p)
    {
        var frame = p.TrapFrame;
        var thread = p.CurrentThread;
        // IRQL_GT_ZERO_AT_SYSTEM_SERVICE and APC_INDEX_MISMATCH (bug checks 0x4A and 0x1): what a driver raised or entered and did not leave.
        if (p.Irql != PassiveLevel) throw new BugCheckException(0x4A, frame.Rip, p.Irql, 0, 0);
        if (thread.KernelApcDisable != 0 || thread.SpecialApcDisable != 0)
            throw new BugCheckException(1, frame.Rip, 0, (uint)(ushort)thread.KernelApcDisable | (uint)(ushort)thread.SpecialApcDisable << 16, 0);
        frame.Rax = p.Result;
        return p.Goto(2);
    }

    /// <summary>Last step of every way to user mode: here, and only here, user APCs are delivered, the exit APC among them.</summary>
    public static Next ExitToUser(Processor p)
    {
        var thread = p.CurrentThread;
        if (AddressMap.IsUser(p.TrapFrame.Rip) && thread.ApcState.UserApcPending)
        {
            p.Irql = ApcLevel;
            return p.Call("KiDeliverApc", 2, (ulong)ProcessorMode.UserMode, 0, p.TrapFrame.Address);
        }
        return p.ReturnFromTrap();
    }

    private static Next Idle(Processor p)
    {
        p.Irql = DispatchLevel;
        var idle = p.CurrentThread;
        idle.CurrentRunTime = 0;
        if (!NtData.DpcList(p.Memory, p.Number).IsEmpty) return p.Call("KiRetireDpcList", 1);
        if (NtData.ReadySet(p.Memory) != 0)
        {
            idle.State = ThreadState.Ready;
            return p.Call("KiSwapContext", 1);
        }
        p.Halted = true;
        return p.Again();
    }

    private static Next Yield(Processor p)
    {
        var thread = p.CurrentThread;
        thread.WaitIrql = p.Irql;
        if (HighestReady(p.Memory) < thread.Priority) return p.Return();
        p.Irql = DispatchLevel;
        thread.WaitReason = WaitReason.WrYieldExecution;
        Ready(p.Machine, thread);
        return p.Call("KiSwapContext", 1);
    }

    private static Next YieldResumed(Processor p)
    {
        p.Irql = p.CurrentThread.WaitIrql;
        return p.Return();
    }
}
