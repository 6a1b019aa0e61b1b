#include "../toolchain/compat.h"
#include "defects/defects.h"
#include "device.h"
#include "ioctl.h"
#include "public.h"

DRIVER_INITIALIZE DriverEntry;

static DRIVER_UNLOAD MyFaultUnload;

static
_Dispatch_type_(IRP_MJ_CREATE)
DRIVER_DISPATCH MyFaultCreate;

static
_Dispatch_type_(IRP_MJ_CLOSE)
DRIVER_DISPATCH MyFaultClose;

static
_Dispatch_type_(IRP_MJ_CLEANUP)
DRIVER_DISPATCH MyFaultCleanup;

_Use_decl_annotations_
VOID
MyFaultComplete(
    PIRP Irp,
    NTSTATUS Status,
    ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

_Use_decl_annotations_
static
NTSTATUS
NTAPI
MyFaultCreate(
    PDEVICE_OBJECT DeviceObject,
    PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    UNICODE_STRING hangs;

    RtlInitUnicodeString(&hangs, MYFAULT_HANG_CREATE_NAME);
    if (RtlEqualUnicodeString(&location->FileObject->FileName, &hangs, TRUE)) {
        return MyFaultHangCreate(DeviceObject->DeviceExtension, Irp, location);
    }

    MyFaultComplete(Irp, STATUS_SUCCESS, 0);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
static
NTSTATUS
NTAPI
MyFaultClose(
    PDEVICE_OBJECT DeviceObject,
    PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    MyFaultComplete(Irp, STATUS_SUCCESS, 0);
    return STATUS_SUCCESS;
}

/*
 * Sent when the last handle of a file object is closed. IRP_MJ_CLOSE comes only after its last IRP, so those that wait for
 * nothing but us have to end here. What a defect holds stays held, and keeps the file object.
 */
_Use_decl_annotations_
static
NTSTATUS
NTAPI
MyFaultCleanup(
    PDEVICE_OBJECT DeviceObject,
    PIRP Irp)
{
    MYFAULT_DEVICE *device = DeviceObject->DeviceExtension;

    MyFaultQueueCancelFile(&device->Queue, IoGetCurrentIrpStackLocation(Irp)->FileObject);
    MyFaultComplete(Irp, STATUS_SUCCESS, 0);
    return STATUS_SUCCESS;
}

/*
 * The I/O manager calls this once no file object refers to the device. A pending IRP refers to its file object, so both lists
 * are empty here.
 */
_Use_decl_annotations_
static
VOID
NTAPI
MyFaultUnload(
    PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING link;

    RtlInitUnicodeString(&link, MYFAULT_LINK_NAME);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(DriverObject->DeviceObject);
}

_Use_decl_annotations_
NTSTATUS
NTAPI
DriverEntry(
    PDRIVER_OBJECT DriverObject,
    PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name;
    UNICODE_STRING link;
    PDEVICE_OBJECT deviceObject;
    MYFAULT_DEVICE *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = MyFaultUnload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = MyFaultCreate;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = MyFaultClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = MyFaultCleanup;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = MyFaultDeviceControl;
    DriverObject->MajorFunction[IRP_MJ_READ] = MyFaultTransfer;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = MyFaultTransfer;

    RtlInitUnicodeString(&name, MYFAULT_DEVICE_NAME);
    status = IoCreateDevice(
        DriverObject,
        sizeof(MYFAULT_DEVICE),
        &name,
        FILE_DEVICE_UNKNOWN,
        FILE_DEVICE_SECURE_OPEN,
        FALSE,
        &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    deviceObject->Flags |= DO_BUFFERED_IO;
    device = deviceObject->DeviceExtension;
    MyFaultQueueInitialize(&device->Queue);
    MyFaultHeldInitialize(&device->Held);

    /* The device can be opened only after DriverEntry, when the I/O manager clears DO_DEVICE_INITIALIZING. */
    RtlInitUnicodeString(&link, MYFAULT_LINK_NAME);
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(deviceObject);
    }

    return status;
}
