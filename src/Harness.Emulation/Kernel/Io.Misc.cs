using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Smaller services of the I/O manager that drivers of no hardware use.</summary>
internal static partial class Io
{
    /// <summary>ERROR_LOG_MAXIMUM_SIZE (wdm.h): bytes.</summary>
    private const uint LargestErrorLogEntry = 0xF0 - 0x20;

    private static void DefineMiscellaneous(NtRoutines nt)
    {
        DefineSafeCompletion(nt);
        DefineDeviceTimers(nt);
        DefineShares(nt);
        // IoForwardIrpSynchronously(DeviceObject, Irp). Locals 0..2: KEVENT.
        nt.Add("IoForwardIrpSynchronously", 4, ForwardDown, ForwardedDown, p => p.Return(true));
        nt.Add("IopForwardCompletion", p =>
        {
            Ke.SetEvent(p.Machine, new DispatcherHeader(p.Memory, p.Arg(2)));
            return p.Return(NtStatus.MoreProcessingRequired);
        });
        // IoAttachDevice(SourceDevice, TargetDevice name, AttachedDevice*). Locals: 0 file object, 1 device.
        nt.Add("IoAttachDevice", 2, p => p.Call("IoGetDeviceObjectPointer", 1, p.Arg(1), 0x80, p.LocalAddress(0), p.LocalAddress(1)), AttachNamed, p => p.Return(NtStatus.Success));
        nt.Add("IoCreateFile", p => p.Call("IopCreateFile", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3), p.Arg(8), p.Arg(6), p.Arg(7)), p => p.Return(p.Result));

        nt.Add("IoAllocateErrorLogEntry", p =>
        {
            if (p.Arg8(1) > LargestErrorLogEntry) return p.Return();
            var entry = Ex.Allocate(p.Machine, Ex.NonPaged, p.Arg8(1), "IoEr");
            p.Memory.Fill(entry, p.Arg8(1), 0);
            return p.Return(Ex.OwnedByCaller(p.Machine, entry));
        });
        nt.Add("IoWriteErrorLogEntry", FreeArgument);
        nt.Add("IoFreeErrorLogEntry", FreeArgument);

        // No device here was made by the PnP manager.
        nt.Add("IoRegisterDeviceInterface", p => p.Return(NtStatus.InvalidDeviceRequest));
        nt.Add("IoSetDeviceInterfaceState", p => p.Return(NtStatus.ObjectNameNotFound));
        nt.Add("IoOpenDeviceRegistryKey", p => p.Return(NtStatus.InvalidDeviceRequest));
        nt.Add("IoOpenDeviceInterfaceRegistryKey", p => p.Return(NtStatus.ObjectNameNotFound));
        nt.Add("IoGetDeviceInterfaces", p =>
        {
            var list = Ex.Allocate(p.Machine, Ex.Paged, 4, "IoLi");
            p.Memory.WriteU32(list, 0);
            p.Memory.WriteU64(p.Arg(3), list);
            return p.Return(NtStatus.Success);
        });

        nt.Add("PoStartNextPowerIrp", p => p.Return());
        nt.Add("PoCallDriver", p => p.Call("IofCallDriver", 1, p.Arg(0), p.Arg(1)), p => p.Return(p.Result));
        // PoSetPowerState returns the previous state: PowerDeviceD0 or PowerSystemWorking.
        nt.Add("PoSetPowerState", p => p.Return(1));
        nt.Add("PoRegisterDeviceForIdleDetection", p => p.Return());

        nt.Add("IoGetStackLimits", p =>
        {
            p.Memory.WriteU64(p.Arg(0), p.CurrentThread.StackLimit);
            p.Memory.WriteU64(p.Arg(1), p.CurrentThread.StackBase);
            return p.Return();
        });
        nt.Add("IoGetRemainingStackSize", p => p.Return(p.FrameTop - p.CurrentThread.StackLimit));
        nt.Add("IoWithinStackLimits", p => p.Return(p.Arg(0) >= p.CurrentThread.StackLimit && p.Arg(0) + p.Arg(1) <= p.CurrentThread.StackBase));
        nt.Add("IoGetInitialStack", p => p.Return(p.CurrentThread.InitialStack));
        // WDM 6.0 is what Windows has called itself since Vista.
        nt.Add("IoIsWdmVersionAvailable", p => p.Return(p.Arg8(0) < 6 || p.Arg8(0) == 6 && p.Arg8(1) == 0));
        nt.Add("IoGetConfigurationInformation", p => p.Return(NtData.Configuration));
        nt.Add("IoCreateNotificationEvent", p => CreateNamedEvent(p, DispatcherType.NotificationEvent));
        nt.Add("IoCreateSynchronizationEvent", p => CreateNamedEvent(p, DispatcherType.SynchronizationEvent));
        nt.Add("IoIsSystemThread", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).IsSystemThread));
        nt.Add("IoSetThreadHardErrorMode", p => p.Return(true));
        nt.Add("IoGetRequestorSessionId", p =>
        {
            p.Memory.WriteU32(p.Arg(1), 0);
            return p.Return(NtStatus.Success);
        });
        nt.Add("IoIs32bitProcess", p => p.Return(false));
        // IoPriorityNormal.
        nt.Add("IoGetIoPriorityHint", p => p.Return(2));
        nt.Add("IoSetIoPriorityHint", p => p.Return(NtStatus.Success));
        nt.Add("IoGetActivityIdIrp", p => p.Return(NtStatus.NotFound));
        nt.Add("IoGetDeviceNumaNode", p =>
        {
            p.Memory.WriteU16(p.Arg(1), 0);
            return p.Return(NtStatus.Success);
        });
        nt.Add("IoGetDriverDirectory", p => p.Return(NtStatus.NotSupported));
    }

    private static Next FreeArgument(Processor p)
    {
        Ex.Free(p.Machine, p.Arg(0));
        return p.Return();
    }

    /// <summary>Completion routines that keep their device: a block of device, routine, context.</summary>
    private static void DefineSafeCompletion(NtRoutines nt)
    {
        // IoSetCompletionRoutineEx(DeviceObject, Irp, CompletionRoutine, Context, InvokeOnSuccess, InvokeOnError, InvokeOnCancel)
        nt.Add("IoSetCompletionRoutineEx", p =>
        {
            var block = Ex.Allocate(p.Machine, Ex.NonPaged, 0x18, "IoUs");
            p.Memory.WriteU64(block, p.Arg(0));
            p.Memory.WriteU64(block + 8, p.Arg(2));
            p.Memory.WriteU64(block + 0x10, p.Arg(3));
            Ob.Reference(p.Memory, p.Arg(0));
            var next = new IoStackLocation(p.Memory, IrpAt(p, p.Arg(1)).Current.Address - IoStackLocation.Size);
            next.CompletionRoutine = NtImage.Instance["IopUnloadSafeCompletion"];
            next.Context = block;
            next.Control = (byte)((p.Arg8(4) != 0 ? IoStackLocation.InvokeOnSuccess : 0) | (p.Arg8(5) != 0 ? IoStackLocation.InvokeOnError : 0) | (p.Arg8(6) != 0 ? IoStackLocation.InvokeOnCancel : 0));
            return p.Return(NtStatus.Success);
        });
        // Locals: 0 device, 1 what the routine said.
        nt.Add("IopUnloadSafeCompletion", 2, p =>
        {
            var (routine, context) = (p.Memory.ReadU64(p.Arg(2) + 8), p.Memory.ReadU64(p.Arg(2) + 0x10));
            p[0] = p.Memory.ReadU64(p.Arg(2));
            Ex.Free(p.Machine, p.Arg(2));
            return p.Call(routine, 1, p.Arg(0), p.Arg(1), context);
        }, p =>
        {
            p[1] = p.Result;
            return p.Call("ObfDereferenceObject", 2, p[0]);
        }, p => p.Return(p[1]));
    }

    /// <summary>Timers of devices, once a second. IO_TIMER: Type +0, TimerFlag +2, TimerRoutine +0x18, Context +0x20, DeviceObject +0x28; then a KTIMER and a KDPC of our own.</summary>
    private static void DefineDeviceTimers(NtRoutines nt)
    {
        const ulong timerOffset = 0x30, dpcOffset = 0x70;
        nt.Add("IoInitializeTimer", p =>
        {
            var device = DeviceAt(p, p.Arg(0));
            if (device.IoTimer == 0) device.IoTimer = Ex.Allocate(p.Machine, Ex.NonPaged, 0xB0, "IoTm");
            var timer = device.IoTimer;
            p.Memory.Fill(timer, 0xB0, 0);
            p.Memory.WriteU16(timer, 9);
            p.Memory.WriteU64(timer + 0x18, p.Arg(1));
            p.Memory.WriteU64(timer + 0x20, p.Arg(2));
            p.Memory.WriteU64(timer + 0x28, device.Address);
            new DispatcherHeader(p.Memory, timer + timerOffset).Initialize(DispatcherType.NotificationTimer, Structures.Timer.Size, 0);
            return p.Call("KeInitializeDpc", 1, timer + dpcOffset, NtImage.Instance["IopTimerDispatch"], timer);
        }, p => p.Return(NtStatus.Success));
        nt.Add("IoStartTimer", p =>
        {
            var device = DeviceAt(p, p.Arg(0));
            if ((device.ExtensionFlags & DeviceObject.ExtensionDeletePending) != 0) return p.Return();
            p.Memory.WriteU16(device.IoTimer + 2, 1);
            return p.Call("KeSetTimerEx", 1, device.IoTimer + timerOffset, unchecked((ulong)-10_000_000L), 1000, device.IoTimer + dpcOffset);
        }, p => p.Return());
        nt.Add("IoStopTimer", p =>
        {
            var device = DeviceAt(p, p.Arg(0));
            p.Memory.WriteU16(device.IoTimer + 2, 0);
            return p.Call("KeCancelTimer", 1, device.IoTimer + timerOffset);
        }, p => p.Return());
        // IopTimerDispatch(Dpc, DeferredContext, …)
        nt.Add("IopTimerDispatch", p =>
        {
            var timer = p.Arg(1);
            if (p.Memory.ReadU16(timer + 2) == 0) return p.Return();
            return p.Call(p.Memory.ReadU64(timer + 0x18), 1, p.Memory.ReadU64(timer + 0x28), p.Memory.ReadU64(timer + 0x20));
        }, p => p.Return());
    }

    /// <summary>SHARE_ACCESS: OpenCount, Readers, Writers, Deleters, SharedRead, SharedWrite, SharedDelete; ULONGs (wdm.h).</summary>
    private static void DefineShares(NtRoutines nt)
    {
        // IoCheckShareAccess(DesiredAccess, DesiredShareAccess, FileObject, ShareAccess, Update)
        nt.Add("IoCheckShareAccess", p =>
        {
            NoteAccess(p, p.Arg32(0), p.Arg32(1), p.Arg(2), out var read, out var write, out var delete);
            if (!read && !write && !delete) return p.Return(NtStatus.Success);
            var s = p.Arg(3);
            uint Count(int index) => p.Memory.ReadU32(s + ((ulong)index * 4));
            var open = Count(0);
            var refused = read && Count(4) < open || write && Count(5) < open || delete && Count(6) < open
                || Count(1) != 0 && (p.Arg32(1) & 1) == 0 || Count(2) != 0 && (p.Arg32(1) & 2) == 0 || Count(3) != 0 && (p.Arg32(1) & 4) == 0;
            if (refused) return p.Return(new NtStatus(0xC0000043));
            if (p.Arg8(4) != 0) CountShare(p, p.Arg(2), s, +1);
            return p.Return(NtStatus.Success);
        });
        // IoSetShareAccess(DesiredAccess, DesiredShareAccess, FileObject, ShareAccess)
        nt.Add("IoSetShareAccess", p =>
        {
            NoteAccess(p, p.Arg32(0), p.Arg32(1), p.Arg(2), out _, out _, out _);
            p.Memory.Fill(p.Arg(3), 28, 0);
            CountShare(p, p.Arg(2), p.Arg(3), +1);
            return p.Return();
        });
        nt.Add("IoUpdateShareAccess", p =>
        {
            CountShare(p, p.Arg(0), p.Arg(1), +1);
            return p.Return();
        });
        nt.Add("IoRemoveShareAccess", p =>
        {
            CountShare(p, p.Arg(0), p.Arg(1), -1);
            return p.Return();
        });
    }

    // FILE_OBJECT: ReadAccess +0x4A, WriteAccess, DeleteAccess, SharedRead, SharedWrite, SharedDelete.
    private static void NoteAccess(Processor p, uint access, uint share, ulong file, out bool read, out bool write, out bool delete)
    {
        // FILE_READ_DATA, FILE_EXECUTE; FILE_WRITE_DATA, FILE_APPEND_DATA; DELETE.
        (read, write, delete) = ((access & 0x21) != 0, (access & 6) != 0, (access & 0x10000) != 0);
        var any = read || write || delete;
        ReadOnlySpan<bool> flags = [read, write, delete, any && (share & 1) != 0, any && (share & 2) != 0, any && (share & 4) != 0];
        for (var i = 0; i < flags.Length; i++) p.Memory.WriteU8(file + 0x4A + (ulong)i, flags[i] ? (byte)1 : (byte)0);
    }

    private static void CountShare(Processor p, ulong file, ulong share, int by)
    {
        var any = false;
        for (ulong i = 0; i < 6; i++)
        {
            var flag = p.Memory.ReadU8(file + 0x4A + i) != 0;
            any |= flag && i < 3;
            if (flag) p.Memory.WriteU32(share + 4 + (i * 4), p.Memory.ReadU32(share + 4 + (i * 4)) + (uint)by);
        }
        if (any) p.Memory.WriteU32(share, p.Memory.ReadU32(share) + (uint)by);
    }

    private static Next ForwardDown(Processor p)
    {
        var irp = IrpAt(p, p.Arg(1));
        new DispatcherHeader(p.Memory, p.LocalAddress(0)).Initialize(DispatcherType.NotificationEvent, DispatcherHeader.Size, 0);
        var next = new IoStackLocation(p.Memory, irp.Current.Address - IoStackLocation.Size);
        // IoCopyCurrentIrpStackLocationToNext: all but the completion routine and its context.
        p.Machine.Copy(next.Address, irp.Current.Address, 0x38);
        next.CompletionRoutine = NtImage.Instance["IopForwardCompletion"];
        next.Context = p.LocalAddress(0);
        next.Control = IoStackLocation.InvokeOnSuccess | IoStackLocation.InvokeOnError | IoStackLocation.InvokeOnCancel;
        return p.Call("IofCallDriver", 1, p.Arg(0), p.Arg(1));
    }

    private static Next ForwardedDown(Processor p) =>
        p.ResultStatus != NtStatus.Pending ? p.Return(true)
        : p.Call("KeWaitForSingleObject", 2, p.LocalAddress(0), (ulong)WaitReason.Executive, (ulong)ProcessorMode.KernelMode, 0, 0);

    private static Next AttachNamed(Processor p)
    {
        if (p.ResultStatus.IsError) return p.Return(p.Result);
        var below = Attach(DeviceAt(p, p.Arg(0)), DeviceAt(p, p[1]));
        p.Memory.WriteU64(p.Arg(2), below.Address);
        return p.Call("ObfDereferenceObject", 2, p[0]);
    }

    // (EventName, EventHandle*): made signalled, or opened.
    private static Next CreateNamedEvent(Processor p, DispatcherType type)
    {
        var name = new UnicodeString(p.Memory, p.Arg(0)).Text;
        var body = Ob.Find(p.Machine, name);
        var made = body == 0;
        if (made)
        {
            body = Ob.Create(p.Machine, Ob.EventType, DispatcherHeader.Size, name);
            new DispatcherHeader(p.Memory, body).Initialize(type, DispatcherHeader.Size, 1);
        }
        p.Memory.WriteU64(p.Arg(1), Ob.InsertHandleFor(p, body, kernelHandle: true));
        if (made) Ob.DereferenceNow(p.Machine, body);
        return p.Return(body);
    }
}
