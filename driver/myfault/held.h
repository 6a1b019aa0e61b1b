/*
 * Where defects keep the IRPs they should not keep, so that RELEASE can end them. Nothing in here can be cancelled, and the
 * cleanup of a handle leaves it alone: that is the point. A defect may leave a cancel routine set that does not touch the list.
 */

#pragma once

#include "../toolchain/compat.h"

typedef struct _MYFAULT_HELD {
    KSPIN_LOCK Lock;
    _Guarded_by_(Lock) LIST_ENTRY Irps; /* by IRP.Tail.Overlay.ListEntry, oldest first */
    _Guarded_by_(Lock) ULONG Length;
} MYFAULT_HELD;

VOID
MyFaultHeldInitialize(
    _Out_ MYFAULT_HELD *Held);

/*
 * Marks the IRP pending and keeps it until MyFaultHeldRemove.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID
MyFaultHeldInsert(
    _Inout_ MYFAULT_HELD *Held,
    _Inout_ PIRP Irp);

/*
 * The oldest IRP held, with no cancel routine set or running, or NULL.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_
_Ret_maybenull_
PIRP
MyFaultHeldRemove(
    _Inout_ MYFAULT_HELD *Held);

_IRQL_requires_max_(DISPATCH_LEVEL)
ULONG
MyFaultHeldLength(
    _Inout_ MYFAULT_HELD *Held);
