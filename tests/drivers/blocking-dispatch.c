/*
 * blocking-dispatch: \Device\BlockingDispatch, 0x222000.
 *
 * Defect: the dispatch routine waits on the caller's own thread, in kernel mode and not alertable, for an event that nobody sets. No
 * IRP is pended, so there is nothing to cancel.
 *
 * When the client dies: it stays. Its thread waits in the driver, not in IopCancelAlertedRequest: the kernel never gets to the cancel.
 */

#include "device.h"

typedef struct _BLOCKING_DISPATCH {
    KEVENT Never;
} BLOCKING_DISPATCH;

static DRIVER_DISPATCH BlockingDispatchControl;
static DRIVER_UNLOAD BlockingDispatchUnload;

static const WCHAR DeviceName[] = L"\\Device\\BlockingDispatch";
static const WCHAR LinkName[] = L"\\DosDevices\\BlockingDispatch";

_Use_decl_annotations_
static NTSTATUS NTAPI BlockingDispatchControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    BLOCKING_DISPATCH *device = DeviceObject->DeviceExtension;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    KeWaitForSingleObject(&device->Never, Executive, KernelMode, FALSE, NULL);
    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI BlockingDispatchUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    BLOCKING_DISPATCH *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = BlockingDispatchUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = BlockingDispatchControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(BLOCKING_DISPATCH), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeEvent(&device->Never, NotificationEvent, FALSE);
    return STATUS_SUCCESS;
}
