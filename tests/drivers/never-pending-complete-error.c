/*
 * never-pending-complete-error: \Device\NeverPendingCompleteError, 0x222000, one request at a time (STATUS_DEVICE_BUSY for a second).
 *
 * Defect: returns STATUS_PENDING but forgot IoMarkIrpPending. 10 ms later a timer's DPC completes the request with STATUS_UNSUCCESSFUL.
 *
 * A caller that waits for the IRP: completion with an error and without PendingReturned signals nobody, as the I/O manager takes it
 * that the dispatch routine has returned the error. The caller waits for ever, on a request that is no longer there.
 */

#include "device.h"

typedef struct _NEVER_PENDING {
    KTIMER Timer;
    KDPC Dpc;
    PIRP volatile Irp;
} NEVER_PENDING;

static KDEFERRED_ROUTINE NeverPendingExpired;
static DRIVER_DISPATCH NeverPendingControl;
static DRIVER_UNLOAD NeverPendingUnload;

static const WCHAR DeviceName[] = L"\\Device\\NeverPendingCompleteError";
static const WCHAR LinkName[] = L"\\DosDevices\\NeverPendingCompleteError";

_Use_decl_annotations_
static VOID NTAPI NeverPendingExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    NEVER_PENDING *device = Context;
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    irp = InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL);
    TestComplete(irp, STATUS_UNSUCCESSFUL, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI NeverPendingControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    NEVER_PENDING *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    due.QuadPart = TEST_MILLISECONDS(10);
    KeSetTimer(&device->Timer, due, &device->Dpc);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI NeverPendingUnload(PDRIVER_OBJECT DriverObject)
{
    NEVER_PENDING *device = DriverObject->DeviceObject->DeviceExtension;

    KeCancelTimer(&device->Timer);
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    NEVER_PENDING *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = NeverPendingUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = NeverPendingControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(NEVER_PENDING), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, NeverPendingExpired, device);
    return STATUS_SUCCESS;
}
