/*
 * From control code to function. A request or a defect to come is a function of this type and a row in ioctl.c's table. Reads and
 * writes carry the control code as their byte offset.
 */

#pragma once

#include "../toolchain/compat.h"
#include "device.h"

/*
 * Called with lengths that the table allows. Owns the IRP: completes or pends it, and returns what the dispatch routine returns.
 */
typedef
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_
NTSTATUS
MYFAULT_REQUEST(
    _Inout_ MYFAULT_DEVICE *Device,
    _Inout_ PIRP Irp,
    _In_ PIO_STACK_LOCATION Location);

_Dispatch_type_(IRP_MJ_DEVICE_CONTROL)
DRIVER_DISPATCH MyFaultDeviceControl;

_Dispatch_type_(IRP_MJ_READ)
_Dispatch_type_(IRP_MJ_WRITE)
DRIVER_DISPATCH MyFaultTransfer;
