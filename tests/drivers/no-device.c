/*
 * no-device: no device.
 *
 * DriverEntry succeeds, but there is nothing that a client could open.
 */

#include "device.h"

static DRIVER_UNLOAD NoDeviceUnload;

_Use_decl_annotations_
static VOID NTAPI NoDeviceUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = NoDeviceUnload;
    return STATUS_SUCCESS;
}
