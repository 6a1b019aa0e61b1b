/*
 * polling-dispatch: \Device\PollingDispatch, 0x222000.
 *
 * Defect: as blocking-dispatch, but its dispatch routine waits for the event a hundred milliseconds at a time, again and again.
 *
 * When the client dies: it stays, in the driver. Whoever looks at the thread at one moment sees a wait that will soon be over.
 */

#include "device.h"

typedef struct _POLLING_DISPATCH {
    KEVENT Never;
} POLLING_DISPATCH;

static DRIVER_DISPATCH PollingDispatchControl;
static DRIVER_UNLOAD PollingDispatchUnload;

static const WCHAR DeviceName[] = L"\\Device\\PollingDispatch";
static const WCHAR LinkName[] = L"\\DosDevices\\PollingDispatch";

_Use_decl_annotations_
static NTSTATUS NTAPI PollingDispatchControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    POLLING_DISPATCH *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER turn;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    turn.QuadPart = TEST_MILLISECONDS(100);
    while (KeWaitForSingleObject(&device->Never, Executive, KernelMode, FALSE, &turn) == STATUS_TIMEOUT) {
    }

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI PollingDispatchUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    POLLING_DISPATCH *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = PollingDispatchUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = PollingDispatchControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(POLLING_DISPATCH), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeEvent(&device->Never, NotificationEvent, FALSE);
    return STATUS_SUCCESS;
}
