/*
 * sync-filter: \Device\SyncFilter, 0x222000.
 *
 * Sound. A stack of two devices: a function device without a name, and a filter above it whose name the client opens. The filter sends the
 * request down and waits for it in its dispatch routine, on an event that its completion routine sets; then it completes the request. The
 * function device completes every request after 20 ms, from a timer's DPC, without a cancel routine.
 *
 * When the client dies: its thread waits in the filter, in kernel mode, and nothing cancels the IRP; but within 20 ms it is complete, and
 * the process ends.
 */

#include "device.h"

typedef struct _SYNC_FILTER {
    PDEVICE_OBJECT Lower; /* NULL: this is the function device */
    KTIMER Timer;
    KDPC Dpc;
    PIRP volatile Irp;
} SYNC_FILTER;

static IO_COMPLETION_ROUTINE SyncFilterCompleted;
static KDEFERRED_ROUTINE SyncFilterExpired;
static DRIVER_DISPATCH SyncFilterControl;
static DRIVER_DISPATCH SyncFilterOther;
static DRIVER_UNLOAD SyncFilterUnload;

static const WCHAR DeviceName[] = L"\\Device\\SyncFilter";
static const WCHAR LinkName[] = L"\\DosDevices\\SyncFilter";

_Use_decl_annotations_
static NTSTATUS NTAPI SyncFilterCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

_Use_decl_annotations_
static VOID NTAPI SyncFilterExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    SYNC_FILTER *function = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    TestComplete(InterlockedExchangePointer((PVOID volatile *)&function->Irp, NULL), STATUS_SUCCESS, 0);
}

static NTSTATUS SyncFilterHold(_Inout_ SYNC_FILTER *Function, _Inout_ PIRP Irp)
{
    LARGE_INTEGER due;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&Function->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(20);
    KeSetTimer(&Function->Timer, due, &Function->Dpc);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static NTSTATUS NTAPI SyncFilterControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    SYNC_FILTER *device = DeviceObject->DeviceExtension;
    KEVENT done;
    NTSTATUS status;

    if (device->Lower == NULL) {
        return SyncFilterHold(device, Irp);
    }

    KeInitializeEvent(&done, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, SyncFilterCompleted, &done, TRUE, TRUE, TRUE);
    status = IoCallDriver(device->Lower, Irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        status = Irp->IoStatus.Status;
    }

    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return status;
}

/* Create, cleanup, close: done by the filter. */
_Use_decl_annotations_
static NTSTATUS NTAPI SyncFilterOther(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI SyncFilterUnload(PDRIVER_OBJECT DriverObject)
{
    /* The newest device is the head of the driver's list. */
    PDEVICE_OBJECT filter = DriverObject->DeviceObject;
    PDEVICE_OBJECT function = ((SYNC_FILTER *)filter->DeviceExtension)->Lower;

    KeFlushQueuedDpcs();
    IoDetachDevice(function);
    TestDeleteDevice(filter, LinkName);
    IoDeleteDevice(function);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT function;
    PDEVICE_OBJECT filter;
    SYNC_FILTER *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    status = IoCreateDevice(DriverObject, sizeof(SYNC_FILTER), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &function);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = function->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, SyncFilterExpired, device);
    function->Flags |= DO_BUFFERED_IO;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(SYNC_FILTER), &filter);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(function);
        return status;
    }

    DriverObject->DriverUnload = SyncFilterUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = SyncFilterControl;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = SyncFilterOther;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = SyncFilterOther;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = SyncFilterOther;

    /* Nothing can be attached to a device that is still being initialized. */
    function->Flags &= ~DO_DEVICE_INITIALIZING;

    device = filter->DeviceExtension;
    device->Lower = IoAttachDeviceToDeviceStack(filter, function);
    if (device->Lower == NULL) {
        TestDeleteDevice(filter, LinkName);
        IoDeleteDevice(function);
        return STATUS_NO_SUCH_DEVICE;
    }

    return STATUS_SUCCESS;
}
