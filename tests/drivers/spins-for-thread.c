/*
 * spins-for-thread: \Device\SpinsForThread, 0x222000.
 *
 * Wasteful, not wrong: the dispatch routine spins at PASSIVE_LEVEL, without a call, until a thread of the driver's own, of the same
 * priority, has answered. Whoever never gives a spinning thread's processor to another one sees an endless loop here. Then a timer's DPC
 * completes the request after 20 ms, without a cancel routine.
 *
 * When the client dies: it ends within 20 ms.
 */

#include "device.h"

typedef struct _SPINS_FOR_THREAD {
    KTIMER Timer;
    KDPC Dpc;
    PETHREAD Thread;
    LONG volatile Asked;
    LONG volatile Answered;
    LONG volatile Stop;
    PIRP volatile Irp;
} SPINS_FOR_THREAD;

static KDEFERRED_ROUTINE SpinsForThreadExpired;
static KSTART_ROUTINE SpinsForThreadAnswer;
static DRIVER_DISPATCH SpinsForThreadControl;
static DRIVER_UNLOAD SpinsForThreadUnload;

static const WCHAR DeviceName[] = L"\\Device\\SpinsForThread";
static const WCHAR LinkName[] = L"\\DosDevices\\SpinsForThread";

_Use_decl_annotations_
static VOID NTAPI SpinsForThreadAnswer(PVOID Context)
{
    SPINS_FOR_THREAD *device = Context;
    LARGE_INTEGER interval;

    interval.QuadPart = TEST_MILLISECONDS(1);
    while (!device->Stop) {
        device->Answered = device->Asked;
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
    }

    PsTerminateSystemThread(STATUS_SUCCESS);
}

_Use_decl_annotations_
static VOID NTAPI SpinsForThreadExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    SPINS_FOR_THREAD *device = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    TestComplete(InterlockedExchangePointer((PVOID volatile *)&device->Irp, NULL), STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI SpinsForThreadControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    SPINS_FOR_THREAD *device = DeviceObject->DeviceExtension;
    LARGE_INTEGER due;
    LONG question;

    if (!TestIsRequest(Irp)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    if (InterlockedCompareExchangePointer((PVOID volatile *)&device->Irp, Irp, NULL) != NULL) {
        return TestComplete(Irp, STATUS_DEVICE_BUSY, 0);
    }

    question = InterlockedIncrement(&device->Asked);
    while (device->Answered != question) {
        YieldProcessor();
    }

    IoMarkIrpPending(Irp);
    due.QuadPart = TEST_MILLISECONDS(20);
    KeSetTimer(&device->Timer, due, &device->Dpc);
    return STATUS_PENDING;
}

_Use_decl_annotations_
static VOID NTAPI SpinsForThreadUnload(PDRIVER_OBJECT DriverObject)
{
    SPINS_FOR_THREAD *device = DriverObject->DeviceObject->DeviceExtension;

    device->Stop = 1;
    KeWaitForSingleObject(device->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(device->Thread);
    KeFlushQueuedDpcs();
    TestDeleteDevice(DriverObject->DeviceObject, LinkName);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    SPINS_FOR_THREAD *device;
    HANDLE thread;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    DriverObject->DriverUnload = SpinsForThreadUnload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = SpinsForThreadControl;
    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(SPINS_FOR_THREAD), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = deviceObject->DeviceExtension;
    KeInitializeTimer(&device->Timer);
    KeInitializeDpc(&device->Dpc, SpinsForThreadExpired, device);
    status = PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, SpinsForThreadAnswer, device);
    if (!NT_SUCCESS(status)) {
        TestDeleteDevice(deviceObject, LinkName);
        return status;
    }

    ObReferenceObjectByHandle(thread, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, (PVOID *)&device->Thread, NULL);
    ZwClose(thread);
    return STATUS_SUCCESS;
}
