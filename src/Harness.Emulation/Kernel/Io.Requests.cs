using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>From the system call to the driver's dispatch routine, and the wait that follows.</summary>
internal static partial class Io
{
    private const uint MethodBuffered = 0, MethodInDirect = 1, MethodOutDirect = 2, MethodNeither = 3;

    private static void DefineRequests(NtRoutines nt)
    {
        nt.Add("NtDeviceIoControlFile", p => ControlFile(p, 1), p => p.Return(p.Result));
        nt.Add("NtFsControlFile", p => ControlFile(p, 0), p => p.Return(p.Result));
        // Locals of the three: 0 file object, 1 event object, 2 the IRP, 3 its device.
        nt.Add("IopXxxControlFile", 4, p => OpenRequest(p, p.Arg(0), p.Arg(1)), AcquireFileLock, FileLockWaited, BuildControl, RequestDone);
        nt.Add("NtReadFile", 4, p => OpenRequest(p, p.Arg(0), p.Arg(1)), AcquireFileLock, FileLockWaited, p => BuildTransfer(p, IrpMajor.Read), RequestDone);
        nt.Add("NtWriteFile", 4, p => OpenRequest(p, p.Arg(0), p.Arg(1)), AcquireFileLock, FileLockWaited, p => BuildTransfer(p, IrpMajor.Write), RequestDone);
        // Local 0: the file object, where the completion routine of the I/O manager looks for it.
        nt.Add("IopSynchronousServiceTail", 1, QueueAndCall, DispatchCameBack, WaitEnded, SynchronousDone, DeferredDone, AfterDispatch);
        nt.Add("IofCallDriver", 5, CallDriver, DriverReturned);
        nt.Add("IoCallDriver", p => p.Call("IofCallDriver", 1, p.Arg(0), p.Arg(1)), p => p.Return(p.Result));
    }

    private static Next ControlFile(Processor p, ulong isDeviceControl) =>
        p.Call("IopXxxControlFile", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3), p.Arg(4), p.Arg(5), p.Arg(6), p.Arg(7), p.Arg(8), p.Arg(9), isDeviceControl);

    // (FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, …) is what all three begin with.
    private static Next OpenRequest(Processor p, ulong handle, ulong eventHandle)
    {
        p[1] = 0;
        var user = p.CurrentThread.PreviousMode == ProcessorMode.UserMode;
        if (user && !IsWritable(p.Memory, p.Arg(4), 16)) return p.Return(NtStatus.AccessViolation);
        if (p.Arg(2) != 0) throw new UnmodelledException("nt!" + p.RoutineName, "an APC routine for a client's request");
        var status = Ob.FromHandle(p, handle, Ob.FileType, out var file, out _);
        if (status.IsError) return p.Return(status);
        p[0] = file;
        if (eventHandle != 0)
        {
            status = Ob.FromHandle(p, eventHandle, Ob.EventType, out var eventObject, out _);
            if (status.IsError) return Fail(p, status);
            p[1] = eventObject;
            var header = new DispatcherHeader(p.Memory, eventObject);
            header.SignalState = 0;
        }
        return FileAt(p, file).IsSynchronous ? p.Goto(1) : p.Goto(3);
    }

    /// <summary>Lets go what <see cref="OpenRequest"/> took. The file object's last reference can't go here: a handle holds another.</summary>
    private static Next Fail(Processor p, NtStatus status)
    {
        if (p[1] != 0) Ob.DereferenceNow(p.Machine, p[1]);
        p[2] = 0;
        p[3] = status.Value;
        return p.Call("ObfDereferenceObject", 4, p[0]);
    }

    /// <summary>One request at a time on a synchronous file object (FILE_OBJECT.Busy and Lock).</summary>
    private static Next AcquireFileLock(Processor p)
    {
        var file = FileAt(p, p[0]);
        if (TryLock(file)) return p.Goto(3);
        file.Waiters++;
        return p.Call("KeWaitForSingleObject", 2, file.Lock.Address, (ulong)WaitReason.Executive, (ulong)p.CurrentThread.PreviousMode, file.IsAlertable ? 1ul : 0, 0);
    }

    private static bool TryLock(FileObject file)
    {
        if (file.Busy != 0) return false;
        file.Busy = 1;
        return true;
    }

    private static Next FileLockWaited(Processor p)
    {
        var file = FileAt(p, p[0]);
        file.Waiters--;
        return p.ResultStatus == NtStatus.Success ? p.Goto(1) : Fail(p, p.ResultStatus);
    }

    /// <summary>Unlocks a synchronous file object and lets one waiter try.</summary>
    private static void Unlock(Processor p, FileObject file)
    {
        file.Busy = 0;
        if (file.Waiters > 0) Ke.SetEvent(p.Machine, file.Lock);
    }

    /// <summary>A file object is unlocked and the request fails.</summary>
    private static Next FailLocked(Processor p, NtStatus status)
    {
        var file = FileAt(p, p[0]);
        if (file.IsSynchronous) Unlock(p, file);
        return Fail(p, status);
    }

    // IopXxxControlFile(FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, IoControlCode, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength, IsDeviceControl)
    private static Next BuildControl(Processor p)
    {
        var m = p.Memory;
        var file = FileAt(p, p[0]);
        var code = p.Arg32(5);
        var (input, inputLength, output, outputLength) = (p.Arg(6), p.Arg32(7), p.Arg(8), p.Arg32(9));
        if (input == 0) inputLength = 0;
        if (output == 0) outputLength = 0;
        var mode = p.CurrentThread.PreviousMode;
        var method = code & 3;
        if (mode == ProcessorMode.UserMode)
        {
            var readable = method == MethodNeither || IsReadable(m, input, inputLength);
            var writable = method is MethodNeither || (method == MethodInDirect ? IsReadable(m, output, outputLength) : IsWritable(m, output, outputLength));
            if (!readable || !writable) return FailLocked(p, NtStatus.AccessViolation);
        }
        var device = TopOf(file.DeviceObject);
        // FAST_IO_DISPATCH.FastIoDeviceControl +0x50 (wdm.h) would be tried before an IRP is made.
        if (device.DriverObject.FastIoDispatch is not 0 and var fast && m.ReadU64(fast + 0x50) != 0) throw new UnmodelledException("fast I/O", "the driver has a FastIoDeviceControl routine");
        var eventHeader = file.Event;
        eventHeader.SignalState = 0;
        var irp = AllocateIrp(p.Machine, device.StackSize);
        StartRequest(p, irp, file, p.Arg(4), p.Arg(3));
        var location = irp.Location(irp.StackCount);
        location.MajorFunction = p.Arg(10) != 0 ? IrpMajor.DeviceControl : IrpMajor.FileSystemControl;
        location.FileObject = file;
        location.OutputBufferLength = outputLength;
        location.InputBufferLength = inputLength;
        location.IoControlCode = code;
        switch (method)
        {
            case MethodBuffered:
                if (inputLength != 0 || outputLength != 0) BufferInput(p, irp, input, inputLength, Math.Max(inputLength, outputLength));
                irp.UserBuffer = output;
                if (outputLength != 0) irp.Flags |= Irp.FlagInputOperation;
                break;
            case MethodInDirect:
            case MethodOutDirect:
                if (inputLength != 0) BufferInput(p, irp, input, inputLength, inputLength);
                if (outputLength != 0) irp.MdlAddress = Mm.CreateLockedMdl(p, output, outputLength);
                break;
            default:
                irp.UserBuffer = output;
                location.Argument4 = input;
                break;
        }
        p[2] = irp.Address;
        p[3] = device.Address;
        return p.Call("IopSynchronousServiceTail", 4, device.Address, irp.Address, file.Address, 0, (ulong)mode, file.IsSynchronous ? 1ul : 0, 2);
    }

    private static void BufferInput(Processor p, Irp irp, ulong input, uint inputLength, uint length)
    {
        irp.SystemBuffer = Ex.Allocate(p.Machine, Ex.NonPaged, length, "IoSB");
        // Windows doesn't clear the rest (M. Jurczyk, Detecting Kernel Memory Disclosure with x86 Emulation and Taint Tracking, 2018).
        if (length > 0) p.Memory.WriteShadow(irp.SystemBuffer, length, GuestMemory.Undefined);
        p.Machine.Copy(irp.SystemBuffer, input, inputLength);
        irp.Flags |= Irp.FlagBufferedIo | Irp.FlagDeallocateBuffer;
    }

    // NtReadFile/NtWriteFile(FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, Buffer, Length, ByteOffset, Key)
    private static Next BuildTransfer(Processor p, IrpMajor major)
    {
        var m = p.Memory;
        var file = FileAt(p, p[0]);
        var (buffer, length) = (p.Arg(5), p.Arg32(6));
        var mode = p.CurrentThread.PreviousMode;
        var write = major == IrpMajor.Write;
        if (mode == ProcessorMode.UserMode && !(write ? IsReadable(m, buffer, length) : IsWritable(m, buffer, length))) return FailLocked(p, NtStatus.AccessViolation);
        var device = TopOf(file.DeviceObject);
        var eventHeader = file.Event;
        eventHeader.SignalState = 0;
        var irp = AllocateIrp(p.Machine, device.StackSize);
        StartRequest(p, irp, file, p.Arg(4), p.Arg(3));
        var location = irp.Location(irp.StackCount);
        location.MajorFunction = major;
        location.FileObject = file;
        location.OutputBufferLength = length;
        if (p.Arg(8) != 0) m.WriteU32(location.Address + 0x10, m.ReadU32(p.Arg(8)));
        location.Argument3 = p.Arg(7) != 0 ? m.ReadU64(p.Arg(7)) : 0;
        irp.Flags |= (write ? Irp.FlagWriteOperation : Irp.FlagReadOperation) | Irp.FlagDeferIoCompletion;
        if ((device.Flags & DeviceObject.FlagBufferedIo) != 0)
        {
            if (length != 0) BufferInput(p, irp, buffer, write ? length : 0, length);
            if (!write)
            {
                irp.UserBuffer = buffer;
                irp.Flags |= Irp.FlagInputOperation;
            }
        }
        else if ((device.Flags & DeviceObject.FlagDirectIo) != 0)
        {
            if (length != 0) irp.MdlAddress = Mm.CreateLockedMdl(p, buffer, length);
        }
        else
        {
            irp.UserBuffer = buffer;
        }
        p[2] = irp.Address;
        p[3] = device.Address;
        return p.Call("IopSynchronousServiceTail", 4, device.Address, irp.Address, file.Address, 1, (ulong)mode, file.IsSynchronous ? 1ul : 0, write ? 1ul : 0);
    }

    /// <summary>What every client's IRP carries. The IRP takes over the references to file object and event.</summary>
    private static void StartRequest(Processor p, Irp irp, FileObject file, ulong iosb, ulong apcContext)
    {
        irp.RequestorMode = p.CurrentThread.PreviousMode;
        irp.UserIosb = iosb;
        irp.UserEvent = p[1];
        irp.UserApcContext = apcContext;
        irp.OriginalFileObject = file;
        irp.Thread = p.CurrentThread;
    }

    private static Next RequestDone(Processor p) => p[2] == 0 ? p.Return(p[3]) : p.Return(p.Result);

    // IopSynchronousServiceTail(DeviceObject, Irp, FileObject, DeferredIoCompletion, RequestorMode, SynchronousIo, TransferType)
    private static Next QueueAndCall(Processor p)
    {
        var irp = IrpAt(p, p.Arg(1));
        Enlist(p, irp, FileAt(p, p.Arg(2)));
        return p.Call("IofCallDriver", 1, p.Arg(0), p.Arg(1));
    }

    private static Next DispatchCameBack(Processor p)
    {
        var status = p.ResultStatus;
        var machine = p.Machine;
        machine.Log(new DispatchReturned(new(p.Arg(1)), machine.CurrentRequest(p), status));
        p.SetArg(3, p.Arg(3) << 32 | status.Value);
        var irp = IrpAt(p, p.Arg(1));
        if (p.Arg(3) >> 32 == 0 || status == NtStatus.Pending || irp.Type != 6 || irp.PendingReturned) return p.Goto(5);
        // A deferred completion: the same routine that would have come as an APC, called here at its IRQL.
        p[0] = p.Arg(2);
        p.Irql = Ke.ApcLevel;
        return p.Call("IopCompleteRequest", 4, irp.TailApc.Address, 0, 0, p.LocalAddress(0), 0);
    }

    private static Next DeferredDone(Processor p)
    {
        p.Irql = Ke.PassiveLevel;
        return p.Goto(5);
    }

    private static Next AfterDispatch(Processor p)
    {
        var status = new NtStatus(p.Arg32(3));
        var file = FileAt(p, p.Arg(2));
        if (p.Arg(5) == 0) return p.Return(status);
        if (status != NtStatus.Pending)
        {
            Unlock(p, file);
            return p.Return(status);
        }
        return p.Call("KeWaitForSingleObject", 2, file.Event.Address, (ulong)WaitReason.Executive, p.Arg(4), file.IsAlertable ? 1ul : 0, 0);
    }

    private static Next WaitEnded(Processor p)
    {
        if (p.ResultStatus != NtStatus.Alerted && p.ResultStatus != NtStatus.UserApc) return p.Goto(3);
        return p.Call("IopCancelAlertedRequest", 3, FileAt(p, p.Arg(2)).Event.Address, p.Arg(1));
    }

    private static Next SynchronousDone(Processor p)
    {
        var file = FileAt(p, p.Arg(2));
        var status = file.FinalStatus;
        Unlock(p, file);
        return p.Return(status);
    }

    // IofCallDriver(DeviceObject, Irp). Locals: 0 the dispatch routine, 1 its IRQL, 2 how often APCs are disabled, 3 how often its thread held resources
    // before, 4 the number by which a trace pairs call and return.
    private static Next CallDriver(Processor p)
    {
        var machine = p.Machine;
        var device = DeviceAt(p, p.Arg(0));
        var irp = IrpAt(p, p.Arg(1));
        irp.CurrentLocation--;
        if (irp.CurrentLocation <= 0) throw new BugCheckException(0x35, irp.Address, 0, 0, 0);
        var location = new IoStackLocation(p.Memory, irp.Current.Address - IoStackLocation.Size);
        irp.Current = location;
        location.DeviceObject = device;
        var routine = device.DriverObject.MajorFunction(location.MajorFunction);
        uint? code = location.MajorFunction is IrpMajor.DeviceControl or IrpMajor.InternalDeviceControl ? location.IoControlCode : null;
        machine.Log(new IrpSent(new(irp.Address), machine.RequestOf(irp), location.MajorFunction, code, NameOf(machine, device), machine.ModuleOf(routine), irp.CurrentLocation, (int)p.CurrentThread.UniqueThread));
        p[0] = routine;
        p[1] = p.Irql;
        p[2] = ApcState(p);
        p[3] = HoldsOfResources(p);
        if (machine.Trace is { } trace) p[4] = trace.DriverCalled(p, location, irp, routine);
        return p.Call(routine, 1, device.Address, irp.Address);
    }

    private static Next DriverReturned(Processor p)
    {
        p.Machine.Trace?.DriverReturned(p, p.Arg(1), (uint)p[4]);
        Ke.RequireLevel(p, p[0], "a dispatch routine", (byte)p[1]);
        if (HoldsOfResources(p) > p[3])
        {
            var name = p.Machine.NameOf(p[0]);
            p.Machine.LogOnce(new DriverFault("resource-held-at-return", name,
                $"{name}, a dispatch routine, returned while its thread still held the ERESOURCE at {new KernelAddress(Ex.HeldResources(p.Memory, p.CurrentThread).Last().Resource)}: whoever wants it next waits for a thread that is somewhere else.", Fatal: false, []));
        }
        if (ApcState(p) != p[2])
        {
            var name = p.Machine.NameOf(p[0]);
            throw new DriverFaultException("critical-region-not-left", name, $"{name}, a dispatch routine, returned with APCs {(p.CurrentThread.KernelApcDisable < 0 || p.CurrentThread.SpecialApcDisable < 0 ? "disabled: a critical or guarded region was not left, or a mutex not released" : "enabled that were disabled when it was called")} (Windows: bug check 0x1 on the way back to user mode).");
        }
        return p.Return(p.Result);
    }

    private static ulong ApcState(Processor p) => (ushort)p.CurrentThread.KernelApcDisable | (ulong)(ushort)p.CurrentThread.SpecialApcDisable << 16;

    private static ulong HoldsOfResources(Processor p) => (ulong)Ex.HeldResources(p.Memory, p.CurrentThread).Sum(held => held.Count);

    /// <summary>IoGetRelatedDeviceObject: the top of the device stack.</summary>
    public static DeviceObject TopOf(DeviceObject device)
    {
        while (!device.AttachedDevice.IsNull) device = device.AttachedDevice;
        return device;
    }
}
