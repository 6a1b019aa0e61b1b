/*
 * cancel-lock-leaked: \Device\CancelLockLeaked, 0x222000.
 *
 * Defect: the cancel routine returns without giving back the system's cancel spin lock, which its caller had taken, and without
 * completing: such is a routine's early return.
 *
 * When the client dies: bug check 0x11B (DRIVER_RETURNED_HOLDING_CANCEL_LOCK). A kernel that did not look would hang at the next cancel.
 */

#include "device.h"

static DRIVER_CANCEL CancelLockLeakedCancel;
static DRIVER_DISPATCH CancelLockLeakedControl;
static DRIVER_UNLOAD CancelLockLeakedUnload;

static const WCHAR DeviceName[] = L"\\Device\\CancelLockLeaked";
static const WCHAR LinkName[] = L"\\DosDevices\\CancelLockLeaked";

_Use_decl_annotations_
static VOID NTAPI CancelLockLeakedCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
}

_Use_decl_annotations_
static NTSTATUS NTAPI CancelLockLeakedControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, CancelLockLeakedCancel);

    /* Cancelled before the routine was there to be found: then nobody will call it, and the IRP is still ours. */
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
        TestComplete(Irp, STATUS_CANCELLED, 0);
    }

    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI CancelLockLeakedUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = CancelLockLeakedUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = CancelLockLeakedControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}
