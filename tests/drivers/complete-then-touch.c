/*
 * complete-then-touch: \Device\CompleteThenTouch, 0x222000.
 *
 * Defect: after the cancel routine has completed the request, it still writes into the IRP, which may be freed or somebody else's by then.
 *
 * When the client dies: it ends, but a write into freed memory has to be found.
 */

#include "device.h"

static DRIVER_CANCEL CompleteThenTouchCancel;
static DRIVER_DISPATCH CompleteThenTouchControl;
static DRIVER_UNLOAD CompleteThenTouchUnload;

static const WCHAR DeviceName[] = L"\\Device\\CompleteThenTouch";
static const WCHAR LinkName[] = L"\\DosDevices\\CompleteThenTouch";

_Use_decl_annotations_
static VOID NTAPI CompleteThenTouchCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    IoReleaseCancelSpinLock(Irp->CancelIrql);
    TestComplete(Irp, STATUS_CANCELLED, 0);
    Irp->Tail.Overlay.DriverContext[0] = NULL;
}

_Use_decl_annotations_
static NTSTATUS NTAPI CompleteThenTouchControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, CompleteThenTouchCancel);

    /* Cancelled before the routine was there to be found: then nobody will call it, and the IRP is still ours. */
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
        TestComplete(Irp, STATUS_CANCELLED, 0);
    }

    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI CompleteThenTouchUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = CompleteThenTouchUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = CompleteThenTouchControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}
