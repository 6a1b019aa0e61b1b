/*
 * irql-leaked: \Device\IrqlLeaked, 0x222000; the input's first byte chooses the routine.
 *
 * Defect: a routine of the driver returns at another IRQL than it was called at: 0, the dispatch routine keeps its spin lock; 1, a timer's
 * DPC lowers the IRQL and leaves it there; 2, a completion routine keeps the spin lock.
 *
 * Whatever runs next runs at the wrong IRQL: bug check 0x4A, 0xA or 0xB8 sooner or later, in code that has nothing to do with it.
 */

#include "device.h"

typedef struct _IRQL_LEAKED {
    KSPIN_LOCK Lock;
    KTIMER Timer;
    KDPC Dpc;
} IRQL_LEAKED;

static IO_COMPLETION_ROUTINE IrqlLeakedCompleted;
static KDEFERRED_ROUTINE IrqlLeakedExpired;
static DRIVER_DISPATCH IrqlLeakedControl;
static DRIVER_UNLOAD IrqlLeakedUnload;

static const WCHAR DeviceName[] = L"\\Device\\IrqlLeaked";
static const WCHAR LinkName[] = L"\\DosDevices\\IrqlLeaked";

_Use_decl_annotations_
static NTSTATUS NTAPI IrqlLeakedCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    IRQL_LEAKED *device = Context;
    KIRQL irql;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeAcquireSpinLock(&device->Lock, &irql);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

_Use_decl_annotations_
static VOID NTAPI IrqlLeakedExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    KeLowerIrql(PASSIVE_LEVEL);
}

static VOID IrqlLeakedCompleteAnother(_In_ PDEVICE_OBJECT DeviceObject)
{
    PIRP irp = IoAllocateIrp(2, FALSE);

    if (irp == NULL) {
        return;
    }

    IoSetNextIrpStackLocation(irp);
    IoSetCompletionRoutine(irp, IrqlLeakedCompleted, DeviceObject->DeviceExtension, TRUE, TRUE, TRUE);
    IoSetNextIrpStackLocation(irp);
    TestComplete(irp, STATUS_SUCCESS, 0);
    IoFreeIrp(irp);
}

_Use_decl_annotations_
static NTSTATUS NTAPI IrqlLeakedControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IRQL_LEAKED *device = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    LARGE_INTEGER due;
    KIRQL irql;

    if (!TestIsRequest(Irp) || location->Parameters.DeviceIoControl.InputBufferLength < 1) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    switch (*(PUCHAR)Irp->AssociatedIrp.SystemBuffer) {
    case 0:
        KeAcquireSpinLock(&device->Lock, &irql);
        break;
    case 1:
        due.QuadPart = TEST_MILLISECONDS(10);
        KeSetTimer(&device->Timer, due, &device->Dpc);
        break;
    default:
        IrqlLeakedCompleteAnother(DeviceObject);
        break;
    }

    IoMarkIrpPending(Irp);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI IrqlLeakedUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    IRQL_LEAKED *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = IrqlLeakedUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = IrqlLeakedControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(IRQL_LEAKED), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeSpinLock(&device->Lock);
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, IrqlLeakedExpired, device);
    return STATUS_SUCCESS;
}
