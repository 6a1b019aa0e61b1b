/*
 * system-thread: \Device\SystemThread, 0x222000.
 *
 * Sound: a system thread of the driver's own works a queue off, one request a second. A semaphore counts the requests that came, an
 * event tells the thread to end, and unload waits for it. A request stays in the queue, and can be cancelled, until it is completed.
 *
 * When the client dies: it ends at once, the request with STATUS_CANCELLED.
 */

#include "device.h"

typedef struct _SYSTEM_THREAD {
    KSPIN_LOCK Lock;
    LIST_ENTRY Irps; /* under Lock */
    KSEMAPHORE Arrived;
    KEVENT Stop;
    PVOID Thread;
} SYSTEM_THREAD;

static DRIVER_CANCEL SystemThreadCancel;
static DRIVER_DISPATCH SystemThreadControl;
static DRIVER_DISPATCH SystemThreadCleanup;
static DRIVER_UNLOAD SystemThreadUnload;
static KSTART_ROUTINE SystemThreadRun;

static const WCHAR DeviceName[] = L"\\Device\\SystemThread";
static const WCHAR LinkName[] = L"\\DosDevices\\SystemThread";

_Use_decl_annotations_
static VOID NTAPI SystemThreadCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    SYSTEM_THREAD *device = DeviceObject->DeviceExtension;
    KIRQL irql;

    IoReleaseCancelSpinLock(Irp->CancelIrql);

    KeAcquireSpinLock(&device->Lock, &irql);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    KeReleaseSpinLock(&device->Lock, irql);

    TestComplete(Irp, STATUS_CANCELLED, 0);
}

/* The oldest IRP of this file object, or of any where File is NULL, that is not being cancelled. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Ret_maybenull_
static PIRP SystemThreadTake(_Inout_ SYSTEM_THREAD *Device, _In_opt_ PFILE_OBJECT File)
{
    PIRP taken = NULL;
    PLIST_ENTRY entry;
    KIRQL irql;

    KeAcquireSpinLock(&Device->Lock, &irql);

    for (entry = Device->Irps.Flink; entry != &Device->Irps && taken == NULL; entry = entry->Flink) {
        PIRP irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);

        if (File != NULL && IoGetCurrentIrpStackLocation(irp)->FileObject != File) {
            continue;
        }

        /* Without a routine to take back, the cancel routine is on its way and will unlink it. */
        if (IoSetCancelRoutine(irp, NULL) != NULL) {
            taken = irp;
        }
    }

    if (taken != NULL) {
        RemoveEntryList(&taken->Tail.Overlay.ListEntry);
    }

    KeReleaseSpinLock(&Device->Lock, irql);
    return taken;
}

_Use_decl_annotations_
static VOID NTAPI SystemThreadRun(PVOID Context)
{
    SYSTEM_THREAD *device = Context;
    PVOID objects[2] = { &device->Stop, &device->Arrived };
    LARGE_INTEGER second;
    PIRP irp;

    second.QuadPart = TEST_MILLISECONDS(1000);

    while (KeWaitForMultipleObjects(2, objects, WaitAny, Executive, KernelMode, FALSE, NULL, NULL) != STATUS_WAIT_0) {
        /* The work: a second in which Stop is still heard. */
        if (KeWaitForSingleObject(&device->Stop, Executive, KernelMode, FALSE, &second) != STATUS_TIMEOUT) {
            break;
        }

        irp = SystemThreadTake(device, NULL);
        if (irp != NULL) {
            TestComplete(irp, STATUS_SUCCESS, 0);
        }
    }

    PsTerminateSystemThread(STATUS_SUCCESS);
}

_Use_decl_annotations_
static NTSTATUS NTAPI SystemThreadControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    SYSTEM_THREAD *device = DeviceObject->DeviceExtension;
    BOOLEAN ours;
    KIRQL irql;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    KeAcquireSpinLock(&device->Lock, &irql);
    IoMarkIrpPending(Irp);
    InsertTailList(&device->Irps, &Irp->Tail.Overlay.ListEntry);
    IoSetCancelRoutine(Irp, SystemThreadCancel);
    ours = Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL;
    if (ours) {
        RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    }

    KeReleaseSpinLock(&device->Lock, irql);

    if (ours) {
        TestComplete(Irp, STATUS_CANCELLED, 0);
    } else {
        KeReleaseSemaphore(&device->Arrived, IO_NO_INCREMENT, 1, FALSE);
    }

    return STATUS_PENDING;
}

_Use_decl_annotations_
static NTSTATUS NTAPI SystemThreadCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    SYSTEM_THREAD *device = DeviceObject->DeviceExtension;
    PIRP irp;

    while ((irp = SystemThreadTake(device, IoGetCurrentIrpStackLocation(Irp)->FileObject)) != NULL) {
        TestComplete(irp, STATUS_CANCELLED, 0);
    }

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI SystemThreadUnload(PDRIVER_OBJECT DriverObject)
{
    SYSTEM_THREAD *device = DriverObject->DeviceObject->DeviceExtension;

    /* The thread's code goes with the image: waiting for the thread object is waiting until it has left that code. */
    KeSetEvent(&device->Stop, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(device->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(device->Thread);
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_IRQL_requires_max_(PASSIVE_LEVEL)
_Must_inspect_result_
static NTSTATUS SystemThreadStart(_Inout_ SYSTEM_THREAD *Device)
{
    HANDLE thread;
    NTSTATUS status;

    status = PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, SystemThreadRun, Device);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    /* The object rather than the handle, which unload, in whatever process it runs, could not use. */
    status = ObReferenceObjectByHandle(thread, SYNCHRONIZE, *PsThreadType, KernelMode, &Device->Thread, NULL);
    if (!NT_SUCCESS(status)) {
        Device->Thread = NULL;
    }

    ZwClose(thread);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    SYSTEM_THREAD *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(SYSTEM_THREAD), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = SystemThreadControl;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = SystemThreadCleanup;

    device = deviceObject->DeviceExtension;
    KeInitializeSpinLock(&device->Lock);
    InitializeListHead(&device->Irps);
    KeInitializeSemaphore(&device->Arrived, 0, MAXLONG);
    KeInitializeEvent(&device->Stop, NotificationEvent, FALSE);
    status = SystemThreadStart(device);
    if (!NT_SUCCESS(status)) {
        TestDeleteDevice(deviceObject, LinkName);
        return status;
    }

    /* A thread that cannot be waited for may run for ever in this image. A driver without an unload routine is never unloaded. */
    if (device->Thread != NULL) {
        DriverObject->DriverUnload = SystemThreadUnload;
    }

    return STATUS_SUCCESS;
}
