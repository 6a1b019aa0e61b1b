/*
 * csq: \Device\Csq, 0x222000.
 *
 * Sound: the request waits in the kernel's own cancel-safe queue (IoCsq), and nothing but a cancel ends it.
 *
 * When the client dies: it ends at once, the request with STATUS_CANCELLED.
 */

#include "device.h"

typedef struct _CSQ_DEVICE {
    IO_CSQ Csq;
    KSPIN_LOCK Lock;
    LIST_ENTRY Irps;
} CSQ_DEVICE;

static DRIVER_DISPATCH CsqControl;
static DRIVER_DISPATCH CsqCleanup;
static DRIVER_UNLOAD CsqUnload;

static const WCHAR DeviceName[] = L"\\Device\\Csq";
static const WCHAR LinkName[] = L"\\DosDevices\\Csq";

_Requires_lock_held_(CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq)->Lock)
static VOID NTAPI CsqInsert(_In_ PIO_CSQ Csq, _In_ PIRP Irp)
{
    CSQ_DEVICE *device = CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq);

    InsertTailList(&device->Irps, &Irp->Tail.Overlay.ListEntry);
}

_Requires_lock_held_(CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq)->Lock)
static VOID NTAPI CsqRemove(_In_ PIO_CSQ Csq, _In_ PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);

    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

/* The first IRP after this one that is of the file object asked for; of any, where none is asked for. */
_Requires_lock_held_(CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq)->Lock)
_Ret_maybenull_
static PIRP NTAPI CsqPeekNext(_In_ PIO_CSQ Csq, _In_opt_ PIRP Irp, _In_opt_ PVOID PeekContext)
{
    CSQ_DEVICE *device = CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq);
    PLIST_ENTRY entry = Irp == NULL ? device->Irps.Flink : Irp->Tail.Overlay.ListEntry.Flink;

    for (; entry != &device->Irps; entry = entry->Flink) {
        PIRP next = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);

        if (PeekContext == NULL || IoGetCurrentIrpStackLocation(next)->FileObject == PeekContext) {
            return next;
        }
    }

    return NULL;
}

_Acquires_lock_(CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq)->Lock)
static VOID NTAPI CsqAcquireLock(_In_ PIO_CSQ Csq, _Out_ PKIRQL Irql)
{
    KeAcquireSpinLock(&CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq)->Lock, Irql);
}

_Releases_lock_(CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq)->Lock)
static VOID NTAPI CsqReleaseLock(_In_ PIO_CSQ Csq, _In_ KIRQL Irql)
{
    KeReleaseSpinLock(&CONTAINING_RECORD(Csq, CSQ_DEVICE, Csq)->Lock, Irql);
}

static VOID NTAPI CsqCompleteCanceled(_In_ PIO_CSQ Csq, _In_ PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);

    TestComplete(Irp, STATUS_CANCELLED, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI CsqControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    CSQ_DEVICE *device = DeviceObject->DeviceExtension;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    /* Marks it pending, and completes it if it was cancelled on its way. */
    IoCsqInsertIrp(&device->Csq, Irp, NULL);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static NTSTATUS NTAPI CsqCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    CSQ_DEVICE *device = DeviceObject->DeviceExtension;
    PIRP irp;

    while ((irp = IoCsqRemoveNextIrp(&device->Csq, IoGetCurrentIrpStackLocation(Irp)->FileObject)) != NULL) {
        TestComplete(irp, STATUS_CANCELLED, 0);
    }

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI CsqUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    CSQ_DEVICE *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(CSQ_DEVICE), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    DriverObject->DriverUnload = CsqUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = CsqControl;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = CsqCleanup;

    device = deviceObject->DeviceExtension;
    KeInitializeSpinLock(&device->Lock);
    InitializeListHead(&device->Irps);
    status = IoCsqInitialize(
        &device->Csq, CsqInsert, CsqRemove, CsqPeekNext, CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceled);
    if (!NT_SUCCESS(status)) {
        TestDeleteDevice(deviceObject, LinkName);
    }

    return status;
}
