#include "defects.h"

/*
 * Pends an IRP_MJ_CREATE. The opener waits in kernel mode, not alertable, and its death does not even call IoCancelIrp for a
 * create, so no cancel routine would help: a create that has to wait must end by itself.
 */
_Use_decl_annotations_
NTSTATUS
MyFaultHangCreate(
    MYFAULT_DEVICE *Device,
    PIRP Irp,
    PIO_STACK_LOCATION Location)
{
    UNREFERENCED_PARAMETER(Location);

    MyFaultHeldInsert(&Device->Held, Irp);
    return STATUS_PENDING;
}
