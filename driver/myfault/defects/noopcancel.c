#include "defects.h"

static DRIVER_CANCEL MyFaultNoopCancelRoutine;

/*
 * Gives the cancel lock back and does nothing else.
 */
_Use_decl_annotations_
static
VOID
NTAPI
MyFaultNoopCancelRoutine(
    PDEVICE_OBJECT DeviceObject,
    PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    IoReleaseCancelSpinLock(Irp->CancelIrql);
}

/*
 * Pends with a cancel routine that completes nothing. When the caller dies, IoCancelIrp calls it and returns TRUE: a synchronous
 * caller then looks every 10 ms, in IopCancelAlertedRequest, whether the IRP has been completed. It never is.
 */
_Use_decl_annotations_
NTSTATUS
MyFaultNoopCancel(
    MYFAULT_DEVICE *Device,
    PIRP Irp,
    PIO_STACK_LOCATION Location)
{
    UNREFERENCED_PARAMETER(Location);

    /* Before RELEASE can find the IRP, which takes the routine away again. */
    IoSetCancelRoutine(Irp, MyFaultNoopCancelRoutine);
    MyFaultHeldInsert(&Device->Held, Irp);
    return STATUS_PENDING;
}
