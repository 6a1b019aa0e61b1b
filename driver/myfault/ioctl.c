#include "ioctl.h"
#include "defects/defects.h"
#include "public.h"
#include "requests.h"

typedef struct _MYFAULT_IOCTL {
    ULONG Code;
    ULONG InputMaximum;
    ULONG OutputMinimum;
    ULONG OutputMaximum;
    MYFAULT_REQUEST *Request;
    BOOLEAN Transfer; /* can be sent as a read or a write too */
} MYFAULT_IOCTL;

static const MYFAULT_IOCTL MyFaultIoctls[] = {
    { MYFAULT_IOCTL_ECHO, MYFAULT_ECHO_MAXIMUM, 0, MAXULONG, MyFaultEcho, FALSE },
    { MYFAULT_IOCTL_PEND, 0, 0, 0, MyFaultPend, TRUE },
    { MYFAULT_IOCTL_HANG_IRP, 0, 0, 0, MyFaultHangIrp, TRUE },
    { MYFAULT_IOCTL_RELEASE, 0, sizeof(MYFAULT_RELEASED), MAXULONG, MyFaultRelease, FALSE },
    { MYFAULT_IOCTL_QUERY, 0, sizeof(MYFAULT_COUNTS), MAXULONG, MyFaultQuery, FALSE },
    { MYFAULT_IOCTL_NOOP_CANCEL, 0, 0, 0, MyFaultNoopCancel, TRUE },
};

static
_Ret_maybenull_
const MYFAULT_IOCTL *
MyFaultFindIoctl(
    _In_ ULONG Code)
{
    ULONG i;

    for (i = 0; i < RTL_NUMBER_OF(MyFaultIoctls); i += 1) {
        if (MyFaultIoctls[i].Code == Code) {
            return &MyFaultIoctls[i];
        }
    }

    return NULL;
}

static
NTSTATUS
MyFaultCheckLengths(
    _In_ const MYFAULT_IOCTL *Ioctl,
    _In_ ULONG Input,
    _In_ ULONG Output)
{
    if (Input > Ioctl->InputMaximum || Output > Ioctl->OutputMaximum) {
        return STATUS_INVALID_PARAMETER;
    }

    if (Output < Ioctl->OutputMinimum) {
        return STATUS_BUFFER_TOO_SMALL;
    }

    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS
NTAPI
MyFaultDeviceControl(
    PDEVICE_OBJECT DeviceObject,
    PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    const MYFAULT_IOCTL *ioctl = MyFaultFindIoctl(location->Parameters.DeviceIoControl.IoControlCode);
    NTSTATUS status = STATUS_INVALID_DEVICE_REQUEST;

    if (ioctl != NULL) {
        status = MyFaultCheckLengths(
            ioctl,
            location->Parameters.DeviceIoControl.InputBufferLength,
            location->Parameters.DeviceIoControl.OutputBufferLength);
    }

    if (!NT_SUCCESS(status)) {
        MyFaultComplete(Irp, status, 0);
        return status;
    }

    return ioctl->Request(DeviceObject->DeviceExtension, Irp, location);
}

_Use_decl_annotations_
NTSTATUS
NTAPI
MyFaultTransfer(
    PDEVICE_OBJECT DeviceObject,
    PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    LARGE_INTEGER offset = location->MajorFunction == IRP_MJ_READ ? location->Parameters.Read.ByteOffset
                                                                  : location->Parameters.Write.ByteOffset;
    const MYFAULT_IOCTL *ioctl = offset.HighPart == 0 ? MyFaultFindIoctl(offset.LowPart) : NULL;

    if (ioctl == NULL || !ioctl->Transfer) {
        MyFaultComplete(Irp, STATUS_INVALID_PARAMETER, 0);
        return STATUS_INVALID_PARAMETER;
    }

    return ioctl->Request(DeviceObject->DeviceExtension, Irp, location);
}
