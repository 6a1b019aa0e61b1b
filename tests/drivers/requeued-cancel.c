/*
 * requeued-cancel: \Device\RequeuedCancel, 0x222000.
 *
 * Defect: the cancel routine sets itself again, as if the request had only been put back, and completes nothing. Whoever cancels once more
 * finds a cancel routine once more.
 *
 * When the client dies: it stays. A routine did run, so the kernel polls for the completion with KeDelayExecutionThread.
 */

#include "device.h"

static DRIVER_CANCEL RequeuedCancel;
static DRIVER_DISPATCH RequeuedCancelControl;
static DRIVER_UNLOAD RequeuedCancelUnload;

static const WCHAR DeviceName[] = L"\\Device\\RequeuedCancel";
static const WCHAR LinkName[] = L"\\DosDevices\\RequeuedCancel";

_Use_decl_annotations_
static VOID NTAPI RequeuedCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    IoSetCancelRoutine(Irp, RequeuedCancel);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
}

_Use_decl_annotations_
static NTSTATUS NTAPI RequeuedCancelControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, RequeuedCancel);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI RequeuedCancelUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = RequeuedCancelUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = RequeuedCancelControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}
