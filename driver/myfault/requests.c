#include "requests.h"
#include "public.h"

_Use_decl_annotations_
NTSTATUS
MyFaultEcho(
    MYFAULT_DEVICE *Device,
    PIRP Irp,
    PIO_STACK_LOCATION Location)
{
    ULONG input = Location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG output = Location->Parameters.DeviceIoControl.OutputBufferLength;

    /*
     * METHOD_BUFFERED has one system buffer for both directions: the input lies where the output is fetched from, and
     * Information says how much of it goes back.
     */
    InterlockedIncrement(&Device->Echoed);
    MyFaultComplete(Irp, STATUS_SUCCESS, input < output ? input : output);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS
MyFaultPend(
    MYFAULT_DEVICE *Device,
    PIRP Irp,
    PIO_STACK_LOCATION Location)
{
    UNREFERENCED_PARAMETER(Location);

    return MyFaultQueueInsert(&Device->Queue, Irp);
}

_Use_decl_annotations_
NTSTATUS
MyFaultRelease(
    MYFAULT_DEVICE *Device,
    PIRP Irp,
    PIO_STACK_LOCATION Location)
{
    MYFAULT_RELEASED *released = Irp->AssociatedIrp.SystemBuffer;
    ULONG completed = 0;
    PIRP waiting;

    UNREFERENCED_PARAMETER(Location);

    while ((waiting = MyFaultQueueRemove(&Device->Queue, NULL)) != NULL ||
           (waiting = MyFaultHeldRemove(&Device->Held)) != NULL) {
        InterlockedIncrement(&Device->Released);
        MyFaultComplete(waiting, STATUS_SUCCESS, 0);
        completed += 1;
    }

    released->Completed = completed;
    MyFaultComplete(Irp, STATUS_SUCCESS, sizeof(*released));
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS
MyFaultQuery(
    MYFAULT_DEVICE *Device,
    PIRP Irp,
    PIO_STACK_LOCATION Location)
{
    MYFAULT_COUNTS *counts = Irp->AssociatedIrp.SystemBuffer;

    UNREFERENCED_PARAMETER(Location);

    counts->Version = MYFAULT_VERSION;
    counts->Pended = MyFaultQueueLength(&Device->Queue);
    counts->Held = MyFaultHeldLength(&Device->Held);
    counts->Echoed = (ULONG)Device->Echoed;
    counts->Cancelled = (ULONG)Device->Queue.Cancelled;
    counts->Released = (ULONG)Device->Released;

    MyFaultComplete(Irp, STATUS_SUCCESS, sizeof(*counts));
    return STATUS_SUCCESS;
}
