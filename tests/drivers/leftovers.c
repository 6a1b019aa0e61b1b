/*
 * leftovers: \Device\Leftovers, 0x222000; the input's first byte chooses what DriverUnload leaves behind. A timer's DPC completes the request
 * after 20 ms, without a cancel routine.
 *
 *  0 sound: whatever was made is taken back    5 a callback
 *  1 an MDL                                    6 a handle
 *  2 a string                                  7 a reference to an event
 *  3 a lookaside list                          8 a reference to the client's process
 *  4 an ERESOURCE
 */

#include "device.h"

#define LEFTOVERS_TAG 0x7474664Cu /* Lftt */

NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(PHANDLE, ACCESS_MASK, POBJECT_ATTRIBUTES, EVENT_TYPE, BOOLEAN);
NTKERNELAPI NTSTATUS NTAPI PsLookupProcessByProcessId(HANDLE, PEPROCESS *);
NTKERNELAPI HANDLE NTAPI PsGetCurrentProcessId(VOID);

typedef struct _LEFTOVERS {
    KTIMER Timer;
    KDPC Dpc;
    UCHAR Kind;
    PMDL Mdl;
    ANSI_STRING String;
    PCALLBACK_OBJECT CallbackObject;
    PVOID Callback;
    HANDLE Handle;
    PVOID Event;
    PEPROCESS Process;
    PIRP volatile Irp;
} LEFTOVERS;

static KDEFERRED_ROUTINE LeftoversExpired;
static DRIVER_DISPATCH LeftoversControl;
static DRIVER_UNLOAD LeftoversUnload;

static const WCHAR DeviceName[] = L"\\Device\\Leftovers";
static const WCHAR LinkName[] = L"\\DosDevices\\Leftovers";

/* In the image: what lies in the device extension would go with the device. */
static NPAGED_LOOKASIDE_LIST Lookaside;
static ERESOURCE Resource;

_Use_decl_annotations_
static VOID NTAPI LeftoversExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LEFTOVERS *device = Context;
    PIRP irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    irp = InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL);
    TestComplete(irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI LeftoversCalled(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static VOID LeftoversRegister(_Inout_ LEFTOVERS *Device)
{
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;

    RtlInitUnicodeString(&name, L"\\Callback\\Leftovers");
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    if (NT_SUCCESS(ExCreateCallback(&Device->CallbackObject, &attributes, TRUE, TRUE))) {
        Device->Callback = ExRegisterCallback(Device->CallbackObject, LeftoversCalled, NULL);
    }
}

static VOID LeftoversOpen(_Inout_ LEFTOVERS *Device)
{
    OBJECT_ATTRIBUTES attributes;

    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (NT_SUCCESS(ZwCreateEvent(&Device->Handle, EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE))) {
        ObReferenceObjectByHandle(Device->Handle, EVENT_ALL_ACCESS, NULL, KernelMode, &Device->Event, NULL);
    }
}

static VOID LeftoversMake(_Inout_ LEFTOVERS *Device)
{
    UNICODE_STRING text;

    RtlInitUnicodeString(&text, L"left over");
    RtlUnicodeStringToAnsiString(&Device->String, &text, TRUE);
    Device->Mdl = IoAllocateMdl(Device, sizeof(*Device), FALSE, FALSE, NULL);
    LeftoversRegister(Device);
    LeftoversOpen(Device);
    PsLookupProcessByProcessId(PsGetCurrentProcessId(), &Device->Process);
}

_Use_decl_annotations_
static NTSTATUS NTAPI LeftoversControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    LEFTOVERS *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;

    if (!TestIsRequest(Irp) || IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.InputBufferLength < 1) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (device->Mdl != NULL || InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    device->Kind = *(PUCHAR)Irp->AssociatedIrp.SystemBuffer;
    LeftoversMake(device);

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(20);
    KeSetTimer(&device->Timer, due, &device->Dpc);
    return STATUS_PENDING;
}

static VOID LeftoversTakeBack(_Inout_ LEFTOVERS *Device)
{
    if (Device->Mdl != NULL && Device->Kind != 1) {
        IoFreeMdl(Device->Mdl);
    }

    if (Device->Kind != 2) {
        RtlFreeAnsiString(&Device->String);
    }

    if (Device->Callback != NULL && Device->Kind != 5) {
        ExUnregisterCallback(Device->Callback);
    }

    if (Device->CallbackObject != NULL) {
        ObDereferenceObject(Device->CallbackObject);
    }

    if (Device->Handle != NULL && Device->Kind != 6) {
        ZwClose(Device->Handle);
    }

    if (Device->Event != NULL && Device->Kind != 7) {
        ObDereferenceObject(Device->Event);
    }

    if (Device->Process != NULL && Device->Kind != 8) {
        ObDereferenceObject(Device->Process);
    }
}

_Use_decl_annotations_
static VOID NTAPI LeftoversUnload(PDRIVER_OBJECT DriverObject)
{
    LEFTOVERS *device = DriverObject->DeviceObject->DeviceExtension;

    KeFlushQueuedDpcs();
    LeftoversTakeBack(device);
    if (device->Kind != 3) {
        ExDeleteNPagedLookasideList(&Lookaside);
    }

    if (device->Kind != 4) {
        ExDeleteResourceLite(&Resource);
    }

    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    LEFTOVERS *device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = LeftoversUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = LeftoversControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(LEFTOVERS), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, LeftoversExpired, device);
    ExInitializeNPagedLookasideList(&Lookaside, NULL, NULL, 0, 32, LEFTOVERS_TAG, 0);
    ExInitializeResourceLite(&Resource);
    return STATUS_SUCCESS;
}
