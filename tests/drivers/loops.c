/*
 * loops: \Device\Loops, 0x222000; the input's first byte chooses the loop.
 *
 * Defect: the dispatch routine never comes back: 0, it spins on a flag that nobody sets; 1, it asks nt over and over; 2, it spins at
 * DISPATCH_LEVEL, where not even its processor can do anything else.
 *
 * When the client dies: it stays. Its thread is not waiting, so there is nothing that a cancel or an APC could interrupt.
 */

#include "device.h"

typedef struct _LOOPS {
    LONG volatile Never;
    KEVENT NeverSet;
} LOOPS;

static DRIVER_DISPATCH LoopsControl;
static DRIVER_UNLOAD LoopsUnload;

static const WCHAR DeviceName[] = L"\\Device\\Loops";
static const WCHAR LinkName[] = L"\\DosDevices\\Loops";

_Use_decl_annotations_
static NTSTATUS NTAPI LoopsControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LOOPS *device = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    KIRQL irql;

    if (!TestIsRequest(Irp) || location->Parameters.DeviceIoControl.InputBufferLength < 1) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    switch (*(PUCHAR)Irp->AssociatedIrp.SystemBuffer) {
    case 0:
        while (!device->Never) {
            YieldProcessor();
        }
        break;
    case 1:
        while (!KeReadStateEvent(&device->NeverSet)) {
            YieldProcessor();
        }
        break;
    default:
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        while (!device->Never) {
            YieldProcessor();
        }
        KeLowerIrql(irql);
        break;
    }

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI LoopsUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    LOOPS *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = LoopsUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = LoopsControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(LOOPS), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeEvent(&device->NeverSet, NotificationEvent, FALSE);
    return STATUS_SUCCESS;
}
