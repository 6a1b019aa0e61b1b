/*
 * The one device and what the driver remembers in its extension, which the I/O manager takes from nonpaged pool and zeroes.
 */

#pragma once

#include "../toolchain/compat.h"
#include "held.h"
#include "queue.h"

typedef struct _MYFAULT_DEVICE {
    MYFAULT_QUEUE Queue; /* sound: can be cancelled */
    MYFAULT_HELD Held;   /* defects: cannot */
    LONG volatile Echoed;
    LONG volatile Released;
} MYFAULT_DEVICE;

/*
 * Completes an IRP that no list and no cancel routine can reach any more. Afterwards it belongs to the I/O manager: what is
 * needed of it later must be read before.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID
MyFaultComplete(
    _In_ PIRP Irp,
    _In_ NTSTATUS Status,
    _In_ ULONG_PTR Information);
