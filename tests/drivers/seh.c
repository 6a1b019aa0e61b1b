/*
 * seh: \Device\Seh, clang only (C exceptions need __C_specific_handler and scope tables, which gcc does not make).
 *
 *   0x222003, METHOD_NEITHER   input: 4 bytes or more, read through the caller's own pointer after ProbeForRead
 *   0x222007, METHOD_NEITHER   input: an 8-byte address, fetched the same way; reads the 4 bytes it points to, without a probe, inside a
 *                              __try/__finally inside the __try/__except
 *
 * Both complete at once: with STATUS_SUCCESS and the 4 bytes as Information, or with the exception's code (STATUS_ACCESS_VIOLATION for a
 * bad user address, STATUS_DATATYPE_MISALIGNMENT for a misaligned one). STATUS_INVALID_PARAMETER for too short an input.
 *
 * Nothing is pended: a client that dies, ends. A bad kernel address in 0x222007 is a bug check (0x50), as no handler may catch that.
 */

#include "device.h"

#define SEH_READ CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_NEITHER, FILE_ANY_ACCESS)
#define SEH_READ_THROUGH CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_NEITHER, FILE_ANY_ACCESS)

typedef struct _SEH_DEVICE {
    LONG volatile Reading; /* how many are inside the __try/__finally now: 0 between requests */
} SEH_DEVICE;

static DRIVER_DISPATCH SehControl;
static DRIVER_UNLOAD SehUnload;

static const WCHAR DeviceName[] = L"\\Device\\Seh";
static const WCHAR LinkName[] = L"\\DosDevices\\Seh";

/* clang guards calls made inside __try, not single instructions: each access to user memory is a function of its own. */
static DECLSPEC_NOINLINE ULONG SehFetch32(_In_ const volatile ULONG *Address)
{
    return *Address;
}

static DECLSPEC_NOINLINE ULONG64 SehFetch64(_In_ const volatile ULONG64 *Address)
{
    return *Address;
}

static DECLSPEC_NOINLINE ULONG SehReadThrough(_Inout_ SEH_DEVICE *Device, _In_ const volatile ULONG64 *Input)
{
    ULONG value = 0;

    InterlockedIncrement(&Device->Reading);
    __try {
        value = SehFetch32((const volatile ULONG *)SehFetch64(Input));
    } __finally {
        InterlockedDecrement(&Device->Reading);
    }

    return value;
}

static NTSTATUS SehRead(
    _Inout_ SEH_DEVICE *Device, _In_ ULONG Code, _In_ PVOID Input, _In_ ULONG Length, _Out_ ULONG *Value)
{
    NTSTATUS status = STATUS_SUCCESS;

    *Value = 0;
    __try {
        if (Code == SEH_READ) {
            ProbeForRead(Input, Length, sizeof(ULONG));
            *Value = SehFetch32(Input);
        } else {
            ProbeForRead(Input, Length, sizeof(ULONG64));
            *Value = SehReadThrough(Device, Input);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }

    return status;
}

_Use_decl_annotations_
static NTSTATUS NTAPI SehControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    ULONG code = location->Parameters.DeviceIoControl.IoControlCode;
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG value;
    NTSTATUS status;

    if (code != SEH_READ && code != SEH_READ_THROUGH) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (length < (code == SEH_READ ? sizeof(ULONG) : sizeof(ULONG64))) {
        return TestComplete(Irp, STATUS_INVALID_PARAMETER, 0);
    }

    /* METHOD_NEITHER: the address is the caller's, good in the caller's context only, and the caller may unmap it at any time. */
    status = SehRead(DeviceObject->DeviceExtension, code, location->Parameters.DeviceIoControl.Type3InputBuffer, length, &value);
    return TestComplete(Irp, status, value);
}

_Use_decl_annotations_
static VOID NTAPI SehUnload(PDRIVER_OBJECT DriverObject)
{
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = SehUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = SehControl;
    return TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(SEH_DEVICE), &deviceObject);
}
