/*
 * noop-cancel: \Device\NoopCancel, 0x222000.
 *
 * Defect: the cancel routine gives the cancel lock back and does nothing else. IoCancelIrp returns TRUE, but nobody completes.
 *
 * When the client dies: it stays. A routine did run, so the kernel polls for the completion with KeDelayExecutionThread.
 */

#include "device.h"

static DRIVER_CANCEL NoopCancel;
static DRIVER_DISPATCH NoopCancelControl;
static DRIVER_UNLOAD NoopCancelUnload;

static const WCHAR DeviceName[] = L"\\Device\\NoopCancel";
static const WCHAR LinkName[] = L"\\DosDevices\\NoopCancel";

_Use_decl_annotations_
static VOID NTAPI NoopCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    IoReleaseCancelSpinLock(Irp->CancelIrql);
}

_Use_decl_annotations_
static NTSTATUS NTAPI NoopCancelControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, NoopCancel);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI NoopCancelUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = NoopCancelUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = NoopCancelControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}
