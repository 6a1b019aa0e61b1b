using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>The executive: system worker threads.</summary>
internal static partial class Ex
{
    public static void Define(NtRoutines nt)
    {
        DefinePool(nt);
        DefineWork(nt);
        DefineLists(nt);
        DefineLookaside(nt);
        DefineMutexes(nt);
        DefineResources(nt);
        DefineMiscellaneous(nt);
        DefineProbes(nt);
    }

    private static void DefineWork(NtRoutines nt)
    {
        // WORK_QUEUE_ITEM: List +0, WorkerRoutine +0x10, Parameter +0x18 (wdm.h).
        nt.Add("ExQueueWorkItem", p =>
        {
            QueueItem(p.Machine, p.Arg(0));
            return p.Return();
        });
        nt.Add("ExpWorkerThread", p => p.Goto(1), AwaitWork, TakeWork, WorkDone);
        // A work item of nt's own frees itself.
        nt.Add("ExpRunOwnWork", 1, RunOwnWork, p => p.Return());
        // IO_WORKITEM: WORK_QUEUE_ITEM +0, Routine +0x20, IoObject +0x28, Context +0x30, Type +0x38 (public symbols; 0x58 bytes).
        nt.Add("IoAllocateWorkItem", p =>
        {
            var item = Allocate(p.Machine, NonPaged, 0x58, "IoWI");
            p.Memory.Fill(item, 0x58, 0);
            p.Memory.WriteU64(item + 0x28, p.Arg(0));
            return p.Return(OwnedByCaller(p.Machine, item));
        });
        nt.Add("IoSizeofWorkItem", p => p.Return(0x58));
        nt.Add("IoInitializeWorkItem", p =>
        {
            p.Memory.Fill(p.Arg(1), 0x58, 0);
            p.Memory.WriteU64(p.Arg(1) + 0x28, p.Arg(0));
            return p.Return();
        });
        nt.Add("IoFreeWorkItem", FreePool);
        nt.Add("IoUninitializeWorkItem", p => p.Return());
        nt.Add("IoQueueWorkItem", p => QueueIoItem(p, extended: false));
        nt.Add("IoQueueWorkItemEx", p => QueueIoItem(p, extended: true));
        nt.Add("IoTryQueueWorkItem", p => QueueIoItem(p, extended: false));
        nt.Add("IopProcessWorkItem", 1, ProcessIoItem, IoItemDone);
    }

    // IoQueueWorkItem(IoWorkItem, WorkerRoutine, QueueType, Context)
    private static Next QueueIoItem(Processor p, bool extended)
    {
        var m = p.Memory;
        var item = p.Arg(0);
        m.WriteU64(item + 0x10, NtImage.Instance["IopProcessWorkItem"]);
        m.WriteU64(item + 0x18, item);
        m.WriteU64(item + 0x20, p.Arg(1));
        m.WriteU64(item + 0x30, p.Arg(3));
        m.WriteU32(item + 0x38, extended ? 1u : 0);
        // The device stays until its work item is done.
        Ob.Reference(m, m.ReadU64(item + 0x28));
        QueueItem(p.Machine, item);
        return p.Return(true);
    }

    private static Next ProcessIoItem(Processor p)
    {
        var m = p.Memory;
        var item = p.Arg(0);
        var (routine, target, context) = (m.ReadU64(item + 0x20), m.ReadU64(item + 0x28), m.ReadU64(item + 0x30));
        p[0] = target;
        return m.ReadU32(item + 0x38) != 0 ? p.Call(routine, 1, target, context, item) : p.Call(routine, 1, target, context);
    }

    private static Next IoItemDone(Processor p)
    {
        Ob.DereferenceNow(p.Machine, p[0]);
        return p.Return();
    }

    private static void QueueItem(Machine machine, ulong item)
    {
        var m = machine.Memory;
        NtData.WorkItems(m).InsertTail(new ListHead(m, item));
        // One more worker when all are busy: a worker routine may block for ever.
        var waiting = NtData.IdleWorkerThreads(m);
        if (waiting == 0)
        {
            NtData.SetWorkerThreads(m, NtData.WorkerThreads(m) + 1);
            Ps.StartSystemThread(machine, NtImage.Instance["ExpWorkerThread"], 0);
        }
        else
        {
            NtData.SetIdleWorkerThreads(m, waiting - 1);
        }
        Ke.ReleaseSemaphore(machine, NtData.WorkSemaphore(m));
    }

    /// <summary>Has a routine called on a worker thread, with one argument.</summary>
    public static void QueueWork(Machine machine, ulong routine, ulong argument)
    {
        var m = machine.Memory;
        var item = Allocate(machine, NonPaged, 0x30, "ExWk");
        m.WriteU64(item + 0x10, NtImage.Instance["ExpRunOwnWork"]);
        m.WriteU64(item + 0x18, item);
        m.WriteU64(item + 0x20, routine);
        m.WriteU64(item + 0x28, argument);
        QueueItem(machine, item);
    }

    private static Next RunOwnWork(Processor p)
    {
        var item = p.Arg(0);
        var (routine, argument) = (p.Memory.ReadU64(item + 0x20), p.Memory.ReadU64(item + 0x28));
        Free(p.Machine, item);
        return p.Call(routine, 1, argument);
    }

    private static Next AwaitWork(Processor p) =>
        p.Call("KeWaitForSingleObject", 2, NtData.WorkSemaphore(p.Memory).Address, (ulong)WaitReason.WrQueue, (ulong)ProcessorMode.KernelMode, 0, 0);

    private static Next TakeWork(Processor p)
    {
        var m = p.Memory;
        var list = NtData.WorkItems(m);
        var item = list.Flink;
        new ListHead(m, item).Remove();
        return p.Call(m.ReadU64(item + 0x10), 3, m.ReadU64(item + 0x18));
    }

    private static Next WorkDone(Processor p)
    {
        // WORKER_THREAD_RETURNED_AT_BAD_IRQL.
        if (p.Irql != Ke.PassiveLevel) throw new BugCheckException(0xE1, 0, p.Irql, 0, 0);
        NtData.SetIdleWorkerThreads(p.Memory, NtData.IdleWorkerThreads(p.Memory) + 1);
        return p.Goto(1);
    }
}
