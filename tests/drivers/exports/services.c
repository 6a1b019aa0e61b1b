/*
 * System services by handle, the registry, remove locks, device queues, timers of devices, names, other address spaces.
 */

#include "check.h"

NTKERNELAPI NTSTATUS NTAPI ObReferenceObjectByName(
    PUNICODE_STRING Name, ULONG Attributes, PACCESS_STATE State, ACCESS_MASK Access, POBJECT_TYPE Type, KPROCESSOR_MODE Mode, PVOID Context, PVOID *Object);
__declspec(dllimport) extern POBJECT_TYPE *IoDriverObjectType;
NTSYSAPI NTSTATUS NTAPI ZwSetEvent(HANDLE Event, PLONG Previous);
NTSYSAPI NTSTATUS NTAPI ZwResetEvent(HANDLE Event, PLONG Previous);
NTSYSAPI NTSTATUS NTAPI ZwWaitForMultipleObjects(ULONG Count, HANDLE Handles[], WAIT_TYPE Type, BOOLEAN Alertable, PLARGE_INTEGER Timeout);

static volatile LONG Ticks;

static VOID CheckEvents(VOID)
{
    HANDLE events[2];
    OBJECT_ATTRIBUTES attributes;
    LARGE_INTEGER none;
    LONG previous = -1;

    none.QuadPart = 0;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK(NT_SUCCESS(ZwCreateEvent(&events[0], EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE)));
    CHECK(NT_SUCCESS(ZwCreateEvent(&events[1], EVENT_ALL_ACCESS, &attributes, SynchronizationEvent, FALSE)));
    CHECK(ZwWaitForSingleObject(events[0], FALSE, &none) == STATUS_TIMEOUT);
    CHECK(NT_SUCCESS(ZwSetEvent(events[1], &previous)) && previous == 0);
    CHECK(ZwWaitForMultipleObjects(2, events, WaitAny, FALSE, NULL) == STATUS_WAIT_1);
    CHECK(ZwWaitForMultipleObjects(2, events, WaitAny, FALSE, &none) == STATUS_TIMEOUT);
    CHECK(NT_SUCCESS(ZwSetEvent(events[0], NULL)) && ZwWaitForSingleObject(events[0], FALSE, NULL) == STATUS_SUCCESS);
    CHECK(NT_SUCCESS(ZwResetEvent(events[0], &previous)) && previous == 1);
    CHECK(ExGetPreviousMode() == KernelMode);
    CHECK(NT_SUCCESS(ZwClose(events[0])) && NT_SUCCESS(ZwClose(events[1])));
    CHECK(ZwSetEvent(events[0], NULL) == STATUS_INVALID_HANDLE);
}

static VOID CheckRegistry(_In_ PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"Limit");
    UNICODE_STRING parameters = RTL_CONSTANT_STRING(L"Parameters");
    UNICODE_STRING type = RTL_CONSTANT_STRING(L"Type");
    OBJECT_ATTRIBUTES attributes;
    HANDLE key;
    HANDLE child;
    UCHAR buffer[64];
    PKEY_VALUE_PARTIAL_INFORMATION value = (PKEY_VALUE_PARTIAL_INFORMATION)buffer;
    RTL_QUERY_REGISTRY_TABLE table[2];
    ULONG length;
    ULONG number = 77;
    ULONG fallback = 5;

    InitializeObjectAttributes(&attributes, RegistryPath, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK(NT_SUCCESS(ZwOpenKey(&key, KEY_READ, &attributes)));
    CHECK(NT_SUCCESS(ZwQueryValueKey(key, &type, KeyValuePartialInformation, buffer, sizeof(buffer), &length)));
    CHECK(value->Type == REG_DWORD && value->DataLength == 4 && value->Data[0] == 1);
    CHECK(ZwQueryValueKey(key, &name, KeyValuePartialInformation, buffer, sizeof(buffer), &length) == STATUS_OBJECT_NAME_NOT_FOUND);

    InitializeObjectAttributes(&attributes, &parameters, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, key, NULL);
    CHECK(ZwOpenKey(&child, KEY_READ, &attributes) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(NT_SUCCESS(ZwCreateKey(&child, KEY_ALL_ACCESS, &attributes, 0, NULL, 0, NULL)));
    CHECK(NT_SUCCESS(ZwSetValueKey(child, &name, 0, REG_DWORD, &number, sizeof(number))));
    CHECK(ZwQueryValueKey(child, &name, KeyValuePartialInformation, buffer, 4, &length) == STATUS_BUFFER_TOO_SMALL && length == 16);
    CHECK(NT_SUCCESS(ZwClose(child)) && NT_SUCCESS(ZwClose(key)));

    memset(table, 0, sizeof(table));
    number = 0;
    table[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
    table[0].Name = L"Limit";
    table[0].EntryContext = &number;
    table[0].DefaultType = REG_DWORD;
    table[0].DefaultData = &fallback;
    table[0].DefaultLength = sizeof(fallback);
    CHECK(NT_SUCCESS(RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, table, NULL, NULL)) && number == 5);
    CHECK(NT_SUCCESS(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"services\\Parameters", table, NULL, NULL)) && number == 77);
    table[0].Flags |= RTL_QUERY_REGISTRY_REQUIRED;
    table[0].Name = L"Missing";
    CHECK(RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, table, NULL, NULL) == STATUS_OBJECT_NAME_NOT_FOUND);
}

static VOID NTAPI Remover(_In_ PVOID Context)
{
    LARGE_INTEGER little;

    little.QuadPart = TEST_MILLISECONDS(20);
    KeDelayExecutionThread(KernelMode, FALSE, &little);
    InterlockedIncrement(&Ticks);
    IoReleaseRemoveLock((PIO_REMOVE_LOCK)Context, Remover);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID CheckRemoveLock(VOID)
{
    static IO_REMOVE_LOCK lock;
    HANDLE thread;

    Ticks = 0;
    IoInitializeRemoveLock(&lock, TEST_TAG, 0, 0);
    CHECK(NT_SUCCESS(IoAcquireRemoveLock(&lock, Remover)));
    CHECK(NT_SUCCESS(IoAcquireRemoveLock(&lock, &lock)));
    CHECK(NT_SUCCESS(PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Remover, &lock)));
    ZwClose(thread);
    IoReleaseRemoveLockAndWait(&lock, &lock);
    CHECK(Ticks == 1);
    CHECK(IoAcquireRemoveLock(&lock, &lock) == STATUS_DELETE_PENDING);
}

static VOID CheckDeviceQueue(VOID)
{
    KDEVICE_QUEUE queue;
    KDEVICE_QUEUE_ENTRY entries[4];
    KIRQL irql;

    memset(entries, 0, sizeof(entries));
    KeInitializeDeviceQueue(&queue);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    CHECK(!KeInsertByKeyDeviceQueue(&queue, &entries[0], 1));
    CHECK(KeInsertByKeyDeviceQueue(&queue, &entries[1], 30) && KeInsertByKeyDeviceQueue(&queue, &entries[2], 10) && KeInsertByKeyDeviceQueue(&queue, &entries[3], 20));
    CHECK(KeRemoveByKeyDeviceQueue(&queue, 15) == &entries[3]);
    CHECK(KeRemoveDeviceQueue(&queue) == &entries[2]);
    CHECK(KeRemoveEntryDeviceQueue(&queue, &entries[1]) && !KeRemoveEntryDeviceQueue(&queue, &entries[1]));
    CHECK(KeRemoveDeviceQueue(&queue) == NULL && !KeInsertDeviceQueue(&queue, &entries[0]));
    KeLowerIrql(irql);
}

static VOID NTAPI Tick(_In_ PDEVICE_OBJECT DeviceObject, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    Ticks += (LONG)(ULONG_PTR)Context;
}

static VOID CheckDevice(_In_ PDRIVER_OBJECT DriverObject)
{
    PDEVICE_OBJECT device;
    PVOID object;
    LARGE_INTEGER interval;
    UNICODE_STRING path;
    UCHAR buffer[128];
    POBJECT_NAME_INFORMATION name = (POBJECT_NAME_INFORMATION)buffer;
    ULONG length;
    KAPC_STATE state;
    ULONG_PTR low;
    ULONG_PTR high;

    CHECK(NT_SUCCESS(TestCreateDevice(DriverObject, L"\\Device\\ExportsServices", L"\\DosDevices\\ExportsServices", 0, &device)));
    CHECK(NT_SUCCESS(IoInitializeTimer(device, Tick, (PVOID)1)));
    Ticks = 0;
    IoStartTimer(device);
    interval.QuadPart = TEST_MILLISECONDS(3500);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    IoStopTimer(device);
    CHECK(Ticks == 3);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    CHECK(Ticks == 3);

    CHECK(NT_SUCCESS(ObQueryNameString(device, name, sizeof(buffer), &length)) && wcscmp(name->Name.Buffer, L"\\Device\\ExportsServices") == 0);
    CHECK(ObQueryNameString(device, name, 8, &length) == STATUS_INFO_LENGTH_MISMATCH && length > 0x10);
    RtlInitUnicodeString(&path, DriverObject->DriverName.Buffer);
    CHECK(NT_SUCCESS(ObReferenceObjectByName(&path, 0, NULL, 0, *IoDriverObjectType, KernelMode, NULL, &object)) && object == DriverObject);
    ObDereferenceObject(object);

    KeStackAttachProcess((PKPROCESS)PsGetCurrentProcess(), (PRKAPC_STATE)&state);
    CHECK(PsGetCurrentProcess() == PsInitialSystemProcess);
    KeUnstackDetachProcess((PRKAPC_STATE)&state);
    IoGetStackLimits(&low, &high);
    CHECK((ULONG_PTR)&device > low && (ULONG_PTR)&device < high && IoGetRemainingStackSize() > 0x1000);
    TestDeleteDevice(device, L"\\DosDevices\\ExportsServices");
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    CheckEvents();
    CheckRegistry(RegistryPath);
    CheckRemoveLock();
    CheckDeviceQueue();
    CheckDevice(DriverObject);
    return Finish();
}
