/*
 * work-item: \Device\WorkItem, 0x222000.
 *
 * Sound without a cancel routine: a system worker thread sleeps for 20 ms, then completes the request.
 *
 * When the client dies: it ends as soon as the work item has run, within about 20 ms.
 */

#include "device.h"

static IO_WORKITEM_ROUTINE WorkItemRun;
static DRIVER_DISPATCH WorkItemControl;
static DRIVER_UNLOAD WorkItemUnload;

static const WCHAR DeviceName[] = L"\\Device\\WorkItem";
static const WCHAR LinkName[] = L"\\DosDevices\\WorkItem";

_Use_decl_annotations_
static VOID NTAPI WorkItemRun(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    PIRP irp = Context;
    LARGE_INTEGER interval;

    UNREFERENCED_PARAMETER(DeviceObject);

    interval.QuadPart = TEST_MILLISECONDS(20);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);

    /* A routine may free the item that runs it: the I/O manager does not touch it any more. */
    IoFreeWorkItem(irp->Tail.Overlay.DriverContext[0]);
    TestComplete(irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI WorkItemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_WORKITEM item;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    item = IoAllocateWorkItem(DeviceObject);
    if (item == NULL) {
        return TestComplete(Irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    }

    Irp->Tail.Overlay.DriverContext[0] = item;
    IoMarkIrpPending(Irp);
    IoQueueWorkItem(item, WorkItemRun, DelayedWorkQueue, Irp);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI WorkItemUnload(PDRIVER_OBJECT DriverObject)
{
    /* A queued item refers to the device, so none is left here. */
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = WorkItemUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = WorkItemControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}
