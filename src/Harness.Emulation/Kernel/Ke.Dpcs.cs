using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>DPCs, and the software interrupt at DISPATCH_LEVEL that runs them and preempts threads.</summary>
internal static partial class Ke
{
    private static void DefineDpcs(NtRoutines nt)
    {
        nt.Trap("KiDispatchInterrupt", DispatchInterrupt, DispatchInterruptPreempts, ExitToUser);
        nt.Add("KiRetireDpcList", 1, BeginRetiringDpcs, RetireDpcs);
        nt.Add("KeInitializeDpc", p => InitializeDpc(p, 0x13));
        nt.Add("KeInitializeThreadedDpc", p => InitializeDpc(p, 0x1A));
        nt.Add("KeInsertQueueDpc", p => p.Return(QueueDpc(p.Machine, new Dpc(p.Memory, p.Arg(0)), p.Arg(1), p.Arg(2), p)));
        nt.Add("KeRemoveQueueDpc", RemoveQueueDpc);
        nt.Add("KeSetImportanceDpc", SetImportance);
        nt.Add("KeSetTargetProcessorDpc", SetTargetProcessor);
        nt.Add("KeFlushQueuedDpcs", FlushQueuedDpcs);
    }

    /// <summary>The processor is on its DPC stack.</summary>
    public static bool IsExecutingDpc(Processor p) => p.Registers.Rsp >= p.DpcStack - 0x4000 && p.Registers.Rsp <= p.DpcStack + 0x10;

    private static Next InitializeDpc(Processor p, byte type)
    {
        var dpc = new Dpc(p.Memory, p.Arg(0));
        p.Memory.Fill(dpc.Address, Dpc.Size, 0);
        dpc.Type = type;
        dpc.Importance = 1;
        dpc.DeferredRoutine = p.Arg(1);
        dpc.DeferredContext = p.Arg(2);
        return p.Return();
    }

    /// <summary>Queues a DPC to its target processor, or to the one that asks; false when it was queued already.</summary>
    public static bool QueueDpc(Machine machine, Dpc dpc, ulong argument1, ulong argument2, Processor? on = null)
    {
        if (dpc.DpcData != 0) return false;
        // KeSetTargetProcessorDpc stores MAXIMUM_PROCESSORS + number.
        var target = dpc.Number >= 0x500 && dpc.Number - 0x500 < machine.Processors.Count ? machine.Processors[dpc.Number - 0x500] : on ?? machine.ClockProcessor;
        dpc.SystemArgument1 = argument1;
        dpc.SystemArgument2 = argument2;
        var list = NtData.DpcList(machine.Memory, target.Number);
        dpc.DpcData = list.Address;
        if (dpc.Importance == 2) list.InsertHead(dpc.DpcListEntry);
        else list.InsertTail(dpc.DpcListEntry);
        target.Request(DispatchLevel);
        target.Halted = false;
        return true;
    }

    private static Next RemoveQueueDpc(Processor p)
    {
        var dpc = new Dpc(p.Memory, p.Arg(0));
        if (dpc.DpcData == 0) return p.Return(false);
        dpc.DpcListEntry.Remove();
        dpc.DpcData = 0;
        return p.Return(true);
    }

    private static Next SetImportance(Processor p)
    {
        var dpc = new Dpc(p.Memory, p.Arg(0));
        // LowImportance 0, MediumImportance 1, HighImportance 2 (wdm.h).
        dpc.Importance = p.Arg8(1);
        return p.Return();
    }

    private static Next SetTargetProcessor(Processor p)
    {
        var dpc = new Dpc(p.Memory, p.Arg(0));
        dpc.Number = (ushort)(0x500 + p.Arg8(1));
        return p.Return();
    }

    /// <summary>Waits until no processor has a DPC queued: at PASSIVE_LEVEL the own queue is empty already, so only others can hold it up.</summary>
    private static Next FlushQueuedDpcs(Processor p)
    {
        foreach (var other in p.Machine.Processors)
            if (other != p && (!NtData.DpcList(p.Memory, other.Number).IsEmpty || other.Irql >= DispatchLevel && !other.Halted)) return p.Again();
        return p.Return();
    }

    private static Next DispatchInterrupt(Processor p)
    {
        p.Irql = DispatchLevel;
        return NtData.DpcList(p.Memory, p.Number).IsEmpty ? p.Goto(1) : p.CallOn(p.DpcStack, "KiRetireDpcList", 1);
    }

    private static Next DispatchInterruptPreempts(Processor p)
    {
        var thread = p.CurrentThread;
        if (thread.Address == p.IdleThread.Address) return p.Goto(2);
        var next = HighestReady(p.Memory);
        // A thread that is preempted stays first of its priority; one whose quantum is over goes to the end.
        if (next <= thread.Priority && (next < thread.Priority || thread.CurrentRunTime < thread.QuantumTarget)) return p.Goto(2);
        thread.WaitReason = next > thread.Priority ? WaitReason.WrDispatchInt : WaitReason.WrQuantumEnd;
        Ready(p.Machine, thread, first: next > thread.Priority);
        return p.Call("KiSwapContext", 2);
    }

    // Local 0: the routine that runs.
    private static Next BeginRetiringDpcs(Processor p)
    {
        p[0] = 0;
        return p.Goto(1);
    }

    private static Next RetireDpcs(Processor p)
    {
        if (p[0] != 0) RequireLevel(p, p[0], "a DPC", DispatchLevel);
        var list = NtData.DpcList(p.Memory, p.Number);
        if (list.IsEmpty) return p.Return();
        var dpc = new Dpc(p.Memory, list.Flink - 0x8);
        dpc.DpcListEntry.Remove();
        dpc.DpcData = 0;
        p[0] = dpc.DeferredRoutine;
        return p.Call(dpc.DeferredRoutine, 1, dpc.Address, dpc.DeferredContext, dpc.SystemArgument1, dpc.SystemArgument2);
    }
}
