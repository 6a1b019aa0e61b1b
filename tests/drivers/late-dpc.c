/*
 * late-dpc: \Device\LateDpc, 0x222000, one request at a time (STATUS_DEVICE_BUSY for a second).
 *
 * No cancel routine, but none is missed: a timer's DPC completes the request 50 ms after it came.
 *
 * When the client dies: it ends as soon as the DPC has run, within 50 ms.
 */

#include "device.h"

typedef struct _LATE_DPC {
    KTIMER Timer;
    KDPC Dpc;
    PIRP volatile Irp;
} LATE_DPC;

static KDEFERRED_ROUTINE LateDpcExpired;
static DRIVER_DISPATCH LateDpcControl;
static DRIVER_UNLOAD LateDpcUnload;

static const WCHAR DeviceName[] = L"\\Device\\LateDpc";
static const WCHAR LinkName[] = L"\\DosDevices\\LateDpc";

_Use_decl_annotations_
static VOID NTAPI LateDpcExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LATE_DPC *device = Context;
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    irp = InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL);
    TestComplete(irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI LateDpcControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LATE_DPC *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    /* Marked before the timer is set: the DPC may run on another processor before KeSetTimer returns. */
    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(50);
    KeSetTimer(&device->Timer, due, &device->Dpc);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI LateDpcUnload(PDRIVER_OBJECT DriverObject)
{
    /* The IRP is gone, but its DPC may still be on the way from IoCompleteRequest to its return. */
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    LATE_DPC *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = LateDpcUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = LateDpcControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(LATE_DPC), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, LateDpcExpired, device);
    return STATUS_SUCCESS;
}
