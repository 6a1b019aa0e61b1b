/*
 * direct: \Device\Direct. MDLs in DriverEntry; and 0x222002 (METHOD_OUT_DIRECT): a work item, in another process, writes through the system
 * mapping; the close of the file, in the client's process, looks at the client's own address.
 */

#include "check.h"

#define DIRECT_REQUEST CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_OUT_DIRECT, FILE_ANY_ACCESS)

static PIO_WORKITEM WorkItem;
static PUCHAR Client;
static ULONG Length;

static VOID CheckDescriptors(VOID)
{
    PUCHAR pool = ExAllocatePoolWithTag(NonPagedPool, 3 * PAGE_SIZE, TEST_TAG);
    PUCHAR start = pool + 100;
    PMDL mdl = IoAllocateMdl(start, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL part = IoAllocateMdl(start + 0x400, 0x800, FALSE, FALSE, NULL);
    PMDL locked;
    PUCHAR mapped;

    CHECK(MmGetMdlByteCount(mdl) == 2 * PAGE_SIZE && MmGetMdlVirtualAddress(mdl) == (PVOID)start);
    CHECK(MmSizeOfMdl(start, 2 * PAGE_SIZE) == sizeof(MDL) + 3 * sizeof(PFN_NUMBER));
    MmBuildMdlForNonPagedPool(mdl);
    CHECK(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) == (PVOID)start);
    IoBuildPartialMdl(mdl, part, start + 0x400, 0x800);
    CHECK(MmGetMdlByteCount(part) == 0x800 && MmGetSystemAddressForMdlSafe(part, NormalPagePriority) == (PVOID)(start + 0x400));
    CHECK(MmGetPhysicalAddress(start).QuadPart != 0 && MmGetPhysicalAddress(pool + PAGE_SIZE).QuadPart != MmGetPhysicalAddress(pool).QuadPart);
    IoFreeMdl(part);
    IoFreeMdl(mdl);

    locked = IoAllocateMdl(start, PAGE_SIZE, FALSE, FALSE, NULL);
    MmProbeAndLockPages(locked, KernelMode, IoModifyAccess);
    mapped = MmMapLockedPagesSpecifyCache(locked, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    CHECK(mapped != NULL && mapped != start && ((ULONG_PTR)mapped & (PAGE_SIZE - 1)) == 100);
    CHECK(MmGetPhysicalAddress(mapped).QuadPart == MmGetPhysicalAddress(start).QuadPart);
    start[10] = 1;
    CHECK(mapped[10] == 1);
    mapped[11] = 2;
    CHECK(start[11] == 2);
    start[PAGE_SIZE - 1] = 3;
    CHECK(mapped[PAGE_SIZE - 1] == 3);
    CHECK(MmIsAddressValid(mapped));
    MmUnmapLockedPages(mapped, locked);
    CHECK(!MmIsAddressValid(mapped));
    MmUnlockPages(locked);
    IoFreeMdl(locked);
    ExFreePoolWithTag(pool, TEST_TAG);
}

static VOID NTAPI Write(_In_ PDEVICE_OBJECT DeviceObject, _In_opt_ PVOID Context)
{
    PIRP irp = Context;
    PUCHAR system = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    ULONG i;

    UNREFERENCED_PARAMETER(DeviceObject);

    CHECK(PsGetCurrentProcess() == PsInitialSystemProcess);
    CHECK(system != NULL && (ULONG_PTR)system > (ULONG_PTR)MmSystemRangeStart);
    for (i = 0; i < Length; i++) {
        system[i] = (UCHAR)(i * 7 + 1);
    }

    TestComplete(irp, STATUS_SUCCESS, Length);
}

_Use_decl_annotations_
static NTSTATUS NTAPI DirectControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);

    UNREFERENCED_PARAMETER(DeviceObject);

    if (location->Parameters.DeviceIoControl.IoControlCode != DIRECT_REQUEST || Irp->MdlAddress == NULL) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    Client = MmGetMdlVirtualAddress(Irp->MdlAddress);
    Length = MmGetMdlByteCount(Irp->MdlAddress);
    IoMarkIrpPending(Irp);
    IoQueueWorkItem(WorkItem, Write, DelayedWorkQueue, Irp);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static NTSTATUS NTAPI DirectCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    ULONG i;
    ULONG right = 0;

    UNREFERENCED_PARAMETER(DeviceObject);

    CHECK(Client != NULL && Length != 0 && (ULONG_PTR)Client < (ULONG_PTR)MmHighestUserAddress);
    for (i = 0; i < Length; i++) {
        right += Client[i] == (UCHAR)(i * 7 + 1);
    }

    CHECK(right == Length);
    DbgPrint("done %lu\n", Checks);
    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    CheckDescriptors();
    status = TestCreateDevice(DriverObject, L"\\Device\\Direct", L"\\DosDevices\\Direct", 0, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    WorkItem = IoAllocateWorkItem(device);
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = DirectControl;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = DirectCleanup;
    return STATUS_SUCCESS;
}
