/*
 * unmodelled: \Device\Unmodelled, 0x222000.
 *
 * Calls KeSetHardwareCounterConfiguration, an export that hardly any driver uses, and completes with its status.
 *
 * A kernel that does not model the call cannot know what would happen next: the run is inconclusive, and names the export and its caller.
 */

#include "device.h"

/* One performance counter that thread profiling reads. */
typedef struct _UNMODELLED_COUNTER {
    ULONG Type; /* 0: PMCCounter, the only one there is */
    ULONG Reserved;
    ULONG64 Index;
} UNMODELLED_COUNTER;

NTKERNELAPI NTSTATUS NTAPI KeSetHardwareCounterConfiguration(_In_reads_(Count) UNMODELLED_COUNTER *CounterArray, _In_ ULONG Count);

static DRIVER_DISPATCH UnmodelledControl;
static DRIVER_UNLOAD UnmodelledUnload;

static const WCHAR DeviceName[] = L"\\Device\\Unmodelled";
static const WCHAR LinkName[] = L"\\DosDevices\\Unmodelled";

_Use_decl_annotations_
static NTSTATUS NTAPI UnmodelledControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNMODELLED_COUNTER counter = { 0, 0, 0 };

    UNREFERENCED_PARAMETER(DeviceObject);

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    return TestComplete(Irp, KeSetHardwareCounterConfiguration(&counter, 1), 0);
}

_Use_decl_annotations_
static VOID NTAPI UnmodelledUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = UnmodelledUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = UnmodelledControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}
