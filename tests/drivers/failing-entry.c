/*
 * failing-entry: no device.
 *
 * DriverEntry fails with STATUS_INSUFFICIENT_RESOURCES, so the driver does not stay loaded and no client ever gets to it.
 */

#include "device.h"

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);

    return STATUS_INSUFFICIENT_RESOURCES;
}
