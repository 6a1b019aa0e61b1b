/*
 * contracts: \Device\Contracts, 0x222000; the input's first byte chooses how nt's routines are called before the request is pended. A timer's
 * DPC completes it after 20 ms, without a cancel routine.
 *
 *  0 sound: each routine where it may be called, at DISPATCH_LEVEL those that may be called there
 *  1 acquires an ERESOURCE at DISPATCH_LEVEL         8 acquires an ERESOURCE outside of a critical region
 *  2 allocates paged pool at DISPATCH_LEVEL          9 returns with an ERESOURCE
 *  3 closes a handle at DISPATCH_LEVEL              10 releases a fast mutex that it has not acquired
 *  4 makes a device at DISPATCH_LEVEL               11 completes the request while it holds a spin lock
 *  5 allocates pool at IRQL 5                       12 sets an event at DISPATCH_LEVEL, about to wait
 *  6 KeAcquireSpinLockAtDpcLevel at PASSIVE_LEVEL   13 KeReleaseSpinLockFromDpcLevel at PASSIVE_LEVEL
 *  7 prints wide characters at DISPATCH_LEVEL
 */

#include "device.h"

#define CONTRACTS_TAG 0x72746E43u /* Cntr */
#define DEVICE_IRQL 5

NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES, EVENT_TYPE, BOOLEAN);

typedef struct _CONTRACTS {
    KTIMER Timer;
    KDPC Dpc;
    KSPIN_LOCK Lock;
    ERESOURCE Resource;
    FAST_MUTEX Mutex;
    KEVENT Event;
    BOOLEAN CompleteUnderLock;
    PIRP volatile Irp;
} CONTRACTS;

static KDEFERRED_ROUTINE ContractsExpired;
static DRIVER_DISPATCH ContractsControl;
static DRIVER_UNLOAD ContractsUnload;

static const WCHAR DeviceName[] = L"\\Device\\Contracts";
static const WCHAR LinkName[] = L"\\DosDevices\\Contracts";

_Use_decl_annotations_
static VOID NTAPI ContractsExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    CONTRACTS *device = Context;
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    KeAcquireSpinLockAtDpcLevel(&device->Lock);
    irp = InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL);
    if (device->CompleteUnderLock) {
        TestComplete(irp, STATUS_SUCCESS, 0);
        KeReleaseSpinLockFromDpcLevel(&device->Lock);
        return;
    }

    KeReleaseSpinLockFromDpcLevel(&device->Lock);
    TestComplete(irp, STATUS_SUCCESS, 0);
}

static VOID ContractsAllocate(_In_ POOL_TYPE Type, _In_ KIRQL Irql)
{
    PVOID block;
    KIRQL irql;

    KeRaiseIrql(Irql, &irql);
    block = ExAllocatePoolWithTag(Type, 16, CONTRACTS_TAG);
    KeLowerIrql(irql);
    if (block != NULL) {
        ExFreePoolWithTag(block, CONTRACTS_TAG);
    }
}

static VOID ContractsUseResource(_Inout_ CONTRACTS *Device, _In_ BOOLEAN InRegion, _In_ KIRQL Irql)
{
    KIRQL irql;

    if (InRegion) {
        KeEnterCriticalRegion();
    }

    KeRaiseIrql(Irql, &irql);
    ExAcquireResourceExclusiveLite(&Device->Resource, TRUE);
    ExReleaseResourceLite(&Device->Resource);
    KeLowerIrql(irql);
    if (InRegion) {
        KeLeaveCriticalRegion();
    }
}

static VOID ContractsClose(_In_ KIRQL Irql)
{
    HANDLE handle;
    KIRQL irql;

    if (NT_SUCCESS(ZwCreateEvent(&handle, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE))) {
        KeRaiseIrql(Irql, &irql);
        ZwClose(handle);
        KeLowerIrql(irql);
    }
}

static VOID ContractsMakeDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ KIRQL Irql)
{
    PDEVICE_OBJECT deviceObject;
    NTSTATUS status;
    KIRQL irql;

    KeRaiseIrql(Irql, &irql);
    status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &deviceObject);
    KeLowerIrql(irql);
    if (NT_SUCCESS(status)) {
        IoDeleteDevice(deviceObject);
    }
}

static VOID ContractsPrint(_In_ PCSTR Format, _In_ const VOID *Text, _In_ KIRQL Irql)
{
    KIRQL irql;

    KeRaiseIrql(Irql, &irql);
    DbgPrint(Format, Text);
    KeLowerIrql(irql);
}

/* What may be done at DISPATCH_LEVEL. */
static VOID ContractsDispatch(_Inout_ CONTRACTS *Device, _Inout_ PDRIVER_OBJECT DriverObject)
{
    LARGE_INTEGER now;
    KIRQL irql;

    now.QuadPart = 0;
    ObReferenceObject(DriverObject);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeAcquireSpinLockAtDpcLevel(&Device->Lock);
    KeReleaseSpinLockFromDpcLevel(&Device->Lock);
    KeSetEvent(&Device->Event, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(&Device->Event, Executive, KernelMode, FALSE, &now);
    ObDereferenceObject(DriverObject);
    KeLowerIrql(irql);
    ContractsAllocate(NonPagedPool, DISPATCH_LEVEL);
    ContractsPrint("%s\n", "narrow", DISPATCH_LEVEL);
}

static VOID ContractsSound(_Inout_ CONTRACTS *Device, _In_ PDRIVER_OBJECT DriverObject)
{
    ContractsDispatch(Device, DriverObject);
    ContractsAllocate(PagedPool, APC_LEVEL);
    ContractsUseResource(Device, TRUE, PASSIVE_LEVEL);
    ContractsUseResource(Device, FALSE, APC_LEVEL);
    ContractsClose(PASSIVE_LEVEL);
    ContractsMakeDevice(DriverObject, APC_LEVEL);
    ContractsPrint("%ws\n", L"wide", PASSIVE_LEVEL);
    ExAcquireFastMutex(&Device->Mutex);
    ExReleaseFastMutex(&Device->Mutex);
}

static VOID ContractsSpinLock(_Inout_ CONTRACTS *Device, _In_ UCHAR Kind)
{
    KIRQL irql;

    KeRaiseIrql(Kind == 6 ? PASSIVE_LEVEL : DISPATCH_LEVEL, &irql);
    KeAcquireSpinLockAtDpcLevel(&Device->Lock);
    KeLowerIrql(irql);
    KeRaiseIrql(Kind == 6 ? DISPATCH_LEVEL : PASSIVE_LEVEL, &irql);
    KeReleaseSpinLockFromDpcLevel(&Device->Lock);
    KeLowerIrql(irql);
}

static VOID ContractsSetEvent(_Inout_ CONTRACTS *Device)
{
    LARGE_INTEGER now;
    KIRQL irql;

    now.QuadPart = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeSetEvent(&Device->Event, IO_NO_INCREMENT, TRUE);
    KeWaitForSingleObject(&Device->Event, Executive, KernelMode, FALSE, &now);
    KeLowerIrql(irql);
}

static VOID ContractsUse(_Inout_ CONTRACTS *Device, _In_ PDRIVER_OBJECT DriverObject, _In_ UCHAR Kind)
{
    switch (Kind) {
    case 0: ContractsSound(Device, DriverObject); break;
    case 1: ContractsUseResource(Device, TRUE, DISPATCH_LEVEL); break;
    case 2: ContractsAllocate(PagedPool, DISPATCH_LEVEL); break;
    case 3: ContractsClose(DISPATCH_LEVEL); break;
    case 4: ContractsMakeDevice(DriverObject, DISPATCH_LEVEL); break;
    case 5: ContractsAllocate(NonPagedPool, DEVICE_IRQL); break;
    case 6: case 13: ContractsSpinLock(Device, Kind); break;
    case 7: ContractsPrint("%ws\n", L"wide", DISPATCH_LEVEL); break;
    case 8: ContractsUseResource(Device, FALSE, PASSIVE_LEVEL); break;
    case 9:
        KeEnterCriticalRegion();
        ExAcquireResourceSharedLite(&Device->Resource, TRUE);
        KeLeaveCriticalRegion();
        break;
    case 10: ExReleaseFastMutex(&Device->Mutex); break;
    case 12: ContractsSetEvent(Device); break;
    default: break;
    }
}

_Use_decl_annotations_
static NTSTATUS NTAPI ContractsControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    CONTRACTS *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;
    UCHAR kind;

    if (!TestIsRequest(Irp) || IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.InputBufferLength < 1) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    kind = *(PUCHAR)Irp->AssociatedIrp.SystemBuffer;
    device->CompleteUnderLock = kind == 11;
    ContractsUse(device, DeviceObject->DriverObject, kind);

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(20);
    KeSetTimer(&device->Timer, due, &device->Dpc);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI ContractsUnload(PDRIVER_OBJECT DriverObject)
{
    CONTRACTS *device = DriverObject->DeviceObject->DeviceExtension;

    KeFlushQueuedDpcs();
    ExDeleteResourceLite(&device->Resource);
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    CONTRACTS *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = ContractsUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = ContractsControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(CONTRACTS), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, ContractsExpired, device);
    KeInitializeSpinLock(&device->Lock);
    ExInitializeResourceLite(&device->Resource);
    ExInitializeFastMutex(&device->Mutex);
    KeInitializeEvent(&device->Event, NotificationEvent, FALSE);
    return STATUS_SUCCESS;
}
