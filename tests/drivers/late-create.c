/*
 * late-create: \Device\LateCreate, one create at a time (STATUS_DEVICE_BUSY for a second). No requests but create, cleanup and close.
 *
 * Sound: a create is pended, and a timer's DPC completes it 50 ms after it came. Nobody cancels a create, so it has to end by itself.
 *
 * When the client dies while it opens: it ends as soon as the DPC has run, within 50 ms.
 */

#include "device.h"

typedef struct _LATE_CREATE {
    KTIMER Timer;
    KDPC Dpc;
    PIRP volatile Irp;
} LATE_CREATE;

static KDEFERRED_ROUTINE LateCreateExpired;
static DRIVER_DISPATCH LateCreateOpen;
static DRIVER_UNLOAD LateCreateUnload;

static const WCHAR DeviceName[] = L"\\Device\\LateCreate";
static const WCHAR LinkName[] = L"\\DosDevices\\LateCreate";

_Use_decl_annotations_
static VOID NTAPI LateCreateExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LATE_CREATE *device = Context;
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    irp = InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL);
    TestComplete(irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI LateCreateOpen(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LATE_CREATE *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;

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
static VOID NTAPI LateCreateUnload(PDRIVER_OBJECT DriverObject)
{
    /* The IRP is gone, but its DPC may still be on the way from IoCompleteRequest to its return. */
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    LATE_CREATE *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = LateCreateUnload;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(LATE_CREATE), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    DriverObject->MajorFunction[IRP_MJ_CREATE] = LateCreateOpen;
    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, LateCreateExpired, device);
    return STATUS_SUCCESS;
}
