using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>IRQL, time and identity of processors, and the end of all: KeBugCheckEx.</summary>
internal static partial class Ke
{
    private static void DefineProcessor(NtRoutines nt)
    {
        nt.Add("KeGetCurrentIrql", p => p.Return(p.Irql));
        nt.Add("KfRaiseIrql", RaiseIrql);
        nt.Add("KeRaiseIrqlToDpcLevel", p =>
        {
            var was = p.Irql;
            if (was > DispatchLevel) throw new BugCheckException(9, was, DispatchLevel, 0, 0);
            p.Irql = DispatchLevel;
            return p.Return(was);
        });
        nt.Add("KeLowerIrql", LowerIrql);
        nt.Add("KfLowerIrql", LowerIrql);
        nt.Add("KeGetCurrentThread", p => p.Return(p.CurrentThread.Address));
        nt.Add("PsGetCurrentThread", p => p.Return(p.CurrentThread.Address));
        nt.Add("KeGetCurrentProcessorNumberEx", p =>
        {
            // PROCESSOR_NUMBER: Group, Number, Reserved.
            if (p.Arg(0) != 0) p.Memory.WriteU32(p.Arg(0), (uint)p.Number << 16);
            return p.Return((ulong)p.Number);
        });
        nt.Add("KeGetCurrentProcessorNumber", p => p.Return((ulong)p.Number));
        nt.Add("KeQueryActiveProcessorCount", p =>
        {
            if (p.Arg(0) != 0) p.Memory.WriteU64(p.Arg(0), (1ul << p.Machine.Processors.Count) - 1);
            return p.Return((ulong)p.Machine.Processors.Count);
        });
        nt.Add("KeQueryActiveProcessorCountEx", p => p.Return((ulong)p.Machine.Processors.Count));
        nt.Add("KeQueryMaximumProcessorCount", p => p.Return((ulong)p.Machine.Processors.Count));
        nt.Add("KeQueryMaximumProcessorCountEx", p => p.Return((ulong)p.Machine.Processors.Count));
        nt.Add("KeQueryActiveProcessors", p => p.Return((1ul << p.Machine.Processors.Count) - 1));
        nt.Add("KeQueryPerformanceCounter", p =>
        {
            // 10 MHz, as Windows 10 reports it under most hypervisors.
            if (p.Arg(0) != 0) p.Memory.WriteU64(p.Arg(0), 10_000_000);
            return p.Return(p.Machine.ReadTime());
        });
        nt.Add("KeQuerySystemTimePrecise", QuerySystemTime);
        nt.Add("KeQuerySystemTime", QuerySystemTime);
        nt.Add("KeQueryInterruptTime", p => p.Return(p.Machine.ReadTime()));
        nt.Add("KeQueryUnbiasedInterruptTime", p => p.Return(p.Machine.ReadTime()));
        nt.Add("KeQueryInterruptTimePrecise", p =>
        {
            var time = p.Machine.ReadTime();
            p.Memory.WriteU64(p.Arg(0), time);
            return p.Return(time);
        });
        nt.Add("KeQueryTickCount", p =>
        {
            p.Memory.WriteU64(p.Arg(0), p.Machine.ReadTime() / Machine.TickLength);
            return p.Return();
        });
        nt.Add("KeQueryTimeIncrement", p => p.Return(Machine.TickLength));
        nt.Add("KeStallExecutionProcessor", p =>
        {
            // Microseconds of busy waiting: the one way in which running code moves the clock.
            p.Machine.AdvanceTo(NtData.InterruptTime(p.Memory) + (p.Arg32(0) * 10ul));
            return p.Return();
        });
        nt.Add("KeQueryPriorityThread", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).Priority));
        nt.Add("KeSetPriorityThread", SetPriority);
        nt.Add("KeSetBasePriorityThread", p => p.Return());
        nt.Add("KeSetSystemAffinityThread", p => RequireSingle(p));
        nt.Add("KeRevertToUserAffinityThread", p => RequireSingle(p));
        nt.Add("KeSetSystemAffinityThreadEx", p => RequireSingle(p));
        nt.Add("KeRevertToUserAffinityThreadEx", p => RequireSingle(p));
        nt.Add("KeBugCheckEx", p => throw new BugCheckException(p.Arg32(0), p.Arg(1), p.Arg(2), p.Arg(3), p.Arg(4)));
        nt.Add("KeBugCheck", p => throw new BugCheckException(p.Arg32(0), 0, 0, 0, 0));
        nt.Add("KeMemoryBarrier", p => p.Return());
    }

    private static Next RequireSingle(Processor p) =>
        p.Machine.Processors.Count == 1 ? p.Return(1) : throw new UnmodelledException("nt!" + p.RoutineName, "thread affinity on several processors");

    private static Next RaiseIrql(Processor p)
    {
        var (was, to) = (p.Irql, p.Arg8(0));
        if (to < was) throw new BugCheckException(9, was, to, 0, 0);
        p.Irql = to;
        return p.Return(was);
    }

    private static Next LowerIrql(Processor p)
    {
        var (was, to) = (p.Irql, p.Arg8(0));
        if (to > was) throw new BugCheckException(10, to, was, 0, p.ReturnAddress);
        p.Irql = to;
        return p.Return();
    }

    private static Next QuerySystemTime(Processor p)
    {
        p.Memory.WriteU64(p.Arg(0), Machine.BootTime + p.Machine.ReadTime());
        return p.Return();
    }

    private static Next SetPriority(Processor p)
    {
        var thread = new Structures.Thread(p.Memory, p.Arg(0));
        var was = thread.Priority;
        var now = (byte)Math.Clamp((int)p.Arg32(1), 1, 31);
        if (thread.State == ThreadState.Ready)
        {
            var list = NtData.ReadyList(p.Memory, was);
            thread.WaitListEntry.Remove();
            if (list.IsEmpty) NtData.SetReadySet(p.Memory, NtData.ReadySet(p.Memory) & ~(1ul << was));
            thread.Priority = now;
            Ready(p.Machine, thread);
        }
        else
        {
            thread.Priority = now;
        }
        return p.Return(was);
    }
}
