/*
 * wrong-cancel-irql: \Device\WrongCancelIrql, 0x222000.
 *
 * Defect: the cancel routine gives the cancel lock back with PASSIVE_LEVEL instead of the IRQL in Irp->CancelIrql, then completes. That
 * is wrong whenever the cancel came at APC_LEVEL or DISPATCH_LEVEL, and unnoticed where it came at PASSIVE_LEVEL.
 *
 * When the client dies: it ends, the request with STATUS_CANCELLED. Where the cancel came above PASSIVE_LEVEL, its caller goes on at too
 * low an IRQL: bug check 0x20 or 0xA, sooner or later.
 */

#include "device.h"

static DRIVER_CANCEL WrongCancelIrqlCancel;
static DRIVER_DISPATCH WrongCancelIrqlControl;
static DRIVER_UNLOAD WrongCancelIrqlUnload;

static const WCHAR DeviceName[] = L"\\Device\\WrongCancelIrql";
static const WCHAR LinkName[] = L"\\DosDevices\\WrongCancelIrql";

_Use_decl_annotations_
static VOID NTAPI WrongCancelIrqlCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    IoReleaseCancelSpinLock(PASSIVE_LEVEL);
    TestComplete(Irp, STATUS_CANCELLED, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI WrongCancelIrqlControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, WrongCancelIrqlCancel);

    /* Cancelled before the routine was there to be found: then nobody will call it, and the IRP is still ours. */
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
        TestComplete(Irp, STATUS_CANCELLED, 0);
    }

    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI WrongCancelIrqlUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = WrongCancelIrqlUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = WrongCancelIrqlControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}
