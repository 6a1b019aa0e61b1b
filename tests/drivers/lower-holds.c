/*
 * lower-holds: \Device\LowerHolds, 0x222000.
 *
 * A stack of two devices: a function device without a name, and a filter above it whose name the client opens. The filter is sound: it
 * sets a completion routine and sends the request down. Defect: the function device pends it for ever, without a cancel routine.
 *
 * When the client dies: it stays, in IopCancelAlertedRequest. The IRP's current stack location is the function device's.
 */

#include "device.h"

typedef struct _LOWER_HOLDS {
    PDEVICE_OBJECT Lower; /* NULL: this is the function device */
} LOWER_HOLDS;

static IO_COMPLETION_ROUTINE LowerHoldsCompleted;
static DRIVER_DISPATCH LowerHoldsControl;
static DRIVER_DISPATCH LowerHoldsOther;
static DRIVER_UNLOAD LowerHoldsUnload;

static const WCHAR DeviceName[] = L"\\Device\\LowerHolds";
static const WCHAR LinkName[] = L"\\DosDevices\\LowerHolds";

_Use_decl_annotations_
static NTSTATUS NTAPI LowerHoldsCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Context);

    /* The filter returned what the function device did, so its own stack location has to say pending as well. */
    if (Irp->PendingReturned) {
        IoMarkIrpPending(Irp);
    }

    return STATUS_CONTINUE_COMPLETION;
}

_IRQL_requires_max_(DISPATCH_LEVEL)
static NTSTATUS LowerHoldsForward(_In_ PDEVICE_OBJECT Lower, _Inout_ PIRP Irp)
{
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, LowerHoldsCompleted, NULL, TRUE, TRUE, TRUE);
    return IoCallDriver(Lower, Irp);
}

_IRQL_requires_max_(DISPATCH_LEVEL)
static NTSTATUS LowerHoldsHold(_Inout_ PIRP Irp)
{
    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    IoMarkIrpPending(Irp);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static NTSTATUS NTAPI LowerHoldsControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LOWER_HOLDS *device = DeviceObject->DeviceExtension;

    return device->Lower != NULL ? LowerHoldsForward(device->Lower, Irp) : LowerHoldsHold(Irp);
}

/* Create, cleanup, close. The filter has no part in them and lends its stack location to the device below. */
_Use_decl_annotations_
static NTSTATUS NTAPI LowerHoldsOther(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LOWER_HOLDS *device = DeviceObject->DeviceExtension;

    if (device->Lower == NULL) {
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    }

    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(device->Lower, Irp);
}

_Use_decl_annotations_
static VOID NTAPI LowerHoldsUnload(PDRIVER_OBJECT DriverObject)
{
    /* The newest device is the head of the driver's list. */
    PDEVICE_OBJECT filter = DriverObject->DeviceObject;
    PDEVICE_OBJECT function = ((LOWER_HOLDS *)filter->DeviceExtension)->Lower;

    IoDetachDevice(function);
    TestDeleteDevice(filter, LinkName);
    IoDeleteDevice(function);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT function;
    PDEVICE_OBJECT filter;
    LOWER_HOLDS *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    status = IoCreateDevice(DriverObject, sizeof(LOWER_HOLDS), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &function);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    function->Flags |= DO_BUFFERED_IO;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(LOWER_HOLDS), &filter);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(function);
        return status;
    }

    DriverObject->DriverUnload = LowerHoldsUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = LowerHoldsControl;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = LowerHoldsOther;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = LowerHoldsOther;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = LowerHoldsOther;

    /* Nothing can be attached to a device that is still being initialized. */
    function->Flags &= ~DO_DEVICE_INITIALIZING;

    /* Gives the filter one stack location more than the function device needs. */
    device = filter->DeviceExtension;
    device->Lower = IoAttachDeviceToDeviceStack(filter, function);
    if (device->Lower == NULL) {
        TestDeleteDevice(filter, LinkName);
        IoDeleteDevice(function);
        return STATUS_NO_SUCH_DEVICE;
    }

    return STATUS_SUCCESS;
}
