/*
 * What every test driver needs and none is about: a named device that can be opened and closed.
 */

#pragma once

#include "../../driver/toolchain/compat.h"

/* 0x222000 */
#define TEST_REQUEST CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

/* A relative due time or interval, in the kernel's unit of 100 ns. */
#define TEST_MILLISECONDS(Count) (-(LONGLONG)(Count) * 10000)

DRIVER_INITIALIZE DriverEntry;

_IRQL_requires_max_(DISPATCH_LEVEL)
static inline
NTSTATUS
TestComplete(
    _In_ PIRP Irp,
    _In_ NTSTATUS Status,
    _In_ ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

/* IRP_MJ_CREATE, IRP_MJ_CLOSE, and IRP_MJ_CLEANUP of drivers that have nothing to clean up. */
static inline
NTSTATUS
NTAPI
TestSucceed(
    _In_ PDEVICE_OBJECT DeviceObject,
    _Inout_ PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_IRQL_requires_max_(DISPATCH_LEVEL)
static inline
BOOLEAN
TestIsRequest(
    _In_ PIRP Irp)
{
    return IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode == TEST_REQUEST;
}

/* \Device\Name with \DosDevices\Name. Buffered reads and writes. */
_IRQL_requires_max_(PASSIVE_LEVEL)
_Must_inspect_result_
static inline
NTSTATUS
TestCreateDevice(
    _In_ PDRIVER_OBJECT DriverObject,
    _In_ PCWSTR DeviceName,
    _In_ PCWSTR LinkName,
    _In_ ULONG ExtensionSize,
    _Out_ PDEVICE_OBJECT *DeviceObject)
{
    UNICODE_STRING device;
    UNICODE_STRING link;
    NTSTATUS status;

    RtlInitUnicodeString(&device, DeviceName);
    status = IoCreateDevice(
        DriverObject, ExtensionSize, &device, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, DeviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    RtlInitUnicodeString(&link, LinkName);
    status = IoCreateSymbolicLink(&link, &device);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(*DeviceObject);
        return status;
    }

    (*DeviceObject)->Flags |= DO_BUFFERED_IO;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = TestSucceed;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = TestSucceed;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = TestSucceed;
    return STATUS_SUCCESS;
}

_IRQL_requires_max_(PASSIVE_LEVEL)
static inline
VOID
TestDeleteDevice(
    _In_ PDEVICE_OBJECT DeviceObject,
    _In_ PCWSTR LinkName)
{
    UNICODE_STRING link;

    RtlInitUnicodeString(&link, LinkName);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(DeviceObject);
}
