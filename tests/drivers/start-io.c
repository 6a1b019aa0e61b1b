/*
 * start-io: \Device\StartIo, 0x222000.
 *
 * Sound, with the I/O manager's own queue: IoStartPacket, a StartIo routine, IoStartNextPacket. One request at a time is in progress; a
 * timer's DPC completes it after 5 s. Both the one in progress and those that wait can be cancelled. A closed handle's requests end
 * by the timer, so there is nothing to do in cleanup.
 *
 * When the client dies: it ends at once, the request with STATUS_CANCELLED.
 */

#include "device.h"

typedef struct _START_IO {
    KTIMER Timer;
    KDPC Dpc;
    PIRP InProgress; /* that the timer runs for; under the cancel spin lock */
} START_IO;

static DRIVER_CANCEL StartIoCancel;
static DRIVER_STARTIO StartIoStart;
static KDEFERRED_ROUTINE StartIoExpired;
static DRIVER_DISPATCH StartIoControl;
static DRIVER_UNLOAD StartIoUnload;

static const WCHAR DeviceName[] = L"\\Device\\StartIo";
static const WCHAR LinkName[] = L"\\DosDevices\\StartIo";

_Use_decl_annotations_
static VOID NTAPI StartIoCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    START_IO *device = DeviceObject->DeviceExtension;
    KIRQL irql;

    if (DeviceObject->CurrentIrp == Irp) {
        device->InProgress = NULL;
        KeCancelTimer(&device->Timer);
        IoReleaseCancelSpinLock(Irp->CancelIrql);

        /* IoStartNextPacket is for DISPATCH_LEVEL only, and takes the cancel lock itself. */
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        IoStartNextPacket(DeviceObject, TRUE);
        KeLowerIrql(irql);
    } else {
        /* Out of the middle of the queue; KeRemoveDeviceQueue would take the first, which may be another's. */
        KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
        IoReleaseCancelSpinLock(Irp->CancelIrql);
    }

    TestComplete(Irp, STATUS_CANCELLED, 0);
}

_Use_decl_annotations_
static VOID NTAPI StartIoStart(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    START_IO *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;
    KIRQL irql;

    /*
     * Between IoStartPacket and here the IRP could be cancelled. While it is CurrentIrp it has not been completed, as the cancel
     * routine first starts the next one; so only then may it be looked into.
     */
    IoAcquireCancelSpinLock(&irql);
    if (DeviceObject->CurrentIrp == Irp && !Irp->Cancel) {
        device->InProgress = Irp;
        due.QuadPart = TEST_MILLISECONDS(5000);
        KeSetTimer(&device->Timer, due, &device->Dpc);
    }

    IoReleaseCancelSpinLock(irql);
}

_Use_decl_annotations_
static VOID NTAPI StartIoExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PDEVICE_OBJECT deviceObject = Context;
    START_IO *device = deviceObject->DeviceExtension;
    PIRP irp;
    KIRQL irql;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    IoAcquireCancelSpinLock(&irql);
    irp = device->InProgress;

    /* A DPC that was queued for a request since cancelled sees the timer running again, for the next one. */
    if (irp == NULL || !KeReadStateTimer(&device->Timer)) {
        IoReleaseCancelSpinLock(irql);
        return;
    }

    device->InProgress = NULL;
    IoSetCancelRoutine(irp, NULL);
    IoReleaseCancelSpinLock(irql);

    IoStartNextPacket(deviceObject, TRUE);
    TestComplete(irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI StartIoControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, StartIoCancel);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI StartIoUnload(PDRIVER_OBJECT DriverObject)
{
    /* No IRP is left, but a DPC may still be on its way out. */
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    START_IO *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = StartIoUnload;
    DriverObject->DriverStartIo = StartIoStart;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = StartIoControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(START_IO), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, StartIoExpired, deviceObject);
    return STATUS_SUCCESS;
}
