using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Cancel-safe queues. The driver's callbacks in the order of facts on ReactOS' csq.c. IO_CSQ: Type +0, InsertIrp +8, RemoveIrp +0x10,
/// PeekNextIrp +0x18, AcquireLock +0x20, ReleaseLock +0x28, CompleteCanceledIrp +0x30; IO_CSQ_IRP_CONTEXT: Type +0, Irp +8, Csq +0x10 (wdm.h).
/// </summary>
internal static partial class Io
{
    private const uint CsqContextType = 1, CsqType = 2, CsqExType = 3;
    private const ulong CsqInsert = 8, CsqRemove = 0x10, CsqPeek = 0x18, CsqAcquire = 0x20, CsqRelease = 0x28, CsqComplete = 0x30;

    /// <summary>IRP.Tail.Overlay.DriverContext[3]: the queue's context, or the queue itself.</summary>
    private const ulong QueueOfIrp = 0x90;

    private static void DefineCancelSafeQueues(NtRoutines nt)
    {
        nt.Add("IoCsqInitialize", p => InitializeQueue(p, CsqType));
        nt.Add("IoCsqInitializeEx", p => InitializeQueue(p, CsqExType));
        nt.Add("IoCsqInsertIrp", p => p.Call("IoCsqInsertIrpEx", 1, p.Arg(0), p.Arg(1), p.Arg(2), 0), p => p.Return());
        // IoCsqInsertIrpEx(Csq, Irp, Context, InsertContext). Locals: 0 the driver's IRQL, 1 status.
        nt.Add("IoCsqInsertIrpEx", 2, BeginQueueing, MarkQueued, InsertQueued, InsertedInQueue, SetQueueCancel, CheckQueuedCancel, UnlockCancelledAtOnce, CompleteCancelledAtOnce, UnlockQueued, p => p.Return(p[1]));
        // IoCsqRemoveIrp(Csq, Context). Locals: 0 IRQL, 1 the IRP.
        nt.Add("IoCsqRemoveIrp", 2, p => CallQueue(p, CsqAcquire, 1, p.LocalAddress(0)), TakeByContext, ForgetContext, p => p.Return(p[1]));
        // IoCsqRemoveNextIrp(Csq, PeekContext). Locals: 0 IRQL, 1 the IRP.
        nt.Add("IoCsqRemoveNextIrp", 2, p => CallQueue(p, CsqAcquire, 1, p.LocalAddress(0)), p => CallQueue(p, CsqPeek, 2, 0, p.Arg(1)), TakeNext, ForgetContext, p => p.Return(p[1]));
        // The cancel routine (DeviceObject, Irp). Locals: 0 IRQL, 1 the queue.
        nt.Add("IopCsqCancelRoutine", 2, p => p.Call("IoReleaseCancelSpinLock", 1, IrpAt(p, p.Arg(1)).CancelIrql), LockCancelled, RemoveCancelled, UnlockCancelled, CompleteCancelled, p => p.Return());
    }

    private static Next InitializeQueue(Processor p, uint type)
    {
        // (Csq, CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp)
        p.Memory.WriteU32(p.Arg(0), type);
        for (var i = 1; i <= 6; i++) p.Memory.WriteU64(p.Arg(0) + ((ulong)i * 8), p.Arg(i));
        p.Memory.WriteU64(p.Arg(0) + 0x38, 0);
        return p.Return(NtStatus.Success);
    }

    private static Next CallQueue(Processor p, ulong callback, int then, ulong argument) =>
        p.Call(p.Memory.ReadU64(p.Arg(0) + callback), then, p.Arg(0), argument);

    private static Next CallQueue(Processor p, ulong callback, int then, ulong argument1, ulong argument2) =>
        p.Call(p.Memory.ReadU64(p.Arg(0) + callback), then, p.Arg(0), argument1, argument2);

    private static Next BeginQueueing(Processor p)
    {
        p[1] = NtStatus.Success.Value;
        return CallQueue(p, CsqAcquire, 1, p.LocalAddress(0));
    }

    private static Next MarkQueued(Processor p)
    {
        var location = IrpAt(p, p.Arg(1)).Current;
        location.Control |= IoStackLocation.PendingReturned;
        return p.Goto(2);
    }

    private static Next InsertQueued(Processor p)
    {
        var context = p.Arg(2);
        p.Memory.WriteU64(p.Arg(1) + QueueOfIrp, context == 0 ? p.Arg(0) : context);
        if (context != 0)
        {
            p.Memory.WriteU32(context, CsqContextType);
            p.Memory.WriteU64(context + 8, p.Arg(1));
            p.Memory.WriteU64(context + 0x10, p.Arg(0));
        }
        return p.Memory.ReadU32(p.Arg(0)) == CsqExType ? CallQueue(p, CsqInsert, 3, p.Arg(1), p.Arg(3)) : CallQueue(p, CsqInsert, 3, p.Arg(1));
    }

    private static Next InsertedInQueue(Processor p)
    {
        if (p.Memory.ReadU32(p.Arg(0)) != CsqExType || p.ResultStatus.IsSuccess) return p.Goto(4);
        p[1] = p.ResultStatus.Value;
        if (p.Arg(2) != 0) p.Memory.WriteU64(p.Arg(2) + 8, 0);
        return p.Goto(8);
    }

    private static Next SetQueueCancel(Processor p)
    {
        var irp = IrpAt(p, p.Arg(1));
        irp.CancelRoutine = NtImage.Instance["IopCsqCancelRoutine"];
        return p.Goto(5);
    }

    private static Next CheckQueuedCancel(Processor p)
    {
        var irp = IrpAt(p, p.Arg(1));
        if (!irp.Cancel) return p.Goto(8);
        var routine = irp.CancelRoutine;
        irp.CancelRoutine = 0;
        // Taken already: the cancel routine waits for the queue's lock and will do the rest.
        return routine == 0 ? p.Goto(8) : CallQueue(p, CsqRemove, 6, p.Arg(1));
    }

    // Whether Windows still holds the queue's lock when it has the IRP completed here is documented nowhere. ReactOS does; to let go of it first
    // is what the cancel routine does too, and blames no driver whose callback takes the lock itself.
    private static Next UnlockCancelledAtOnce(Processor p)
    {
        ForgetQueue(p, p.Arg(1));
        return CallQueue(p, CsqRelease, 7, p[0]);
    }

    private static Next CompleteCancelledAtOnce(Processor p) => CallQueue(p, CsqComplete, 9, p.Arg(1));

    private static Next UnlockQueued(Processor p) => CallQueue(p, CsqRelease, 9, p[0]);

    private static void ForgetQueue(Processor p, ulong irp)
    {
        var context = p.Memory.ReadU64(irp + QueueOfIrp);
        if (context != 0 && p.Memory.ReadU32(context) == CsqContextType) p.Memory.WriteU64(context + 8, 0);
        p.Memory.WriteU64(irp + QueueOfIrp, 0);
    }

    private static Next TakeByContext(Processor p)
    {
        p[1] = 0;
        var irp = IrpAt(p, p.Memory.ReadU64(p.Arg(1) + 8));
        if (irp.IsNull || irp.CancelRoutine == 0) return CallQueue(p, CsqRelease, 3, p[0]);
        irp.CancelRoutine = 0;
        p[1] = irp.Address;
        return CallQueue(p, CsqRemove, 2, irp.Address);
    }

    private static Next ForgetContext(Processor p)
    {
        ForgetQueue(p, p[1]);
        return CallQueue(p, CsqRelease, p.RoutineName == "IoCsqRemoveIrp" ? 3 : 4, p[0]);
    }

    private static Next TakeNext(Processor p)
    {
        var irp = IrpAt(p, p.Result);
        p[1] = 0;
        if (irp.IsNull) return CallQueue(p, CsqRelease, 4, p[0]);
        // Being cancelled: the next one.
        if (irp.CancelRoutine == 0) return CallQueue(p, CsqPeek, 2, irp.Address, p.Arg(1));
        irp.CancelRoutine = 0;
        p[1] = irp.Address;
        return CallQueue(p, CsqRemove, 3, irp.Address);
    }

    private static Next CallCancelled(Processor p, ulong callback, int then, ulong argument) =>
        p.Call(p.Memory.ReadU64(p[1] + callback), then, p[1], argument);

    private static Next LockCancelled(Processor p)
    {
        var context = p.Memory.ReadU64(p.Arg(1) + QueueOfIrp);
        p[1] = p.Memory.ReadU32(context) == CsqContextType ? p.Memory.ReadU64(context + 0x10) : context;
        return CallCancelled(p, CsqAcquire, 2, p.LocalAddress(0));
    }

    private static Next RemoveCancelled(Processor p) => CallCancelled(p, CsqRemove, 3, p.Arg(1));

    private static Next UnlockCancelled(Processor p)
    {
        ForgetQueue(p, p.Arg(1));
        return CallCancelled(p, CsqRelease, 4, p[0]);
    }

    private static Next CompleteCancelled(Processor p) => CallCancelled(p, CsqComplete, 5, p.Arg(1));
}
