#include "queue.h"
#include "device.h"

static DRIVER_CANCEL MyFaultQueueCancel;

_Use_decl_annotations_
VOID
MyFaultQueueInitialize(
    MYFAULT_QUEUE *Queue)
{
    KeInitializeSpinLock(&Queue->Lock);
    InitializeListHead(&Queue->Irps);
    Queue->Length = 0;
    Queue->Cancelled = 0;
}

static
_Requires_lock_held_(Queue->Lock)
VOID
MyFaultQueueUnlink(
    _Inout_ MYFAULT_QUEUE *Queue,
    _Inout_ PIRP Irp)
{
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    Queue->Length -= 1;
}

_Use_decl_annotations_
NTSTATUS
MyFaultQueueInsert(
    MYFAULT_QUEUE *Queue,
    PIRP Irp)
{
    KIRQL irql;
    BOOLEAN ours;

    KeAcquireSpinLock(&Queue->Lock, &irql);

    /* Marked before anybody can find it: once the lock is dropped, another processor may complete and free it. */
    IoMarkIrpPending(Irp);
    InsertTailList(&Queue->Irps, &Irp->Tail.Overlay.ListEntry);
    Queue->Length += 1;
    Irp->Tail.Overlay.DriverContext[0] = Queue;
    IoSetCancelRoutine(Irp, MyFaultQueueCancel);

    /*
     * IoCancelIrp sets Cancel, then takes the routine. A cancel before the routine was published found none and will not come
     * back, so Cancel is tested after publishing. Whoever swaps the routine out owns the IRP: if it is already gone,
     * MyFaultQueueCancel is on its way and waits for our lock.
     */
    ours = Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL;
    if (ours) {
        MyFaultQueueUnlink(Queue, Irp);
    }

    KeReleaseSpinLock(&Queue->Lock, irql);

    if (ours) {
        InterlockedIncrement(&Queue->Cancelled);
        MyFaultComplete(Irp, STATUS_CANCELLED, 0);
    }

    return STATUS_PENDING;
}

/*
 * IoCancelIrp calls this with the system's one cancel spin lock held, having swapped the routine out: the IRP is ours to complete.
 */
_Use_decl_annotations_
static
VOID
NTAPI
MyFaultQueueCancel(
    PDEVICE_OBJECT DeviceObject,
    PIRP Irp)
{
    MYFAULT_QUEUE *queue = Irp->Tail.Overlay.DriverContext[0];
    KIRQL irql;

    UNREFERENCED_PARAMETER(DeviceObject);

    /* Every cancel in the system waits for this lock. It goes first, which also leaves no order between it and the queue's. */
    IoReleaseCancelSpinLock(Irp->CancelIrql);

    KeAcquireSpinLock(&queue->Lock, &irql);
    MyFaultQueueUnlink(queue, Irp);
    KeReleaseSpinLock(&queue->Lock, irql);

    InterlockedIncrement(&queue->Cancelled);
    MyFaultComplete(Irp, STATUS_CANCELLED, 0);
}

_Use_decl_annotations_
PIRP
MyFaultQueueRemove(
    MYFAULT_QUEUE *Queue,
    PFILE_OBJECT File)
{
    PIRP found = NULL;
    PLIST_ENTRY entry;
    KIRQL irql;

    KeAcquireSpinLock(&Queue->Lock, &irql);

    for (entry = Queue->Irps.Flink; entry != &Queue->Irps; entry = entry->Flink) {
        PIRP irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);

        if (File != NULL && IoGetCurrentIrpStackLocation(irp)->FileObject != File) {
            continue;
        }

        /* No routine left to take: the cancel is under way, and it is the routine that unlinks and completes this one. */
        if (IoSetCancelRoutine(irp, NULL) == NULL) {
            continue;
        }

        MyFaultQueueUnlink(Queue, irp);
        found = irp;
        break;
    }

    KeReleaseSpinLock(&Queue->Lock, irql);
    return found;
}

_Use_decl_annotations_
VOID
MyFaultQueueCancelFile(
    MYFAULT_QUEUE *Queue,
    PFILE_OBJECT File)
{
    PIRP irp;

    while ((irp = MyFaultQueueRemove(Queue, File)) != NULL) {
        InterlockedIncrement(&Queue->Cancelled);
        MyFaultComplete(irp, STATUS_CANCELLED, 0);
    }
}

_Use_decl_annotations_
ULONG
MyFaultQueueLength(
    MYFAULT_QUEUE *Queue)
{
    KIRQL irql;
    ULONG length;

    KeAcquireSpinLock(&Queue->Lock, &irql);
    length = Queue->Length;
    KeReleaseSpinLock(&Queue->Lock, irql);
    return length;
}
