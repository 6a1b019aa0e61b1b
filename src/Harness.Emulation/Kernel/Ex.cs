using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>The executive: pool and system worker threads.</summary>
internal static partial class Ex
{
    public const uint NonPaged = 0, Paged = 1;

    /// <summary>Shadow values of pool bytes: outside any allocation, freed, an IRP that no driver has any more.</summary>
    public const byte ShadowOutside = 0x81, ShadowFreed = 0x82, ShadowCompleted = 0x83;

    private const ulong HeaderSize = 0x10, Gap = 0x10;

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

    /// <summary>
    /// Allocates pool. Blocks are never used twice, so that whoever touches a freed one is seen; each is preceded by a POOL_HEADER
    /// (BlockSize +2, PoolType +3, PoolTag +4) and followed by a gap that belongs to nobody.
    /// </summary>
    public static ulong Allocate(Machine machine, uint type, ulong size, string tag) =>
        Allocate(machine, type, size, (uint)(tag[0] | tag[1] << 8 | tag[2] << 16 | tag[3] << 24));

    public static ulong Allocate(Machine machine, uint type, ulong size, uint tag)
    {
        var m = machine.Memory;
        var paged = (type & 1) != 0;
        if (size == 0) size = 1;
        var next = paged ? NtData.PeekPaged(m) : NtData.PeekNonPaged(m);
        // From a page on, blocks are page aligned and have no header (learn.microsoft.com, ExAllocatePoolWithTag).
        var large = size >= 0x1000 - HeaderSize;
        var block = large ? (next + HeaderSize + Gap + 0xFFF) & ~0xFFFul : next + HeaderSize;
        var end = (block + size + Gap + 0xF) & ~0xFul;
        MapTo(m, next, end);
        if (paged) NtData.TakePaged(m, end - next);
        else NtData.TakeNonPaged(m, end - next);
        var header = block - HeaderSize;
        m.WriteU8(header + 2, (byte)Math.Min(0xFF, (size + HeaderSize + 0xF) / 0x10));
        m.WriteU8(header + 3, (byte)(2 | type & 1));
        m.WriteU32(header + 4, tag);
        // The exact size, where Windows has ProcessBilled: only debuggers of this pool look here.
        m.WriteU64(header + 8, size);
        m.WriteShadow(block, size, 0);
        return block;
    }

    /// <summary>Bytes of an allocation.</summary>
    public static ulong SizeOf(GuestMemory m, ulong block) => m.ReadU64(block - 8);

    /// <summary>Frees pool. Freeing it twice, or what never was an allocation, stops the machine as BAD_POOL_CALLER does.</summary>
    public static void Free(Machine machine, ulong block)
    {
        var m = machine.Memory;
        if (!IsPool(block) || m.AccessOf(block) == PageAccess.None || (m.ReadU8(block - HeaderSize + 3) & 2) == 0)
            throw new BugCheckException(0xC2, 0x46, block, 0, 0);
        if (m.ReadShadow(block) == ShadowFreed) throw new BugCheckException(0xC2, 7, 0, m.ReadU32(block - HeaderSize + 4), block);
        m.WriteShadow(block, SizeOf(m, block), ShadowFreed);
    }

    private static bool IsPool(ulong address) => address >= AddressMap.NonPagedPool && address < AddressMap.PagedPool + 0x100_00000000;

    private static void MapTo(GuestMemory m, ulong from, ulong end)
    {
        var first = (from + 0xFFF) & ~0xFFFul;
        var last = (end + 0xFFF) & ~0xFFFul;
        if (last <= first) return;
        m.Map(first, last - first, PageAccess.Read | PageAccess.Write);
        m.WriteShadow(first, last - first, ShadowOutside);
    }

    private static void DefinePool(NtRoutines nt)
    {
        nt.Add("ExAllocatePoolWithTag", p => p.Return(Allocate(p.Machine, p.Arg32(0), p.Arg(1), p.Arg32(2))));
        nt.Add("ExAllocatePool", p => p.Return(Allocate(p.Machine, p.Arg32(0), p.Arg(1), "None")));
        nt.Add("ExAllocatePoolWithQuotaTag", p => p.Return(Allocate(p.Machine, p.Arg32(0) & 0xFF, p.Arg(1), p.Arg32(2))));
        nt.Add("ExAllocatePoolZero", p => p.Return(AllocateZeroed(p, p.Arg32(0), p.Arg(1), p.Arg32(2))));
        // POOL_FLAG_UNINITIALIZED 2, POOL_FLAG_NON_PAGED 0x40, POOL_FLAG_PAGED 0x100 (wdm.h); zeroed unless told otherwise.
        nt.Add("ExAllocatePool2", p =>
        {
            var type = (p.Arg(0) & 0x100) != 0 ? Paged : NonPaged;
            return p.Return((p.Arg(0) & 2) != 0 ? Allocate(p.Machine, type, p.Arg(1), p.Arg32(2)) : AllocateZeroed(p, type, p.Arg(1), p.Arg32(2)));
        });
        nt.Add("ExFreePoolWithTag", FreePool);
        nt.Add("ExFreePool", FreePool);
        nt.Add("ExFreePool2", FreePool);
    }

    private static ulong AllocateZeroed(Processor p, uint type, ulong size, uint tag)
    {
        var block = Allocate(p.Machine, type, size, tag);
        p.Memory.Fill(block, size, 0);
        return block;
    }

    private static Next FreePool(Processor p)
    {
        Free(p.Machine, p.Arg(0));
        return p.Return();
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
            return p.Return(item);
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
