/*
 * pool: \Device\Pool, 0x222000; the input's first byte chooses what is done with pool before the request is pended. A timer's DPC completes
 * it after 20 ms, without a cancel routine.
 *
 *  0 sound: allocates, writes every byte, frees with the tag it allocated with; paged pool at PASSIVE_LEVEL; returns what it wrote
 *  1 reads a block after freeing it               6 reads paged pool at DISPATCH_LEVEL
 *  2 writes one byte past the end of a block      7 returns eight bytes of output and writes only four
 *  3 reads one byte before a block                8 copies a block that was never written to its output
 *  4 frees a block twice                          9 never frees a block
 *  5 frees with another tag                      10 frees the block its timer is in while the timer counts
 * 11 sets an event that was freed                12 uses more stack than there is
 * 13 writes one byte past the device extension   14 frees a block twice, the second time as its last act (a tail call)
 * 15 calls pageable code at DISPATCH_LEVEL       16 calls an initialization routine after DriverEntry
 * 17 locks a page of its caller's and never unlocks it
 * 18 sound: as 15, with the section locked
 */

#include "device.h"

#define POOL_TAG 0x6C6F6F50u /* Pool */
#define POOL_OTHER_TAG 0x7265684Fu /* Oher */
#define POOL_BYTES 40

typedef struct _POOL {
    KTIMER Timer;
    KDPC Dpc;
    PIRP volatile Irp;
    PVOID volatile Kept;
} POOL;

static KDEFERRED_ROUTINE PoolExpired;
static DRIVER_DISPATCH PoolControl;
static DRIVER_UNLOAD PoolUnload;

static const WCHAR DeviceName[] = L"\\Device\\Pool";
static const WCHAR LinkName[] = L"\\DosDevices\\Pool";

_Use_decl_annotations_
static VOID NTAPI PoolExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    POOL *device = Context;
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    irp = InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL);
    TestComplete(irp, STATUS_SUCCESS, irp->IoStatus.Information);
}

static volatile UCHAR *PoolAllocate(_In_ POOL_TYPE Type)
{
    return ExAllocatePoolWithTag(Type, POOL_BYTES, POOL_TAG);
}

static ULONG PoolDeep(_In_ volatile ULONG *Depth)
{
    volatile ULONG frame[64];

    frame[0] = *Depth + 1;
    return frame[0] == 0 ? 0 : PoolDeep(frame) + frame[0];
}

static VOID PoolPaged(_In_ BOOLEAN Raised)
{
    volatile UCHAR *block = PoolAllocate(PagedPool);
    KIRQL irql;

    if (block == NULL) {
        return;
    }

    block[0] = 1;
    KeRaiseIrql(Raised ? DISPATCH_LEVEL : PASSIVE_LEVEL, &irql);
    block[1] = block[0];
    KeLowerIrql(irql);
    ExFreePoolWithTag((PVOID)block, POOL_TAG);
}

/* A call that is its caller's last act: with optimization it leaves no frame of the driver's behind. */
static VOID PoolFreeLast(_In_ PVOID Block)
{
    ExFreePoolWithTag(Block, POOL_TAG);
}

static __attribute__((section("PAGE"), noinline)) VOID PoolPageable(_Inout_ PVOID volatile *Kept)
{
    *Kept = NULL;
}

static __attribute__((section("INIT"), noinline)) VOID PoolInitialization(_Inout_ PVOID volatile *Kept)
{
    *Kept = NULL;
}

static VOID PoolLockPage(_In_ PVOID Address)
{
    PMDL mdl = IoAllocateMdl(Address, 8, FALSE, FALSE, NULL);

    if (mdl != NULL) {
        MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    }
}

static VOID PoolTimerInBlock(VOID)
{
    PKTIMER timer = ExAllocatePoolWithTag(NonPagedPool, sizeof(KTIMER), POOL_TAG);
    LARGE_INTEGER due;

    if (timer == NULL) {
        return;
    }

    KeInitializeTimer(timer);
    due.QuadPart = TEST_MILLISECONDS(5);
    KeSetTimer(timer, due, NULL);
    ExFreePoolWithTag(timer, POOL_TAG);
}

static VOID PoolEventInBlock(VOID)
{
    PKEVENT event = ExAllocatePoolWithTag(NonPagedPool, sizeof(KEVENT), POOL_TAG);

    if (event == NULL) {
        return;
    }

    KeInitializeEvent(event, NotificationEvent, FALSE);
    ExFreePoolWithTag(event, POOL_TAG);
    KeSetEvent(event, IO_NO_INCREMENT, FALSE);
}

static ULONG PoolFill(_Out_ PUCHAR Output, _In_ UCHAR Kind)
{
    volatile UCHAR *block;
    ULONG i;

    if (Kind == 8) {
        block = PoolAllocate(NonPagedPool);
        if (block == NULL) {
            return 0;
        }

        RtlMoveMemory(Output, (PVOID)block, 8);
        ExFreePoolWithTag((PVOID)block, POOL_TAG);
        return 8;
    }

    for (i = 0; i < (Kind == 7 ? 4u : 8u); i++) {
        ((volatile UCHAR *)Output)[i] = (UCHAR)i;
    }

    return 8;
}

static VOID PoolUse(_Inout_ POOL *Device, _In_ UCHAR Kind)
{
    volatile UCHAR *block;
    volatile ULONG depth = 0;
    ULONG i;

    block = PoolAllocate(NonPagedPool);
    if (block == NULL) {
        return;
    }

    for (i = 0; i < POOL_BYTES + (Kind == 2 ? 1u : 0u); i++) {
        block[i] = (UCHAR)i;
    }

    if (Kind == 3) {
        block[0] = block[-1];
    }

    if (Kind == 9) {
        Device->Kept = (PVOID)block;
        return;
    }

    ExFreePoolWithTag((PVOID)block, Kind == 5 ? POOL_OTHER_TAG : POOL_TAG);
    if (Kind == 1) {
        Device->Kept = (PVOID)(ULONG_PTR)block[7];
    }

    if (Kind == 14) {
        PoolFreeLast((PVOID)block);
        return;
    }

    if (Kind == 4) {
        ExFreePoolWithTag((PVOID)block, POOL_TAG);
    }

    if (Kind == 0 || Kind == 6) {
        PoolPaged(Kind == 6);
    }

    if (Kind == 10) {
        PoolTimerInBlock();
    }

    if (Kind == 11) {
        PoolEventInBlock();
    }

    if (Kind == 13) {
        ((volatile UCHAR *)(Device + 1))[0] = 0;
    }

    if (Kind == 15 || Kind == 18) {
        KIRQL irql;

        if (Kind == 18) {
            MmLockPagableDataSection((PVOID)(ULONG_PTR)PoolPageable);
        }

        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        PoolPageable(&Device->Kept);
        KeLowerIrql(irql);
    }

    if (Kind == 16) {
        PoolInitialization(&Device->Kept);
    }

    if (Kind == 12) {
        Device->Kept = (PVOID)(ULONG_PTR)PoolDeep(&depth);
    }
}

_Use_decl_annotations_
static NTSTATUS NTAPI PoolControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    POOL *device = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    PUCHAR buffer = Irp->AssociatedIrp.SystemBuffer;
    LARGE_INTEGER due;
    UCHAR kind;

    if (!TestIsRequest(Irp) || location->Parameters.DeviceIoControl.InputBufferLength < 1) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    kind = buffer[0];
    PoolUse(device, kind);
    if (kind == 17) {
        PoolLockPage(Irp->UserBuffer);
    }

    Irp->IoStatus.Information = location->Parameters.DeviceIoControl.OutputBufferLength < 8 ? 0 : PoolFill(buffer, kind);

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(20);
    KeSetTimer(&device->Timer, due, &device->Dpc);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI PoolUnload(PDRIVER_OBJECT DriverObject)
{
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    POOL *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = PoolUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = PoolControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(POOL), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    PoolInitialization(&device->Kept);
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, PoolExpired, device);
    return STATUS_SUCCESS;
}
