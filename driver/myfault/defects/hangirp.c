#include "defects.h"

/*
 * Pends without a cancel routine. When the caller dies, IoCancelIrp finds nothing to call and returns FALSE: a synchronous caller
 * then waits in IopCancelAlertedRequest, in kernel mode and not alertable, until the IRP is completed. Nobody does.
 */
_Use_decl_annotations_
NTSTATUS
MyFaultHangIrp(
    MYFAULT_DEVICE *Device,
    PIRP Irp,
    PIO_STACK_LOCATION Location)
{
    UNREFERENCED_PARAMETER(Location);

    MyFaultHeldInsert(&Device->Held, Irp);
    return STATUS_PENDING;
}
