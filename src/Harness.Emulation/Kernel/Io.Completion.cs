using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>IoCompleteRequest: up through the stack locations, then by APC into the thread that asked.</summary>
internal static partial class Io
{
    private static void DefineCompletion(NtRoutines nt)
    {
        // Locals: 0 a completion routine, 1 its IRQL, 2 the number by which a trace pairs call and return.
        nt.Add("IofCompleteRequest", 3, BeginCompletion, NextLocation, CompletionRoutineReturned, FinishCompletion, CompletionDone);
        nt.Add("IoCompleteRequest", p => p.Call("IofCompleteRequest", 1, p.Arg(0), p.Arg(1)), p => p.Return());
        // Locals: 0 file object to let go.
        nt.Add("IopCompleteRequest", 1, CompleteInThread, p => p.Return());
        nt.Add("IopDropIrp", 1, DropIrp, p => p.Return());
    }

    // IofCompleteRequest(Irp, PriorityBoost)
    private static Next BeginCompletion(Processor p)
    {
        var machine = p.Machine;
        var irp = IrpAt(p, p.Arg(0));
        var by = machine.CallerOf(p);
        if (irp.CurrentLocation > irp.StackCount + 1 || irp.Type != 6)
            throw new BugCheckException(0x44, irp.Address, 0xEEA, 0, 0);
        if (machine.Trace is { } trace) p[2] = trace.CompletionBegan(p, irp);
        machine.Log(new IrpCompleted(new(irp.Address), machine.RequestOf(irp), irp.Status, irp.Information, by));
        if (p.Irql > Ke.DispatchLevel) throw new BugCheckException(0xA, irp.Address, p.Irql, 0, p.ReturnAddress);
        if (irp.CancelRoutine != 0)
            machine.Log(new DriverFault("completed-with-cancel-routine", by, $"IoCompleteRequest was called for IRP {new KernelAddress(irp.Address)} while its cancel routine {machine.NameOf(irp.CancelRoutine)} was still set: a cancel that comes now calls it for a completed IRP.", Fatal: false, []));
        if (irp.Status == NtStatus.Pending)
            machine.Log(new DriverFault("completed-with-status-pending", by, $"IRP {new KernelAddress(irp.Address)} was completed with STATUS_PENDING.", Fatal: false, []));
        if (Ke.HeldSpinLock(p) is not 0 and var held)
            machine.LogOnce(new DriverFault("completed-under-spin-lock", by, $"{by} calls IoCompleteRequest while it holds the spin lock {Machine.NameOfLock(held)}: a completion routine that wants the lock spins for ever.", Fatal: false, []));
        return p.Goto(1);
    }

    /// <summary>One stack location: the driver above that asked to be called is called.</summary>
    private static Next NextLocation(Processor p)
    {
        var irp = IrpAt(p, p.Arg(0));
        if (irp.CurrentLocation > irp.StackCount) return LeaveTop(p, irp);
        var location = irp.Current;
        irp.CurrentLocation++;
        irp.Current = new IoStackLocation(p.Memory, location.Address + IoStackLocation.Size);
        var control = location.Control;
        irp.PendingReturned = (control & IoStackLocation.PendingReturned) != 0;
        var wanted = irp.Status.IsSuccess ? IoStackLocation.InvokeOnSuccess : IoStackLocation.InvokeOnError;
        var invoke = (control & wanted) != 0 || irp.Cancel && (control & IoStackLocation.InvokeOnCancel) != 0;
        if (invoke)
        {
            var (routine, context) = (location.CompletionRoutine, location.Context);
            // The location belongs to nobody from here; only what a debugger likes to see stays.
            location.MinorFunction = 0;
            location.Flags = 0;
            location.Control = 0;
            location.Argument1 = location.Argument2 = location.Argument3 = location.Argument4 = 0;
            location.FileObject = default;
            var device = irp.CurrentLocation > irp.StackCount ? 0 : irp.Current.DeviceObject.Address;
            p[0] = routine;
            p[1] = p.Irql;
            return p.Call(routine, 2, device, irp.Address, context);
        }
        if (irp.PendingReturned && irp.CurrentLocation <= irp.StackCount)
        {
            var above = irp.Current;
            above.Control |= IoStackLocation.PendingReturned;
        }
        return p.Goto(1);
    }

    private static Next LeaveTop(Processor p, Irp irp)
    {
        // StackCount + 2 says to everybody: completed.
        irp.CurrentLocation++;
        irp.Current = new IoStackLocation(p.Memory, irp.Current.Address + IoStackLocation.Size);
        p.Machine.Log(new IrpFinished(new(irp.Address), p.Machine.RequestOf(irp), irp.PendingReturned));
        // Whatever becomes of it now, no driver may touch it.
        p.Memory.WriteShadow(irp.Address, irp.PacketSize, Ex.ShadowCompleted);
        return p.Goto(3);
    }

    private static Next CompletionRoutineReturned(Processor p)
    {
        p.Machine.Trace?.CompletionRoutineReturned(p, p[0], p.Arg(0), (uint)p[2]);
        Ke.RequireLevel(p, p[0], "a completion routine", (byte)p[1]);
        // The completion routine may have freed the IRP when it says so.
        return p.ResultStatus == NtStatus.MoreProcessingRequired ? CompletionDone(p) : p.Goto(1);
    }

    private static Next CompletionDone(Processor p)
    {
        p.Machine.Trace?.CompletionEnded(p, p.Arg(0), (uint)p[2]);
        return p.Return();
    }

    private static Next FinishCompletion(Processor p)
    {
        var machine = p.Machine;
        var irp = IrpAt(p, p.Arg(0));
        if ((irp.Flags & Irp.FlagAssociatedIrp) != 0) return FinishAssociated(p, irp);
        if ((irp.Flags & (Irp.FlagCloseOperation | Irp.FlagCreateOperation | Irp.FlagPagingIo)) != 0)
        {
            // The issuer waits for its own event and frees the IRP itself.
            WriteIosb(p, irp);
            Ke.SetEvent(machine, new DispatcherHeader(p.Memory, irp.UserEvent));
            return CompletionDone(p);
        }
        Mm.FreeMdls(p, irp);
        // The issuer finishes it on its own thread, without an APC: it has not left IoCallDriver yet.
        if ((irp.Flags & Irp.FlagDeferIoCompletion) != 0 && !irp.PendingReturned) return CompletionDone(p);
        if (IsThreadAgnostic(irp)) return CompleteInProcess(p, irp);
        if (irp.Thread.IsNull)
        {
            // Only an IRP that was cancelled can have lost its thread. The completion of any other queues its APC to the thread it names, and
            // an IRP that a driver allocated for itself names none: IRQL_NOT_LESS_OR_EQUAL on KTHREAD.ThreadLock (+0x40) of address 0.
            return irp.Cancel ? p.Call("IopDropIrp", 4, irp.Address) : throw new BugCheckException(0xA, 0x40, Ke.DispatchLevel, 1, p.Registers.Rip);
        }
        var apc = irp.TailApc;
        var thread = irp.Thread;
        var file = irp.OriginalFileObject;
        Ke.Initialize(apc, thread, NtImage.Instance["IopCompleteRequest"], 0, 0, ProcessorMode.KernelMode, 0);
        Ke.Insert(machine, apc, file.Address, 0);
        return CompletionDone(p);
    }

    private static Next FinishAssociated(Processor p, Irp irp)
    {
        var master = new Irp(p.Memory, irp.SystemBuffer);
        Mm.FreeMdls(p, irp);
        FreeIrp(p.Machine, irp);
        // The count shares its place with SystemBuffer in the master.
        var left = p.Memory.ReadU32(master.Address + 0x18) - 1;
        p.Memory.WriteU32(master.Address + 0x18, left);
        return left == 0 ? p.Call("IofCompleteRequest", 4, master.Address, 0) : CompletionDone(p);
    }

    private static void WriteIosb(Processor p, Irp irp)
    {
        Ex.RequireAlive(p.Machine, irp.UserIosb, "status block");
        p.Memory.WriteU32(irp.UserIosb, irp.Status.Value);
        p.Memory.WriteU64(irp.UserIosb + 8, irp.Information);
    }

    /// <summary>
    /// The special kernel APC of a completed IRP, in the requesting thread and its address space:
    /// IopCompleteRequest(Apc, NormalRoutine*, NormalContext*, SystemArgument1*, SystemArgument2*).
    /// </summary>
    private static Next CompleteInThread(Processor p)
    {
        var irp = Irp.OfApc(new Apc(p.Memory, p.Arg(0)));
        // The KAPC lies over the IRP's own tail: the file object comes as the APC's argument.
        var file = FileAt(p, p.Memory.ReadU64(p.Arg(3)));
        p[0] = file.Address;
        Deliver(p, irp, file);
        return file.IsNull ? p.Return() : p.Call("ObfDereferenceObject", 1, p[0]);
    }

    /// <summary>In the address space of the process that asked: it is told, and the IRP goes.</summary>
    private static void Deliver(Processor p, Irp irp, FileObject file)
    {
        var machine = p.Machine;
        var status = irp.Status;
        var synchronous = !file.IsNull && file.IsSynchronous || (irp.Flags & Irp.FlagSynchronousApi) != 0;
        if ((irp.Flags & Irp.FlagInputOperation) != 0 && (irp.Flags & Irp.FlagBufferedIo) != 0 && !status.IsError) CopyOut(p, irp);
        FreeBuffer(machine, irp);
        var ownEvent = (irp.Flags & Irp.FlagSynchronousApi) != 0;
        if (!status.IsError || irp.PendingReturned && !synchronous)
        {
            TryWriteIosb(p, irp);
            SignalUserEvent(p, irp);
            if (!file.IsNull && (file.IsSynchronous || irp.UserEvent == 0)) Finish(machine, file, status);
            Post(machine, irp, file);
        }
        else if (irp.PendingReturned)
        {
            if (ownEvent)
            {
                TryWriteIosb(p, irp);
                SignalUserEvent(p, irp);
            }
            else
            {
                Finish(machine, file, status);
            }
        }
        // An error that never was pending is told by the return value alone. A driver that said STATUS_PENDING, never marked the IRP pending
        // and completes it with an error reaches none of these either: its caller waits on.
        if (irp.UserEvent != 0 && !ownEvent) Ob.DereferenceNow(machine, irp.UserEvent);
        if (!file.IsNull && IrpsOfFile(file).Contains(irp)) Ob.DereferenceNow(machine, irp.Thread.Address);
        irp.ThreadListEntry.Remove();
        FreeIrp(machine, irp);
    }

    private static void SignalUserEvent(Processor p, Irp irp)
    {
        if (irp.UserEvent == 0) return;
        Ex.RequireAlive(p.Machine, irp.UserEvent, "event");
        Ke.SetEvent(p.Machine, new DispatcherHeader(p.Memory, irp.UserEvent));
    }

    private static void Finish(Machine machine, FileObject file, NtStatus status)
    {
        file.FinalStatus = status;
        Ke.SetEvent(machine, file.Event);
    }

    private static void CopyOut(Processor p, Irp irp)
    {
        var machine = p.Machine;
        var top = irp.Location(irp.StackCount);
        var length = top.OutputBufferLength;
        var information = irp.Information;
        if (information > length)
        {
            machine.Log(new DriverFault("information-too-large", machine.ModuleOf(top.DeviceObject.DriverObject.DriverStart),
                $"IoStatus.Information is {information} bytes and the caller's buffer has {length}: the I/O manager would copy past both buffers.", Fatal: false, []));
            information = length;
        }
        TellLeak(machine, irp, top, information);
        if (information != 0) Ex.RequireAlive(machine, irp.UserBuffer, "output buffer");
        if (IsWritable(p.Memory, irp.UserBuffer, information) || irp.RequestorMode == ProcessorMode.KernelMode) machine.Copy(irp.UserBuffer, irp.SystemBuffer, information);
    }

    /// <summary>Bytes that the caller is given and nobody has written: what was in the pool before, of whomever.</summary>
    private static void TellLeak(Machine machine, Irp irp, IoStackLocation top, ulong information)
    {
        var m = machine.Memory;
        var (count, first) = (0ul, 0ul);
        for (ulong i = 0; i < information; i++)
        {
            if (m.ReadShadow(irp.SystemBuffer + i) != GuestMemory.Undefined) continue;
            if (count++ == 0) first = i;
        }
        if (count == 0) return;
        machine.Log(new DriverFault("information-leak", machine.ModuleOf(top.DeviceObject.DriverObject.DriverStart),
            $"IoStatus.Information is {information} bytes, and {count} of them, the first at offset {first}, were never written: the caller is given what the pool held before.", Fatal: false, []));
    }

    private static void TryWriteIosb(Processor p, Irp irp)
    {
        if (irp.UserIosb == 0) return;
        if (!AddressMap.IsUser(irp.UserIosb) || IsWritable(p.Memory, irp.UserIosb, 16)) WriteIosb(p, irp);
    }

    private static void FreeBuffer(Machine machine, Irp irp)
    {
        if ((irp.Flags & Irp.FlagDeallocateBuffer) != 0 && irp.SystemBuffer != 0) Ex.Free(machine, irp.SystemBuffer);
    }

    /// <summary>An IRP whose thread is gone: nobody to tell, everything to let go.</summary>
    private static Next DropIrp(Processor p)
    {
        var irp = IrpAt(p, p.Arg(0));
        var file = irp.OriginalFileObject;
        FreeBuffer(p.Machine, irp);
        if (irp.UserEvent != 0 && (irp.Flags & Irp.FlagSynchronousApi) == 0 && !file.IsNull) Ob.DereferenceNow(p.Machine, irp.UserEvent);
        FreeIrp(p.Machine, irp);
        return file.IsNull ? p.Return() : p.Call("ObfDereferenceObject", 1, file.Address);
    }
}
