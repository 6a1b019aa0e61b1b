/*
 * freed-in-use: \Device\FreedInUse, 0x222000; the input's first byte chooses which pool is freed while nt still works with it. A timer's DPC
 * completes the request after 20 ms, without a cancel routine.
 *
 *  0 sound: all of it, and freed when nt is done with it
 *  1 the status block and the event of a request to the device below    4 an ERESOURCE that is not deleted
 *  2 the output buffer of that request                                  5 an ERESOURCE, and then acquires it
 *  3 the head of a list, and then inserts                               6 a semaphore for which a thread waits
 */

#include "device.h"

#define FREED_TAG 0x64657246u /* Fred */

typedef struct _FREED {
    KTIMER Timer;
    KDPC Dpc;
    KTIMER LowerTimer;
    KDPC LowerDpc;
    PDEVICE_OBJECT Lower;
    PIRP volatile LowerIrp;
    PKSEMAPHORE Semaphore;
    KSPIN_LOCK Lock;
    LIST_ENTRY Entry;
    PIRP volatile Irp;
} FREED;

typedef struct _FREED_REQUEST {
    KEVENT Event;
    IO_STATUS_BLOCK StatusBlock;
} FREED_REQUEST;

static KDEFERRED_ROUTINE FreedExpired;
static DRIVER_DISPATCH FreedControl;
static DRIVER_UNLOAD FreedUnload;
static KSTART_ROUTINE FreedWaits;

static const WCHAR DeviceName[] = L"\\Device\\FreedInUse";
static const WCHAR LinkName[] = L"\\DosDevices\\FreedInUse";

/* For both devices: Context is where the IRP is. */
_Use_decl_annotations_
static VOID NTAPI FreedExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    irp = InterlockedExchangePointer((PVOID volatile *)Context, NULL);
    if (irp->AssociatedIrp.SystemBuffer != NULL) {
        *(volatile UCHAR *)irp->AssociatedIrp.SystemBuffer = 1;
    }

    TestComplete(irp, STATUS_SUCCESS, 1);
}

static PVOID FreedAllocate(_In_ SIZE_T Bytes)
{
    return ExAllocatePoolWithTag(NonPagedPool, Bytes, FREED_TAG);
}

static VOID FreedFree(_In_ PVOID Block)
{
    ExFreePoolWithTag(Block, FREED_TAG);
}

static VOID FreedAsk(_Inout_ FREED *Device, _In_ UCHAR Kind)
{
    FREED_REQUEST *request = FreedAllocate(sizeof(*request));
    PUCHAR output = FreedAllocate(1);
    UCHAR input = 0;
    PIRP irp;

    KeInitializeEvent(&request->Event, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(TEST_REQUEST, Device->Lower, &input, sizeof(input), output, 1, FALSE, &request->Event, &request->StatusBlock);
    if (irp != NULL && IoCallDriver(Device->Lower, irp) == STATUS_PENDING && Kind == 0) {
        KeWaitForSingleObject(&request->Event, Executive, KernelMode, FALSE, NULL);
    }

    if (Kind != 1) {
        FreedFree(output);
    }

    if (Kind != 2) {
        FreedFree(request);
    }
}

static VOID FreedList(_Inout_ FREED *Device, _In_ UCHAR Kind)
{
    PLIST_ENTRY head = FreedAllocate(sizeof(*head));

    InitializeListHead(head);
    if (Kind == 3) {
        FreedFree(head);
    }

    ExInterlockedInsertTailList(head, &Device->Entry, &Device->Lock);
    ExInterlockedRemoveHeadList(head, &Device->Lock);
    FreedFree(head);
}

static VOID FreedResource(_In_ UCHAR Kind)
{
    PERESOURCE resource = FreedAllocate(sizeof(*resource));

    ExInitializeResourceLite(resource);
    if (Kind != 4) {
        ExDeleteResourceLite(resource);
    }

    FreedFree(resource);
    if (Kind == 5) {
        KeEnterCriticalRegion();
        ExAcquireResourceExclusiveLite(resource, TRUE);
        ExReleaseResourceLite(resource);
        KeLeaveCriticalRegion();
    }
}

_Use_decl_annotations_
static VOID NTAPI FreedWaits(PVOID Context)
{
    FREED *device = Context;

    KeWaitForSingleObject(device->Semaphore, Executive, KernelMode, FALSE, NULL);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID FreedSemaphore(_Inout_ FREED *Device, _In_ UCHAR Kind)
{
    LARGE_INTEGER interval;
    HANDLE handle;
    PVOID thread;

    Device->Semaphore = FreedAllocate(sizeof(KSEMAPHORE));
    KeInitializeSemaphore(Device->Semaphore, 0, 1);
    if (!NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, FreedWaits, Device))) {
        return;
    }

    ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL);
    ZwClose(handle);
    interval.QuadPart = TEST_MILLISECONDS(5);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    if (Kind == 6) {
        FreedFree(Device->Semaphore);
    }

    KeReleaseSemaphore(Device->Semaphore, IO_NO_INCREMENT, 1, FALSE);
    KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
    FreedFree(Device->Semaphore);
}

static NTSTATUS FreedPend(_Inout_ PIRP Irp, _Inout_ PKTIMER Timer, _In_ PKDPC Dpc, _In_ LONG Milliseconds)
{
    LARGE_INTEGER due;

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(Milliseconds);
    KeSetTimer(Timer, due, Dpc);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static NTSTATUS NTAPI FreedControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    FREED *device = DeviceObject->DriverObject->DeviceObject->NextDevice->DeviceExtension;
    UCHAR kind;

    if (DeviceObject == device->Lower) {
        device->LowerIrp = Irp;
        return FreedPend(Irp, &device->LowerTimer, &device->LowerDpc, 10);
    }

    if (!TestIsRequest(Irp) || IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.InputBufferLength < 1) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    kind = *(PUCHAR)Irp->AssociatedIrp.SystemBuffer;
    if (kind <= 2) {
        FreedAsk(device, kind);
    }

    if (kind == 0 || kind == 3) {
        FreedList(device, kind);
    }

    if (kind == 0 || kind == 4 || kind == 5) {
        FreedResource(kind);
    }

    if (kind == 0 || kind == 6) {
        FreedSemaphore(device, kind);
    }

    return FreedPend(Irp, &device->Timer, &device->Dpc, 20);
}

_Use_decl_annotations_
static VOID NTAPI FreedUnload(PDRIVER_OBJECT DriverObject)
{
    FREED *device = DriverObject->DeviceObject->NextDevice->DeviceExtension;

    KeFlushQueuedDpcs();
    IoDeleteDevice(device->Lower);
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    FREED *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = FreedUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = FreedControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(FREED), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, FreedExpired, (PVOID)&device->Irp);
    KeInitializeTimer(&device->LowerTimer);
    KeInitializeDpc(&device->LowerDpc, FreedExpired, (PVOID)&device->LowerIrp);
    KeInitializeSpinLock(&device->Lock);
    status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device->Lower);
    if (!NT_SUCCESS(status)) {
        TestDeleteDevice(deviceObject, LinkName);
        return status;
    }

    device->Lower->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
