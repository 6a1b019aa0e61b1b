/*
 * double-complete: \Device\DoubleComplete, 0x222000, one request at a time (STATUS_DEVICE_BUSY for a second).
 *
 * Defect: the cancel routine completes the request, and 100 ms after it came a timer's DPC completes it, whether it was cancelled or not.
 *
 * When the client dies before those 100 ms: the request ends with STATUS_CANCELLED, then the DPC completes it a second time: bug check
 * 0x44 (MULTIPLE_IRP_COMPLETE_REQUESTS), or a use of a freed IRP.
 */

#include "device.h"

typedef struct _DOUBLE_COMPLETE {
    KTIMER Timer;
    KDPC Dpc;
    PIRP volatile Irp;
} DOUBLE_COMPLETE;

static DRIVER_CANCEL DoubleCompleteCancel;
static KDEFERRED_ROUTINE DoubleCompleteExpired;
static DRIVER_DISPATCH DoubleCompleteControl;
static DRIVER_UNLOAD DoubleCompleteUnload;

static const WCHAR DeviceName[] = L"\\Device\\DoubleComplete";
static const WCHAR LinkName[] = L"\\DosDevices\\DoubleComplete";

_Use_decl_annotations_
static VOID NTAPI DoubleCompleteCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    /* The timer is left running, and the device still refers to the IRP. */
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    TestComplete(Irp, STATUS_CANCELLED, 0);
}

_Use_decl_annotations_
static VOID NTAPI DoubleCompleteExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    DOUBLE_COMPLETE *device = Context;
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    irp = InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL);

    /* NULL here would mean that the cancel routine owns the IRP. Nobody looks. */
    IoSetCancelRoutine(irp, NULL);
    TestComplete(irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI DoubleCompleteControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    DOUBLE_COMPLETE *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(100);
    KeSetTimer(&device->Timer, due, &device->Dpc);
    IoSetCancelRoutine(Irp, DoubleCompleteCancel);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI DoubleCompleteUnload(PDRIVER_OBJECT DriverObject)
{
    DOUBLE_COMPLETE *device = DriverObject->DeviceObject->DeviceExtension;

    KeCancelTimer(&device->Timer);
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    DOUBLE_COMPLETE *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = DoubleCompleteUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = DoubleCompleteControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(DOUBLE_COMPLETE), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, DoubleCompleteExpired, device);
    return STATUS_SUCCESS;
}
