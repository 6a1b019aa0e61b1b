/*
 * lock-order: \Device\LockOrder.
 *
 * The dispatch routine takes two spin locks, the first and then the second, while a DPC on the next processor takes both as well.
 * 0x222000, defect: the DPC takes them the other way round. 0x222004, sound: in the same order. 0x222008, defect: the dispatch routine
 * takes the first lock twice. The request is pended and completed by a timer's DPC after 20 ms, without a cancel routine.
 *
 * On one processor the DPC never meets the dispatch routine, and 0x222000 goes well. On several, each may hold the lock that the other
 * one wants: both spin for ever.
 */

#include "device.h"

#define LOCK_ORDER_SAME CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define LOCK_ORDER_TWICE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS)

typedef struct _LOCK_ORDER {
    KSPIN_LOCK First;
    KSPIN_LOCK Second;
    LONG Touched; /* under both locks */
    KDPC Other;
    BOOLEAN OtherWay;
    KTIMER Timer;
    KDPC Expired;
    PIRP volatile Irp;
} LOCK_ORDER;

static KDEFERRED_ROUTINE LockOrderOther;
static KDEFERRED_ROUTINE LockOrderExpired;
static DRIVER_DISPATCH LockOrderControl;
static DRIVER_UNLOAD LockOrderUnload;

static const WCHAR DeviceName[] = L"\\Device\\LockOrder";
static const WCHAR LinkName[] = L"\\DosDevices\\LockOrder";

_IRQL_requires_(DISPATCH_LEVEL)
static VOID LockOrderTouch(_Inout_ LOCK_ORDER *Device, _Inout_ PKSPIN_LOCK Outer, _Inout_ PKSPIN_LOCK Inner)
{
    KeAcquireSpinLockAtDpcLevel(Outer);
    KeAcquireSpinLockAtDpcLevel(Inner);
    Device->Touched++;
    KeReleaseSpinLockFromDpcLevel(Inner);
    KeReleaseSpinLockFromDpcLevel(Outer);
}

_Use_decl_annotations_
static VOID NTAPI LockOrderOther(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LOCK_ORDER *device = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    if (device->OtherWay) {
        LockOrderTouch(device, &device->Second, &device->First);
    } else {
        LockOrderTouch(device, &device->First, &device->Second);
    }
}

_Use_decl_annotations_
static VOID NTAPI LockOrderExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LOCK_ORDER *device = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    TestComplete(InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL), STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI LockOrderControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LOCK_ORDER *device = DeviceObject->DeviceExtension;
    ULONG code = IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode;
    LARGE_INTEGER due;
    KIRQL irql;

    if (code != TEST_REQUEST && code != LOCK_ORDER_SAME && code != LOCK_ORDER_TWICE) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    device->OtherWay = code == TEST_REQUEST;
    KeInsertQueueDpc(&device->Other, NULL, NULL);
    LockOrderTouch(device, &device->First, code == LOCK_ORDER_TWICE ? &device->First : &device->Second);
    KeLowerIrql(irql);

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(20);
    KeSetTimer(&device->Timer, due, &device->Expired);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI LockOrderUnload(PDRIVER_OBJECT DriverObject)
{
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    LOCK_ORDER *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = LockOrderUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = LockOrderControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(LOCK_ORDER), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeSpinLock(&device->First);
    KeInitializeSpinLock(&device->Second);
    KeInitializeDpc(&device->Other, LockOrderOther, device);
    KeSetTargetProcessorDpc(&device->Other, (CCHAR)(KeQueryActiveProcessorCount(NULL) - 1));
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Expired, LockOrderExpired, device);
    return STATUS_SUCCESS;
}
