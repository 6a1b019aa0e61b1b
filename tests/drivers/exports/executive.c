/*
 * Lists, lookaside lists, mutexes, resources, rundown protection, callbacks, generic tables. A second thread makes contention real.
 */

#include "check.h"

NTKERNELAPI NTSTATUS NTAPI ExUuidCreate(UUID *Uuid);

typedef struct _ENTRY {
    SLIST_ENTRY Single;
    LIST_ENTRY Link;
    ULONG Value;
} ENTRY;

static FAST_MUTEX Mutex;
static ERESOURCE Resource;
static EX_RUNDOWN_REF Rundown;
static KEVENT Holds;
static KEVENT Go;
static volatile LONG Order;

static VOID CheckLists(VOID)
{
    static ENTRY entries[3];
    static SLIST_HEADER single;
    LIST_ENTRY list;
    KSPIN_LOCK lock;
    LARGE_INTEGER sum;

    KeInitializeSpinLock(&lock);
    InitializeListHead(&list);
    CHECK(ExInterlockedRemoveHeadList(&list, &lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&list, &entries[0].Link, &lock) == NULL);
    CHECK(ExInterlockedInsertTailList(&list, &entries[1].Link, &lock) == &entries[0].Link);
    CHECK(ExInterlockedInsertHeadList(&list, &entries[2].Link, &lock) == &entries[0].Link);
    CHECK(ExInterlockedRemoveHeadList(&list, &lock) == &entries[2].Link);
    CHECK(ExInterlockedRemoveHeadList(&list, &lock) == &entries[0].Link && list.Flink == &entries[1].Link && list.Blink == &entries[1].Link);

    InitializeSListHead(&single);
    CHECK(ExInterlockedPopEntrySList(&single, &lock) == NULL);
    CHECK(ExInterlockedPushEntrySList(&single, &entries[0].Single, &lock) == NULL);
    CHECK(ExInterlockedPushEntrySList(&single, &entries[1].Single, &lock) == &entries[0].Single);
    CHECK(ExQueryDepthSList(&single) == 2);
    CHECK(ExInterlockedPopEntrySList(&single, &lock) == &entries[1].Single && ExQueryDepthSList(&single) == 1);

    sum.QuadPart = 5;
    CHECK(ExInterlockedAddLargeInteger(&sum, (LARGE_INTEGER){.QuadPart = 7}, &lock).QuadPart == 5 && sum.QuadPart == 12);
}

static VOID CheckLookaside(VOID)
{
    static NPAGED_LOOKASIDE_LIST lookaside;
    PULONG first;
    PULONG second;

    ExInitializeNPagedLookasideList(&lookaside, NULL, NULL, 0, 64, TEST_TAG, 0);
    CHECK(lookaside.L.Size == 64 && lookaside.L.Tag == TEST_TAG && lookaside.L.Type == NonPagedPool);
    first = ExAllocateFromNPagedLookasideList(&lookaside);
    second = ExAllocateFromNPagedLookasideList(&lookaside);
    CHECK(first != NULL && second != NULL && first != second);
    first[0] = second[15] = 1;
    ExFreeToNPagedLookasideList(&lookaside, first);
    ExFreeToNPagedLookasideList(&lookaside, second);
    CHECK(lookaside.L.TotalAllocates == 2 && lookaside.L.TotalFrees == 2);
    ExDeleteNPagedLookasideList(&lookaside);
}

static VOID NTAPI Holder(_In_ PVOID Context)
{
    LARGE_INTEGER little;

    UNREFERENCED_PARAMETER(Context);

    little.QuadPart = TEST_MILLISECONDS(10);
    ExAcquireFastMutex(&Mutex);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&Resource, TRUE);
    KeSetEvent(&Holds, IO_NO_INCREMENT, FALSE);
    ExReleaseFastMutex(&Mutex);
    KeWaitForSingleObject(&Go, Executive, KernelMode, FALSE, NULL);

    ExAcquireFastMutex(&Mutex);
    KeSetEvent(&Holds, IO_NO_INCREMENT, FALSE);
    KeDelayExecutionThread(KernelMode, FALSE, &little);
    InterlockedIncrement(&Order);
    ExReleaseFastMutex(&Mutex);

    KeDelayExecutionThread(KernelMode, FALSE, &little);
    InterlockedIncrement(&Order);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();

    KeDelayExecutionThread(KernelMode, FALSE, &little);
    InterlockedIncrement(&Order);
    ExReleaseRundownProtection(&Rundown);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID CheckContention(VOID)
{
    HANDLE handle;
    PVOID thread;

    ExInitializeFastMutex(&Mutex);
    CHECK(NT_SUCCESS(ExInitializeResourceLite(&Resource)));
    ExInitializeRundownProtection(&Rundown);
    KeInitializeEvent(&Holds, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Go, SynchronizationEvent, FALSE);
    CHECK(ExAcquireRundownProtection(&Rundown));

    ExAcquireFastMutex(&Mutex);
    CHECK(KeGetCurrentIrql() == APC_LEVEL);
    CHECK(!ExTryToAcquireFastMutex(&Mutex));
    ExReleaseFastMutex(&Mutex);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);

    CHECK(NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Holder, NULL)));
    CHECK(NT_SUCCESS(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &thread, NULL)));
    ZwClose(handle);

    KeWaitForSingleObject(&Holds, Executive, KernelMode, FALSE, NULL);
    KeEnterCriticalRegion();
    CHECK(!ExAcquireResourceExclusiveLite(&Resource, FALSE));
    CHECK(ExAcquireResourceSharedLite(&Resource, FALSE));
    CHECK(ExIsResourceAcquiredSharedLite(&Resource) == 1 && !ExIsResourceAcquiredExclusiveLite(&Resource));
    ExReleaseResourceLite(&Resource);

    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(&Holds, Executive, KernelMode, FALSE, NULL);
    ExAcquireFastMutex(&Mutex);
    CHECK(Order == 1);
    ExReleaseFastMutex(&Mutex);
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    CHECK(Order == 2 && ExIsResourceAcquiredExclusiveLite(&Resource));
    CHECK(ExAcquireResourceExclusiveLite(&Resource, TRUE));
    ExReleaseResourceLite(&Resource);
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    ExWaitForRundownProtectionRelease(&Rundown);
    CHECK(Order == 3 && !ExAcquireRundownProtection(&Rundown));

    CHECK(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    ObDereferenceObject(thread);
    CHECK(NT_SUCCESS(ExDeleteResourceLite(&Resource)));
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI Compare(PRTL_GENERIC_TABLE Table, PVOID Left, PVOID Right)
{
    ULONG left = *(PULONG)Left;
    ULONG right = *(PULONG)Right;

    UNREFERENCED_PARAMETER(Table);
    return left < right ? GenericLessThan : left > right ? GenericGreaterThan : GenericEqual;
}

static PVOID NTAPI AllocateNode(PRTL_GENERIC_TABLE Table, CLONG Size)
{
    UNREFERENCED_PARAMETER(Table);
    return ExAllocatePoolWithTag(NonPagedPool, Size, TEST_TAG);
}

static VOID NTAPI FreeNode(PRTL_GENERIC_TABLE Table, PVOID Node)
{
    UNREFERENCED_PARAMETER(Table);
    ExFreePool(Node);
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI CompareAvl(PRTL_AVL_TABLE Table, PVOID Left, PVOID Right)
{
    UNREFERENCED_PARAMETER(Table);
    return Compare(NULL, Left, Right);
}

static PVOID NTAPI AllocateAvl(PRTL_AVL_TABLE Table, CLONG Size)
{
    UNREFERENCED_PARAMETER(Table);
    return AllocateNode(NULL, Size);
}

static VOID NTAPI FreeAvl(PRTL_AVL_TABLE Table, PVOID Node)
{
    UNREFERENCED_PARAMETER(Table);
    FreeNode(NULL, Node);
}

static const ULONG Values[] = {50, 20, 80, 10, 30, 70, 90, 25, 35};

static VOID CheckTables(VOID)
{
    static RTL_GENERIC_TABLE table;
    static RTL_AVL_TABLE avl;
    BOOLEAN made;
    ULONG i;
    ULONG last;
    ULONG sorted;
    PULONG value;

    RtlInitializeGenericTable(&table, Compare, AllocateNode, FreeNode, NULL);
    RtlInitializeGenericTableAvl(&avl, CompareAvl, AllocateAvl, FreeAvl, NULL);
    CHECK(RtlIsGenericTableEmpty(&table) && RtlIsGenericTableEmptyAvl(&avl));
    for (i = 0; i < RTL_NUMBER_OF(Values); i++) {
        RtlInsertElementGenericTable(&table, (PVOID)&Values[i], sizeof(ULONG), NULL);
        RtlInsertElementGenericTableAvl(&avl, (PVOID)&Values[i], sizeof(ULONG), NULL);
    }
    value = RtlInsertElementGenericTable(&table, (PVOID)&Values[0], sizeof(ULONG), &made);
    CHECK(!made && *value == 50 && RtlNumberGenericTableElements(&table) == RTL_NUMBER_OF(Values));
    i = 35;
    value = RtlLookupElementGenericTableAvl(&avl, &i);
    CHECK(value != NULL && *value == 35);
    i = 36;
    CHECK(RtlLookupElementGenericTable(&table, &i) == NULL && !RtlDeleteElementGenericTable(&table, &i));
    i = 50;
    CHECK(RtlDeleteElementGenericTable(&table, &i) && RtlDeleteElementGenericTableAvl(&avl, &i));
    i = 20;
    CHECK(RtlDeleteElementGenericTable(&table, &i) && RtlDeleteElementGenericTableAvl(&avl, &i));

    last = sorted = 0;
    for (value = RtlEnumerateGenericTable(&table, TRUE); value != NULL; value = RtlEnumerateGenericTable(&table, FALSE)) {
        sorted += *value > last;
        last = *value;
    }
    CHECK(sorted == 7 && last == 90);
    last = sorted = 0;
    for (value = RtlEnumerateGenericTableAvl(&avl, TRUE); value != NULL; value = RtlEnumerateGenericTableAvl(&avl, FALSE)) {
        sorted += *value > last;
        last = *value;
    }
    CHECK(sorted == 7 && last == 90);
    for (i = 0; (value = RtlGetElementGenericTable(&table, 0)) != NULL && i < 20; i++) {
        RtlDeleteElementGenericTable(&table, value);
    }
    CHECK(i == 7 && RtlIsGenericTableEmpty(&table));
}

static ULONG Notified;

static VOID NTAPI Callback(_In_ PVOID Context, _In_ PVOID Argument1, _In_ PVOID Argument2)
{
    Notified += (ULONG)((ULONG_PTR)Context + (ULONG_PTR)Argument1 + (ULONG_PTR)Argument2);
}

static VOID CheckCallbacks(VOID)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Callback\\ExportsExecutive");
    OBJECT_ATTRIBUTES attributes;
    PCALLBACK_OBJECT object;
    PVOID registration;
    UUID one;
    UUID two;

    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    CHECK(ExCreateCallback(&object, &attributes, FALSE, FALSE) == STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(ExCreateCallback(&object, &attributes, TRUE, TRUE) == STATUS_SUCCESS);
    registration = ExRegisterCallback(object, Callback, (PVOID)1);
    CHECK(registration != NULL);
    ExNotifyCallback(object, (PVOID)10, (PVOID)100);
    CHECK(Notified == 111);
    ExUnregisterCallback(registration);
    ExNotifyCallback(object, (PVOID)10, (PVOID)100);
    CHECK(Notified == 111);
    ObDereferenceObject(object);
    CHECK(NT_SUCCESS(ExUuidCreate(&one)) && NT_SUCCESS(ExUuidCreate(&two)) && memcmp(&one, &two, sizeof(one)) != 0);
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);

    CheckLists();
    CheckLookaside();
    CheckContention();
    CheckTables();
    CheckCallbacks();
    return Finish();
}
