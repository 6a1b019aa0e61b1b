#include "held.h"

_Use_decl_annotations_
VOID
MyFaultHeldInitialize(
    MYFAULT_HELD *Held)
{
    KeInitializeSpinLock(&Held->Lock);
    InitializeListHead(&Held->Irps);
    Held->Length = 0;
}

_Use_decl_annotations_
VOID
MyFaultHeldInsert(
    MYFAULT_HELD *Held,
    PIRP Irp)
{
    KIRQL irql;

    KeAcquireSpinLock(&Held->Lock, &irql);

    /* Marked inside the lock: RELEASE on another processor may complete it as soon as the lock is dropped. */
    IoMarkIrpPending(Irp);
    InsertTailList(&Held->Irps, &Irp->Tail.Overlay.ListEntry);
    Held->Length += 1;

    KeReleaseSpinLock(&Held->Lock, irql);
}

_Use_decl_annotations_
PIRP
MyFaultHeldRemove(
    MYFAULT_HELD *Held)
{
    PIRP irp = NULL;
    KIRQL irql;

    KeAcquireSpinLock(&Held->Lock, &irql);

    if (!IsListEmpty(&Held->Irps)) {
        irp = CONTAINING_RECORD(RemoveHeadList(&Held->Irps), IRP, Tail.Overlay.ListEntry);
        Held->Length -= 1;
    }

    KeReleaseSpinLock(&Held->Lock, irql);

    if (irp != NULL) {
        /*
         * A defect's cancel routine reads the IRP until it gives the cancel lock back. Once we have had that lock, none runs and
         * none will.
         */
        IoAcquireCancelSpinLock(&irql);
        IoSetCancelRoutine(irp, NULL);
        IoReleaseCancelSpinLock(irql);
    }

    return irp;
}

_Use_decl_annotations_
ULONG
MyFaultHeldLength(
    MYFAULT_HELD *Held)
{
    KIRQL irql;
    ULONG length;

    KeAcquireSpinLock(&Held->Lock, &irql);
    length = Held->Length;
    KeReleaseSpinLock(&Held->Lock, irql);
    return length;
}
