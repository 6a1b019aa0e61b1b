using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Cancelling: IoCancelIrp, and the three places where a thread waits for a cancelled IRP that may never come back
/// (IopCancelAlertedRequest, IoCancelThreadIo, NtCancelIoFile). Facts on ReactOS' irp.c; waits as in Windows Internals 6, "Unkillable process".
/// </summary>
internal static partial class Io
{
    private const ulong TenMilliseconds = unchecked((ulong)-100_000L), HundredMilliseconds = unchecked((ulong)-1_000_000L);

    /// <summary>Passes of 100 ms after which a dying thread gives its IRPs up: five minutes (learn.microsoft.com, "Canceling IRPs").</summary>
    private const ulong MostPasses = 3000;

    private static void DefineCancel(NtRoutines nt)
    {
        // Locals: 0 saved IRQL, 1 cancel routine.
        nt.Add("IoCancelIrp", 2, p => p.Call("IoAcquireCancelSpinLock", 1, p.LocalAddress(0)), SetCancel, TakeCancelRoutine, CancelRoutineCameBack);
        // Local 0: the interval.
        nt.Add("IopCancelAlertedRequest", 1, CancelAlerted, AlertedCancelled, AlertedPolls, p => p.Return());
        // Locals: 0 interval, 1 passes or list entry.
        nt.Add("IoCancelThreadIo", 2, BeginThreadCancel, CancelNextOfThread, ThreadPolls, ThreadPolled);
        // Locals: 0 interval, 1 file object, 2 the IRP that is being cancelled, 3 status.
        nt.Add("NtCancelIoFile", 4, BeginCancelFile, CancelNextOfFile, FilePolls, p => p.Return(p[3]));
        nt.Add("NtCancelIoFileEx", 4, BeginCancelFileEx, CancelNextEx, p => p.Return(p[3]));
        nt.Add("NtCancelSynchronousIoFile", 1, CancelSynchronous, SynchronousCancelled);
    }

    private static Next SetCancel(Processor p)
    {
        var irp = IrpAt(p, p.Arg(0));
        if (p.Memory.ReadShadow(irp.Address) == Ex.ShadowFreed) DriverMemory.Require(p, irp.Address, Irp.Size, write: true);
        irp.Cancel = true;
        // A driver may look at Cancel before the routine is taken: a step of its own.
        return p.Goto(2);
    }

    private static Next TakeCancelRoutine(Processor p)
    {
        var machine = p.Machine;
        var irp = IrpAt(p, p.Arg(0));
        var routine = irp.CancelRoutine;
        irp.CancelRoutine = 0;
        p[1] = routine;
        var by = machine.NameOf(p.ReturnAddress);
        // Type 0: completed since it was found.
        if (irp.Type != 0) machine.Log(new CancelRequested(new(irp.Address), machine.RequestOf(irp), routine == 0 ? null : machine.NameOf(routine), by));
        if (routine == 0)
        {
            Ke.ReleaseSpinLock(p, NtData.CancelSpinLock);
            p.Irql = (byte)p[0];
            return p.Return(false);
        }
        // CANCEL_STATE_IN_COMPLETED_IRP: the driver completed the IRP and left its cancel routine set.
        if (irp.CurrentLocation > irp.StackCount + 1) throw new BugCheckException(0x48, irp.Address, routine, 0, 0);
        irp.CancelIrql = (byte)p[0];
        return p.Call(routine, 3, irp.Current.DeviceObject.Address, irp.Address);
    }

    private static Next CancelRoutineCameBack(Processor p)
    {
        var machine = p.Machine;
        // The IRP may have been completed and freed: only its address is used.
        machine.Log(new CancelRoutineReturned(new(p.Arg(0)), null, machine.NameOf(p[1])));
        if (Ke.HoldsSpinLock(p, NtData.CancelSpinLock)) throw new BugCheckException(0x11B, p.Arg(0), p[1], 0, 0);
        if (p.Irql != (byte)p[0])
        {
            machine.Log(new DriverFault("wrong-cancel-irql", machine.NameOf(p[1]),
                $"The cancel routine was entered with Irp->CancelIrql = {(byte)p[0]} and came back at IRQL {p.Irql}: it did not release the cancel spin lock with Irp->CancelIrql.", Fatal: false, []));
        }
        return p.Return(true);
    }

    // IopCancelAlertedRequest(KernelEvent, Irp): at APC_LEVEL the IRP's completion can't run in this thread, so the IRP is still there.
    private static Next CancelAlerted(Processor p)
    {
        p.Irql = Ke.ApcLevel;
        if (new DispatcherHeader(p.Memory, p.Arg(0)).SignalState != 0)
        {
            p.Irql = Ke.PassiveLevel;
            return p.Goto(3);
        }
        return p.Call("IoCancelIrp", 1, p.Arg(1));
    }

    private static Next AlertedCancelled(Processor p)
    {
        var routineRan = (p.Result & 0xFF) != 0;
        p.Irql = Ke.PassiveLevel;
        if (routineRan) return p.Goto(2);
        // No cancel routine: nothing but the driver's own completion ends this wait, and nothing limits it.
        return p.Call("KeWaitForSingleObject", 3, p.Arg(0), (ulong)WaitReason.Executive, (ulong)ProcessorMode.KernelMode, 0, 0);
    }

    private static Next AlertedPolls(Processor p)
    {
        if (new DispatcherHeader(p.Memory, p.Arg(0)).SignalState != 0) return p.Goto(3);
        p[0] = TenMilliseconds;
        return p.Call("KeDelayExecutionThread", 2, (ulong)ProcessorMode.KernelMode, 0, p.LocalAddress(0));
    }

    private static Next BeginThreadCancel(Processor p)
    {
        p.Irql = Ke.ApcLevel;
        p[1] = p.CurrentThread.IrpList.Flink;
        return p.Goto(1);
    }

    private static Next CancelNextOfThread(Processor p)
    {
        var list = p.CurrentThread.IrpList;
        var entry = p[1];
        if (entry == list.Address)
        {
            p[1] = 0;
            return p.Goto(2);
        }
        p[1] = p.Memory.ReadU64(entry);
        return p.Call("IoCancelIrp", 1, entry - 0x20);
    }

    private static Next ThreadPolls(Processor p)
    {
        p.Irql = Ke.PassiveLevel;
        if (p.CurrentThread.IrpList.IsEmpty) return p.Return();
        p[0] = HundredMilliseconds;
        return p.Call("KeDelayExecutionThread", 3, (ulong)ProcessorMode.KernelMode, 0, p.LocalAddress(0));
    }

    private static Next ThreadPolled(Processor p)
    {
        p[1]++;
        var list = p.CurrentThread.IrpList;
        if (p[1] > MostPasses && !list.IsEmpty) Disassociate(p, new Irp(p.Memory, list.Flink - 0x20));
        return p.Goto(2);
    }

    /// <summary>IopDisassociateThreadIrp: the thread goes on without the IRP, and the device that holds it is named in the error log.</summary>
    private static void Disassociate(Processor p, Irp irp)
    {
        if (irp.CurrentLocation == irp.StackCount + 2) return;
        var machine = p.Machine;
        var request = machine.RequestOf(irp);
        irp.Thread = default;
        irp.ThreadListEntry.Remove();
        var device = irp.CurrentLocation <= irp.StackCount ? irp.Current.DeviceObject : default;
        machine.Log(new IrpDisassociated(new(irp.Address), request, NameOf(machine, device), device.IsNull ? "" : machine.ModuleOf(device.DriverObject.DriverStart)));
    }

    /// <summary>IRPs come and go while a list of them is cancelled, so each step begins at its head. A mark tells which it has seen.</summary>
    private static void BeginWalk(IEnumerable<Irp> irps)
    {
        foreach (var irp in irps) irp.AllocationFlags &= unchecked((byte)~Irp.Visited);
    }

    /// <summary>False where nothing is left to do to it but to wait, and where this walk has cancelled it: a driver may set its cancel routine again.</summary>
    private static bool Visit(Irp irp)
    {
        if ((irp.AllocationFlags & Irp.Visited) != 0 || (irp.Cancel && irp.CancelRoutine == 0)) return false;
        irp.AllocationFlags |= Irp.Visited;
        return true;
    }

    // NtCancelIoFile(FileHandle, IoStatusBlock): this thread's requests on the file, and it waits for them without limit.
    private static Next BeginCancelFile(Processor p)
    {
        var status = Ob.FromHandle(p, p.Arg(0), Ob.FileType, out var file, out _);
        if (status.IsError) return p.Return(status);
        p[1] = file;
        BeginWalk(RequestsOn(FileAt(p, file), p.CurrentProcess));
        p.Irql = Ke.ApcLevel;
        return p.Goto(1);
    }

    private static Next CancelNextOfFile(Processor p)
    {
        foreach (var irp in RequestsOn(FileAt(p, p[1]), p.CurrentProcess))
            if (irp.Thread == p.CurrentThread && Visit(irp)) return p.Call("IoCancelIrp", 1, irp.Address);
        return p.Goto(2);
    }

    private static Next FilePolls(Processor p)
    {
        p.Irql = Ke.PassiveLevel;
        var (file, thread) = (FileAt(p, p[1]), p.CurrentThread);
        if (OutstandingIrps(thread).Concat(IrpsOfFile(file)).Any(irp => irp.OriginalFileObject == file && irp.Thread == thread))
        {
            p[0] = TenMilliseconds;
            return p.Call("KeDelayExecutionThread", 2, (ulong)ProcessorMode.KernelMode, 0, p.LocalAddress(0));
        }
        return FinishCancel(p, NtStatus.Success, 3);
    }

    private static Next FinishCancel(Processor p, NtStatus status, int then)
    {
        p.Memory.WriteU32(p.Arg(p.RoutineName == "NtCancelIoFileEx" ? 2 : 1), status.Value);
        p[3] = status.Value;
        return p.Call("ObfDereferenceObject", then, p[1]);
    }

    // NtCancelIoFileEx(FileHandle, IoRequestToCancel, IoStatusBlock): any thread's requests of this process on the file; it never waits.
    private static Next BeginCancelFileEx(Processor p)
    {
        var status = Ob.FromHandle(p, p.Arg(0), Ob.FileType, out var file, out _);
        if (status.IsError) return p.Return(status);
        p[1] = file;
        p[0] = 0;
        p[2] = 0;
        p[3] = NtStatus.NotFound.Value;
        BeginWalk(RequestsOn(FileAt(p, file), p.CurrentProcess));
        p.Irql = Ke.ApcLevel;
        return p.Goto(1);
    }

    private static Next CancelNextEx(Processor p)
    {
        if (p[2] != 0) LetGo(p.Machine, IrpAt(p, p[2]));
        p[2] = 0;
        // IRPs may go while one is cancelled: each pass takes the first that is not cancelled yet.
        foreach (var irp in RequestsOn(FileAt(p, p[1]), p.CurrentProcess))
        {
            if (p.Arg(1) != 0 && irp.UserIosb != p.Arg(1)) continue;
            // One that was cancelled before and has not come back is found all the same; without a cancel routine there is nothing to do to it.
            p[3] = NtStatus.Success.Value;
            if (!Visit(irp)) continue;
            Hold(irp);
            p[2] = irp.Address;
            return p.Call("IoCancelIrp", 1, irp.Address);
        }
        p.Irql = Ke.PassiveLevel;
        return FinishCancel(p, new NtStatus((uint)p[3]), 2);
    }

    // NtCancelSynchronousIoFile(ThreadHandle, IoRequestToCancel, IoStatusBlock)
    private static Next CancelSynchronous(Processor p)
    {
        var status = Ob.FromHandle(p, p.Arg(0), Ob.ThreadType, out var body, out _);
        if (status.IsError) return p.Return(status);
        var thread = new Structures.Thread(p.Memory, body);
        Ob.DereferenceNow(p.Machine, body);
        foreach (var irp in OutstandingIrps(thread))
        {
            if (irp.OriginalFileObject.IsNull || !irp.OriginalFileObject.IsSynchronous || irp.CurrentLocation > irp.StackCount) continue;
            p.Irql = Ke.ApcLevel;
            Hold(irp);
            p[0] = irp.Address;
            return p.Call("IoCancelIrp", 1, irp.Address);
        }
        p.Memory.WriteU32(p.Arg(2), NtStatus.NotFound.Value);
        return p.Return(NtStatus.NotFound);
    }

    private static Next SynchronousCancelled(Processor p)
    {
        LetGo(p.Machine, IrpAt(p, p[0]));
        p.Irql = Ke.PassiveLevel;
        p.Memory.WriteU32(p.Arg(2), NtStatus.Success.Value);
        return p.Return(NtStatus.Success);
    }
}
