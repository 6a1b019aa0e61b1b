using System.Text;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>File objects: IRP_MJ_CREATE when one is opened, IRP_MJ_CLEANUP with its last handle, IRP_MJ_CLOSE with its last reference.</summary>
internal static partial class Io
{
    private const uint SynchronousAlert = 0x10, SynchronousNonAlert = 0x20;

    private static void DefineFiles(NtRoutines nt)
    {
        nt.Add("NtCreateFile", p => p.Call("IopCreateFile", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3), p.Arg(8), p.Arg(6), p.Arg(7)), p => p.Return(p.Result));
        nt.Add("NtOpenFile", p => p.Call("IopCreateFile", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3), p.Arg(5), p.Arg(4), 1), p => p.Return(p.Result));
        // IopCreateFile(FileHandle, DesiredAccess, ObjectAttributes, IoStatusBlock, CreateOptions, ShareAccess, Disposition). Local 0: the file object.
        nt.Add("IopCreateFile", 1, p => p.Call("IopParseDevice", 1, p.Arg(2), p.Arg(4), p.Arg(1), p.LocalAddress(0)), FileParsed);
        // IopParseDevice(ObjectAttributes, CreateOptions, DesiredAccess, FileObject*). Locals: 0 file, 1 IRP, 2..4 KEVENT, 5..6 IO_STATUS_BLOCK.
        nt.Add("IopParseDevice", 8, SendCreate, CreateSent, CreateDone, p => p.Return(p[5]));
        // IopCloseFile(Process, FileObject): the last handle. Locals as above.
        nt.Add("IopCloseFile", 8, p => p.Goto(1), LockForCleanup, LockFreed, CleanupSent, CleanupDone, p => p.Return());
        // IopDeleteFile(FileObject): the last reference.
        nt.Add("IopDeleteFile", 8, SendClose, CloseSent, CloseDone, p => p.Return());
        nt.Add("IoGetDeviceObjectPointer", 8, OpenDevicePointer, DevicePointerOpened, p => p.Return(p[1]));
        nt.Add("IoGetRelatedDeviceObject", p => p.Return(TopOf(FileAt(p, p.Arg(0)).DeviceObject).Address));
        nt.Add("IoGetBaseFileSystemDeviceObject", p => p.Return(FileAt(p, p.Arg(0)).DeviceObject.Address));
    }

    private static Next FileParsed(Processor p)
    {
        var status = p.ResultStatus;
        if (status.IsSuccess)
        {
            var file = FileAt(p, p[0]);
            file.Flags |= FileObject.FlagHandleCreated;
            var attributes = p.Memory.ReadU32(p.Arg(2) + 0x18);
            var handle = Ob.InsertHandleFor(p, p[0], (attributes & 0x200) != 0 && p.CurrentThread.PreviousMode == ProcessorMode.KernelMode);
            Ob.DereferenceNow(p.Machine, p[0]);
            p.Memory.WriteU64(p.Arg(0), handle);
        }
        if (p.Arg(3) != 0)
        {
            p.Memory.WriteU32(p.Arg(3), status.Value);
            p.Memory.WriteU64(p.Arg(3) + 8, status.IsSuccess ? 1ul : 0);
        }
        return p.Return(status);
    }

    private static Next SendCreate(Processor p)
    {
        // OBJECT_ATTRIBUTES: RootDirectory +8, ObjectName +0x10, Attributes +0x18 (ntdef.h).
        var name = new UnicodeString(p.Memory, p.Memory.ReadU64(p.Arg(0) + 0x10)).Text;
        return OpenDevice(p, name, p.Arg32(1), p.Arg32(2), 1);
    }

    private static Next OpenDevice(Processor p, string name, uint options, uint access, int then)
    {
        var machine = p.Machine;
        var body = Ob.Resolve(machine, name, out var rest);
        p[0] = 0;
        if (body == 0) return p.Return(NtStatus.ObjectNameNotFound);
        if (Ob.TypeOf(p.Memory, body) != Ob.DeviceType) return p.Return(NtStatus.ObjectTypeMismatch);
        var device = DeviceAt(p, body);
        if ((device.ExtensionFlags & (DeviceObject.ExtensionUnloadPending | DeviceObject.ExtensionDeletePending)) != 0) return p.Return(NtStatus.NoSuchDevice);
        if ((device.Flags & DeviceObject.FlagExclusive) != 0 && device.ReferenceCount != 0) return p.Return(NtStatus.AccessDenied);
        if ((device.Flags & DeviceObject.FlagDeviceInitializing) != 0) return p.Return(NtStatus.NoSuchDevice);
        device.ReferenceCount++;
        var file = FileAt(p, Ob.Create(machine, Ob.FileType, FileObject.Size));
        file.Type = 5;
        file.ObjectSize = FileObject.Size;
        file.DeviceObject = device;
        file.Lock.Initialize(DispatcherType.SynchronizationEvent, DispatcherHeader.Size, 0);
        file.Event.Initialize(DispatcherType.NotificationEvent, DispatcherHeader.Size, 0);
        file.IrpList.Initialize();
        file.ReadAccess = file.WriteAccess = true;
        if ((options & (SynchronousAlert | SynchronousNonAlert)) != 0) file.Flags |= FileObject.FlagSynchronousIo;
        if ((options & SynchronousAlert) != 0) file.Flags |= FileObject.FlagAlertableIo;
        if (rest.Length != 0) Ob.WriteString(machine, file.FileName.Address, rest);
        p[0] = file.Address;
        var top = TopOf(device);
        var irp = IssuerIrp(p, top, file, IrpMajor.Create, Irp.FlagCreateOperation);
        var location = irp.Location(irp.StackCount);
        // Parameters.Create: SecurityContext +0, Options +8, FileAttributes +0x10, ShareAccess +0x12, EaLength +0x18 (wdm.h).
        p.Memory.WriteU32(location.Address + 0x10, options | 1u << 24);
        p.Memory.WriteU16(location.Address + 0x1A, 3);
        return p.Call("IofCallDriver", then, top.Address, irp.Address);
    }

    /// <summary>An IRP that its issuer waits for and frees: event and status block are locals 2 and 5 of the routine.</summary>
    private static Irp IssuerIrp(Processor p, DeviceObject top, FileObject file, IrpMajor major, uint flag)
    {
        var irp = AllocateIrp(p.Machine, top.StackSize);
        p[1] = irp.Address;
        new DispatcherHeader(p.Memory, p.LocalAddress(2)).Initialize(DispatcherType.NotificationEvent, DispatcherHeader.Size, 0);
        irp.Flags = flag | Irp.FlagSynchronousApi;
        irp.RequestorMode = ProcessorMode.KernelMode;
        irp.UserEvent = p.LocalAddress(2);
        irp.UserIosb = p.LocalAddress(5);
        irp.Thread = p.CurrentThread;
        irp.OriginalFileObject = file;
        var location = irp.Location(irp.StackCount);
        location.MajorFunction = major;
        location.FileObject = file;
        p.CurrentThread.IrpList.InsertHead(irp.ThreadListEntry);
        return irp;
    }

    /// <summary>The issuer's wait: KernelMode, so nothing but the driver ends it.</summary>
    private static Next AwaitIssued(Processor p, int then, WaitReason reason) =>
        p.Call("KeWaitForSingleObject", then, p.LocalAddress(2), (ulong)reason, (ulong)ProcessorMode.KernelMode, 0, 0);

    private static NtStatus EndIssued(Processor p)
    {
        var irp = IrpAt(p, p[1]);
        irp.ThreadListEntry.Remove();
        FreeIrp(p.Machine, irp);
        return new NtStatus((uint)p[5]);
    }

    private static Next CreateSent(Processor p)
    {
        // A driver must complete a create with the status it returns; the event tells that it did.
        p[7] = p.Result;
        return AwaitIssued(p, 2, WaitReason.Executive);
    }

    private static Next CreateDone(Processor p)
    {
        var status = EndIssued(p);
        p[5] = status.Value;
        var file = FileAt(p, p[0]);
        if (status.IsError)
        {
            // No handle, so neither cleanup nor close: the file object just goes.
            var device = file.DeviceObject;
            device.ReferenceCount--;
            FinishDelete(p.Machine, device);
            file.DeviceObject = default;
            return p.Call("ObfDereferenceObject", 3, file.Address);
        }
        p.Memory.WriteU64(p.Arg(3), p[0]);
        return p.Return(status);
    }

    private static Next LockForCleanup(Processor p)
    {
        var file = FileAt(p, p.Arg(1));
        if (file.IsSynchronous && !TryLock(file))
        {
            // CloseHandle on a synchronous handle whose request hangs: this wait is KernelMode too.
            file.Waiters++;
            return p.Call("KeWaitForSingleObject", 2, file.Lock.Address, (ulong)WaitReason.Executive, (ulong)ProcessorMode.KernelMode, 0, 0);
        }
        var top = TopOf(file.DeviceObject);
        var irp = IssuerIrp(p, top, file, IrpMajor.Cleanup, Irp.FlagCloseOperation);
        return p.Call("IofCallDriver", 3, top.Address, irp.Address);
    }

    private static Next LockFreed(Processor p)
    {
        var file = FileAt(p, p.Arg(1));
        file.Waiters--;
        return p.Goto(1);
    }

    private static Next CleanupSent(Processor p) => AwaitIssued(p, 4, WaitReason.UserRequest);

    private static Next CleanupDone(Processor p)
    {
        EndIssued(p);
        var file = FileAt(p, p.Arg(1));
        file.Flags |= FileObject.FlagCleanupComplete;
        if (file.IsSynchronous) Unlock(p, file);
        return file.IrpList.IsEmpty ? p.Return() : p.Call("IopCleanupProcessResources", 5, p.Arg(0), file.Address);
    }

    private static Next SendClose(Processor p)
    {
        var file = FileAt(p, p.Arg(0));
        if (file.DeviceObject.IsNull) return p.Return();
        var top = TopOf(file.DeviceObject);
        var irp = IssuerIrp(p, top, file, IrpMajor.Close, Irp.FlagCloseOperation);
        return p.Call("IofCallDriver", 1, top.Address, irp.Address);
    }

    private static Next CloseSent(Processor p) => AwaitIssued(p, 2, WaitReason.Executive);

    private static Next CloseDone(Processor p)
    {
        EndIssued(p);
        var device = FileAt(p, p.Arg(0)).DeviceObject;
        device.ReferenceCount--;
        FinishDelete(p.Machine, device);
        return p.Return();
    }

    // IoGetDeviceObjectPointer(ObjectName, DesiredAccess, FileObject*, DeviceObject*)
    private static Next OpenDevicePointer(Processor p) => OpenDevice(p, new UnicodeString(p.Memory, p.Arg(0)).Text, 0x40, p.Arg32(1), 1);

    private static Next DevicePointerOpened(Processor p)
    {
        if (new DispatcherHeader(p.Memory, p.LocalAddress(2)).SignalState == 0) throw new UnmodelledException("nt!IoGetDeviceObjectPointer", "an IRP_MJ_CREATE that is pended");
        var status = EndIssued(p);
        if (status.IsError) return p.Return(status);
        p.Memory.WriteU64(p.Arg(2), p[0]);
        p.Memory.WriteU64(p.Arg(3), TopOf(FileAt(p, p[0]).DeviceObject).Address);
        return p.Return(status);
    }
}
