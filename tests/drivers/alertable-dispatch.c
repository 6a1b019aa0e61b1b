/*
 * alertable-dispatch: \Device\AlertableDispatch, 0x222000.
 *
 * Defect: the dispatch routine waits on the caller's own thread, in kernel mode, for an event that nobody sets. That the wait is alertable
 * is no way out: user APCs are delivered to waits in user mode only, and a thread that is terminated is not alerted.
 *
 * When the client dies: it stays. Its thread waits in the driver, not in IopCancelAlertedRequest.
 */

#include "device.h"

typedef struct _ALERTABLE_DISPATCH {
    KEVENT Never;
} ALERTABLE_DISPATCH;

static DRIVER_DISPATCH AlertableDispatchControl;
static DRIVER_UNLOAD AlertableDispatchUnload;

static const WCHAR DeviceName[] = L"\\Device\\AlertableDispatch";
static const WCHAR LinkName[] = L"\\DosDevices\\AlertableDispatch";

_Use_decl_annotations_
static NTSTATUS NTAPI AlertableDispatchControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    ALERTABLE_DISPATCH *device = DeviceObject->DeviceExtension;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    KeWaitForSingleObject(&device->Never, Executive, KernelMode, TRUE, NULL);
    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI AlertableDispatchUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    ALERTABLE_DISPATCH *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = AlertableDispatchUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = AlertableDispatchControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(ALERTABLE_DISPATCH), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeEvent(&device->Never, NotificationEvent, FALSE);
    return STATUS_SUCCESS;
}
