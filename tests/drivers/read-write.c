/*
 * read-write: \Device\ReadWrite. Reads and writes, buffered; no control codes.
 *
 * Sound. A write (up to 256 bytes) replaces the one message the device has, and completes at once; it also ends every read that waits. A
 * read takes a copy of the message, as much as fits, and completes at once; while nothing has been written yet, it waits and can be
 * cancelled.
 *
 * When the client dies while it reads: it ends at once, the read with STATUS_CANCELLED.
 */

#include "device.h"

#define READ_WRITE_MAXIMUM 256

typedef struct _READ_WRITE {
    KSPIN_LOCK Lock;
    LIST_ENTRY Reads; /* under Lock, as all below */
    BOOLEAN Written;
    ULONG Length;
    UCHAR Message[READ_WRITE_MAXIMUM];
} READ_WRITE;

static DRIVER_CANCEL ReadWriteCancel;
static DRIVER_DISPATCH ReadWriteRead;
static DRIVER_DISPATCH ReadWriteWrite;
static DRIVER_DISPATCH ReadWriteCleanup;
static DRIVER_UNLOAD ReadWriteUnload;

static const WCHAR DeviceName[] = L"\\Device\\ReadWrite";
static const WCHAR LinkName[] = L"\\DosDevices\\ReadWrite";

_Use_decl_annotations_
static VOID NTAPI ReadWriteCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    READ_WRITE *device = DeviceObject->DeviceExtension;
    KIRQL irql;

    IoReleaseCancelSpinLock(Irp->CancelIrql);

    KeAcquireSpinLock(&device->Lock, &irql);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    KeReleaseSpinLock(&device->Lock, irql);

    TestComplete(Irp, STATUS_CANCELLED, 0);
}

/* Copies the message to the reader. How many bytes it got. */
_Requires_lock_held_(Device->Lock)
static ULONG ReadWriteCopy(_In_ const READ_WRITE *Device, _Inout_ PIRP Irp)
{
    ULONG wanted = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length;
    ULONG length = wanted < Device->Length ? wanted : Device->Length;

    /* A read of no bytes has no system buffer. */
    if (length != 0) {
        RtlCopyMemory(Irp->AssociatedIrp.SystemBuffer, Device->Message, length);
    }

    return length;
}

/*
 * Moves the reads of this file object, or all where File is NULL, to a list of the caller's, except those whose cancel routine is on its
 * way. Without a routine nobody else can reach them, so they may be completed without the lock.
 */
_Requires_lock_held_(Device->Lock)
static VOID ReadWriteTake(_Inout_ READ_WRITE *Device, _In_opt_ PFILE_OBJECT File, _Out_ PLIST_ENTRY Taken)
{
    PLIST_ENTRY entry;
    PLIST_ENTRY next;

    InitializeListHead(Taken);
    for (entry = Device->Reads.Flink; entry != &Device->Reads; entry = next) {
        PIRP irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);

        next = entry->Flink;
        if ((File == NULL || IoGetCurrentIrpStackLocation(irp)->FileObject == File) && IoSetCancelRoutine(irp, NULL) != NULL) {
            RemoveEntryList(entry);
            InsertTailList(Taken, entry);
        }
    }
}

_Use_decl_annotations_
static NTSTATUS NTAPI ReadWriteRead(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    READ_WRITE *device = DeviceObject->DeviceExtension;
    BOOLEAN ours;
    KIRQL irql;

    KeAcquireSpinLock(&device->Lock, &irql);

    if (device->Written) {
        ULONG length = ReadWriteCopy(device, Irp);

        KeReleaseSpinLock(&device->Lock, irql);
        return TestComplete(Irp, STATUS_SUCCESS, length);
    }

    IoMarkIrpPending(Irp);
    InsertTailList(&device->Reads, &Irp->Tail.Overlay.ListEntry);
    IoSetCancelRoutine(Irp, ReadWriteCancel);
    ours = Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL;
    if (ours) {
        RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    }

    KeReleaseSpinLock(&device->Lock, irql);

    if (ours) {
        TestComplete(Irp, STATUS_CANCELLED, 0);
    }

    return STATUS_PENDING;
}

_Use_decl_annotations_
static NTSTATUS NTAPI ReadWriteWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    READ_WRITE *device = DeviceObject->DeviceExtension;
    ULONG length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
    LIST_ENTRY taken;
    PLIST_ENTRY entry;
    KIRQL irql;

    if (length > READ_WRITE_MAXIMUM) {
        return TestComplete(Irp, STATUS_INVALID_PARAMETER, 0);
    }

    KeAcquireSpinLock(&device->Lock, &irql);

    RtlZeroMemory(device->Message, sizeof(device->Message));
    if (length != 0) {
        RtlCopyMemory(device->Message, Irp->AssociatedIrp.SystemBuffer, length);
    }

    device->Length = length;
    device->Written = TRUE;

    /* All reads get this message, though another write may come before they are completed. */
    ReadWriteTake(device, NULL, &taken);
    for (entry = taken.Flink; entry != &taken; entry = entry->Flink) {
        PIRP irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);

        irp->IoStatus.Information = ReadWriteCopy(device, irp);
    }

    KeReleaseSpinLock(&device->Lock, irql);

    while (!IsListEmpty(&taken)) {
        PIRP irp = CONTAINING_RECORD(RemoveHeadList(&taken), IRP, Tail.Overlay.ListEntry);

        TestComplete(irp, STATUS_SUCCESS, irp->IoStatus.Information);
    }

    return TestComplete(Irp, STATUS_SUCCESS, length);
}

_Use_decl_annotations_
static NTSTATUS NTAPI ReadWriteCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    READ_WRITE *device = DeviceObject->DeviceExtension;
    LIST_ENTRY taken;
    KIRQL irql;

    KeAcquireSpinLock(&device->Lock, &irql);
    ReadWriteTake(device, IoGetCurrentIrpStackLocation(Irp)->FileObject, &taken);
    KeReleaseSpinLock(&device->Lock, irql);

    while (!IsListEmpty(&taken)) {
        TestComplete(CONTAINING_RECORD(RemoveHeadList(&taken), IRP, Tail.Overlay.ListEntry), STATUS_CANCELLED, 0);
    }

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI ReadWriteUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    READ_WRITE *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(READ_WRITE), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    DriverObject->DriverUnload = ReadWriteUnload;
    DriverObject->MajorFunction[IRP_MJ_READ] = ReadWriteRead;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = ReadWriteWrite;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = ReadWriteCleanup;

    device = deviceObject->DeviceExtension;
    KeInitializeSpinLock(&device->Lock);
    InitializeListHead(&device->Reads);
    return STATUS_SUCCESS;
}
