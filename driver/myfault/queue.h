/*
 * A cancel-safe queue, written by hand: every IRP in it can be cancelled at any moment, and is completed exactly once.
 */

#pragma once

#include "../toolchain/compat.h"

typedef struct _MYFAULT_QUEUE {
    KSPIN_LOCK Lock;
    _Guarded_by_(Lock) LIST_ENTRY Irps; /* by IRP.Tail.Overlay.ListEntry, oldest first */
    _Guarded_by_(Lock) ULONG Length;
    LONG volatile Cancelled;
} MYFAULT_QUEUE;

VOID
MyFaultQueueInitialize(
    _Out_ MYFAULT_QUEUE *Queue);

/*
 * Marks the IRP pending and takes it over. Always STATUS_PENDING: an IRP that was cancelled on its way here is completed, but
 * as it has been marked, its dispatch routine still has to say so.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_
NTSTATUS
MyFaultQueueInsert(
    _Inout_ MYFAULT_QUEUE *Queue,
    _Inout_ PIRP Irp);

/*
 * The oldest IRP of this file object, or of any where File is NULL, out of the queue and no longer cancelable. NULL: none left.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_
_Ret_maybenull_
PIRP
MyFaultQueueRemove(
    _Inout_ MYFAULT_QUEUE *Queue,
    _In_opt_ PFILE_OBJECT File);

/*
 * Cancels what is queued for this file object.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID
MyFaultQueueCancelFile(
    _Inout_ MYFAULT_QUEUE *Queue,
    _In_ PFILE_OBJECT File);

_IRQL_requires_max_(DISPATCH_LEVEL)
ULONG
MyFaultQueueLength(
    _Inout_ MYFAULT_QUEUE *Queue);
