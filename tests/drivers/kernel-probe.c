/*
 * kernel-probe: \Device\KernelProbe.
 *
 * Asks the kernel questions whose answers are documented, and prints each answer: "what it asked: the value, in hexadecimal". Control code
 * 0x222000 and the following ones, in steps of four, are the rows of KernelProbeQuestions; a read of Length 1 completes at once, of Length
 * 2 is pended without IoMarkIrpPending; a write completes at once.
 *
 * When the client dies: most requests complete at once; what the others do is said at their functions.
 */

#include "device.h"

/* What the function device below does with a request; the control codes of IRPs that this driver builds itself. */
#define LOWER_CODE(Function) CTL_CODE(FILE_DEVICE_UNKNOWN, Function, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define LOWER_SUCCEED LOWER_CODE(0x900)
#define LOWER_FAIL LOWER_CODE(0x901)
#define LOWER_PEND LOWER_CODE(0x902)
#define LOWER_NO_LOCATION LOWER_CODE(0x903)

typedef struct _KERNEL_PROBE {
    PDEVICE_OBJECT Lower; /* NULL: this is the function device */
    BOOLEAN Filters;      /* sets a completion routine when it sends a request down */
    char Name;
} KERNEL_PROBE;

typedef NTSTATUS KERNEL_PROBE_QUESTION(PDEVICE_OBJECT DeviceObject, PIRP Irp);

/* One request that a timer completes: in the function device's turn, and only one at a time. */
typedef struct _KERNEL_PROBE_LATER {
    KTIMER Timer;
    KDPC Dpc;
    PIRP Irp;
} KERNEL_PROBE_LATER;

static DRIVER_DISPATCH KernelProbeControl;
static DRIVER_DISPATCH KernelProbeRead;
static DRIVER_DISPATCH KernelProbeWrite;
static DRIVER_DISPATCH KernelProbeOther;
static DRIVER_UNLOAD KernelProbeUnload;
static IO_COMPLETION_ROUTINE KernelProbeKeep;
static IO_COMPLETION_ROUTINE KernelProbePassed;
static KDEFERRED_ROUTINE KernelProbeCompleteLater;
static KDEFERRED_ROUTINE KernelProbeSetEvent;
static KDEFERRED_ROUTINE KernelProbeNote;
static KSTART_ROUTINE KernelProbeThread;
static DRIVER_CANCEL KernelProbeCancel;
static DRIVER_CANCEL KernelProbeNeverCalled;
static IO_WORKITEM_ROUTINE KernelProbeWork;

static const WCHAR DeviceName[] = L"\\Device\\KernelProbe";
static const WCHAR LinkName[] = L"\\DosDevices\\KernelProbe";

static KERNEL_PROBE_LATER Later;
static PDEVICE_OBJECT FunctionDevice;
static PDEVICE_OBJECT TopOfThree;

static VOID Say(_In_ const char *What, _In_ LONGLONG Value)
{
    DbgPrint("%s: %x\n", What, (ULONG)Value);
}

static NTSTATUS WaitFor(_In_ PVOID Object, _In_ LONGLONG Milliseconds)
{
    LARGE_INTEGER timeout;

    timeout.QuadPart = TEST_MILLISECONDS(Milliseconds);
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &timeout);
}

static NTSTATUS WaitForTwo(_In_ PVOID First, _In_ PVOID Second, _In_ WAIT_TYPE Type, _In_ LONGLONG Milliseconds)
{
    LARGE_INTEGER timeout;
    PVOID objects[2];

    objects[0] = First;
    objects[1] = Second;
    timeout.QuadPart = TEST_MILLISECONDS(Milliseconds);
    return KeWaitForMultipleObjects(2, objects, Type, Executive, KernelMode, FALSE, &timeout, NULL);
}

static VOID Sleep(_In_ LONGLONG Milliseconds)
{
    LARGE_INTEGER interval;

    interval.QuadPart = TEST_MILLISECONDS(Milliseconds);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

static ULONG Elapsed(_In_ ULONGLONG Since)
{
    return (ULONG)((KeQueryInterruptTime() - Since) / 10000);
}

_Use_decl_annotations_
static VOID NTAPI KernelProbeSetEvent(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
}

/* 0x222000: what waits do to objects. */
static NTSTATUS KernelProbeWaits(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KEVENT notification, synchronization;
    KSEMAPHORE semaphore;
    KMUTEX mutex;
    KTIMER timer;
    KDPC dpc;
    LARGE_INTEGER due;
    ULONGLONG began;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeInitializeEvent(&notification, NotificationEvent, TRUE);
    KeInitializeEvent(&synchronization, SynchronizationEvent, TRUE);
    Say("notification event", WaitFor(&notification, 0));
    Say("notification event again", WaitFor(&notification, 0));
    Say("synchronization event", WaitFor(&synchronization, 0));
    Say("synchronization event again", WaitFor(&synchronization, 0));

    KeInitializeSemaphore(&semaphore, 2, 3);
    Say("semaphore of 2", WaitFor(&semaphore, 0));
    Say("semaphore of 1", WaitFor(&semaphore, 0));
    Say("semaphore of 0", WaitFor(&semaphore, 0));
    Say("semaphore released, was", KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 2, FALSE));
    Say("semaphore is", KeReadStateSemaphore(&semaphore));

    KeInitializeMutex(&mutex, 0);
    Say("mutex", WaitFor(&mutex, 0));
    Say("mutex again", WaitFor(&mutex, 0));
    Say("APCs disabled by a mutex", KeAreApcsDisabled());
    Say("mutex released once, was", KeReleaseMutex(&mutex, FALSE));
    Say("APCs still disabled", KeAreApcsDisabled());
    Say("mutex released twice, was", KeReleaseMutex(&mutex, FALSE));
    Say("APCs disabled after it", KeAreApcsDisabled());

    KeClearEvent(&notification);
    KeSetEvent(&synchronization, IO_NO_INCREMENT, FALSE);
    Say("any of unset, set", WaitForTwo(&notification, &synchronization, WaitAny, 0));
    Say("any of unset, taken", WaitForTwo(&notification, &synchronization, WaitAny, 0));
    KeSetEvent(&synchronization, IO_NO_INCREMENT, FALSE);
    Say("all of unset, set", WaitForTwo(&notification, &synchronization, WaitAll, 5));
    Say("the set one stays set", KeReadStateEvent(&synchronization));
    KeSetEvent(&notification, IO_NO_INCREMENT, FALSE);
    Say("all of set, set", WaitForTwo(&notification, &synchronization, WaitAll, 5));
    Say("the synchronization event is taken", KeReadStateEvent(&synchronization));

    /* Waits that somebody else ends. */
    KeClearEvent(&notification);
    KeInitializeTimer(&timer);
    KeInitializeDpc(&dpc, KernelProbeSetEvent, &notification);
    due.QuadPart = TEST_MILLISECONDS(7);
    began = KeQueryInterruptTime();
    KeSetTimer(&timer, due, &dpc);
    Say("the same object twice", WaitForTwo(&notification, &notification, WaitAny, 100));
    Say("after milliseconds", Elapsed(began));
    KeInitializeDpc(&dpc, KernelProbeSetEvent, &synchronization);
    KeSetTimer(&timer, due, &dpc);
    Say("all, the second by a DPC", WaitForTwo(&notification, &synchronization, WaitAll, 100));
    began = KeQueryInterruptTime();
    Say("time-out", WaitFor(&synchronization, 20));
    Say("after milliseconds", Elapsed(began));
    began = KeQueryInterruptTime();
    Sleep(30);
    Say("slept milliseconds", Elapsed(began));
    Sleep(0);
    return STATUS_SUCCESS;
}

/* 0x222004: timers. */
static NTSTATUS KernelProbeTimers(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KTIMER timer;
    KEVENT never;
    LARGE_INTEGER due;
    ULONGLONG began;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeInitializeEvent(&never, NotificationEvent, FALSE);
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    due.QuadPart = TEST_MILLISECONDS(10);
    began = KeQueryInterruptTime();
    Say("was set", KeSetTimerEx(&timer, due, 25, NULL));
    Say("period 0", WaitFor(&timer, 1000));
    Say("after milliseconds", Elapsed(began));
    Say("period 1", WaitFor(&timer, 1000));
    Say("after milliseconds", Elapsed(began));
    Say("period 2", WaitFor(&timer, 1000));
    Say("after milliseconds", Elapsed(began));
    Say("cancelled", KeCancelTimer(&timer));
    Say("cancelled again", KeCancelTimer(&timer));
    Say("nothing more", WaitFor(&timer, 100));

    /* A notification timer stays signalled; setting it again makes it unsignalled. */
    KeInitializeTimer(&timer);
    due.QuadPart = TEST_MILLISECONDS(5);
    KeSetTimer(&timer, due, NULL);
    Say("unsignalled", KeReadStateTimer(&timer));
    Say("notification timer", WaitFor(&timer, 100));
    Say("notification timer again", WaitFor(&timer, 100));
    KeSetTimer(&timer, due, NULL);
    Say("set again", KeReadStateTimer(&timer));
    Say("set a third time, was counting", KeSetTimer(&timer, due, NULL));
    Say("cancelled while counting", KeCancelTimer(&timer));

    /* Due at once, then each 40 ms from now, however long the machine runs already. */
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    due.QuadPart = 0;
    began = KeQueryInterruptTime();
    KeSetTimerEx(&timer, due, 40, NULL);
    Say("due at once", WaitFor(&timer, 0));
    Say("and then", WaitFor(&timer, 1000));
    Say("after milliseconds", Elapsed(began));
    KeCancelTimer(&timer);
    Say("never", WaitFor(&never, 3));
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
static VOID NTAPI KernelProbeNote(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);

    DbgPrint("DPC %s: IRQL %x, arguments %x %x\n", (const char *)Context, KeGetCurrentIrql(), (ULONG)(ULONG_PTR)Argument1, (ULONG)(ULONG_PTR)Argument2);
}

/* 0x222008: DPCs that are queued while the IRQL keeps them from running. */
static NTSTATUS KernelProbeDpcs(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    static char first[] = "first", second[] = "second", urgent[] = "urgent", removed[] = "removed";
    KDPC dpcs[4];
    KIRQL irql;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeInitializeDpc(&dpcs[0], KernelProbeNote, first);
    KeInitializeDpc(&dpcs[1], KernelProbeNote, second);
    KeInitializeDpc(&dpcs[2], KernelProbeNote, urgent);
    KeInitializeDpc(&dpcs[3], KernelProbeNote, removed);
    KeSetImportanceDpc(&dpcs[2], HighImportance);

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    Say("IRQL was", irql);
    Say("queued", KeInsertQueueDpc(&dpcs[0], (PVOID)1, (PVOID)2));
    Say("queued again", KeInsertQueueDpc(&dpcs[0], (PVOID)3, (PVOID)4));
    KeInsertQueueDpc(&dpcs[1], (PVOID)5, (PVOID)6);
    KeInsertQueueDpc(&dpcs[2], (PVOID)7, (PVOID)8);
    KeInsertQueueDpc(&dpcs[3], (PVOID)9, (PVOID)9);
    Say("removed", KeRemoveQueueDpc(&dpcs[3]));
    Say("removed again", KeRemoveQueueDpc(&dpcs[3]));
    KeLowerIrql(irql);
    Say("lowered to", KeGetCurrentIrql());

    Say("queued at PASSIVE_LEVEL", KeInsertQueueDpc(&dpcs[0], NULL, NULL));
    Say("after it", KeGetCurrentIrql());
    return STATUS_SUCCESS;
}

/* Sends an IRP that this driver builds to the function device, and tells whether its completion APC could run meanwhile. */
static PKEVENT SendBuilt(_In_ ULONG Code, _Inout_ PKEVENT Event, _Out_ PIO_STATUS_BLOCK Status, _Out_ NTSTATUS *Returned)
{
    PIRP irp;

    KeInitializeEvent(Event, NotificationEvent, FALSE);
    Status->Status = 0x7777;
    irp = IoBuildDeviceIoControlRequest(Code, FunctionDevice, NULL, 0, NULL, 0, FALSE, Event, Status);
    *Returned = irp == NULL ? STATUS_INSUFFICIENT_RESOURCES : IoCallDriver(FunctionDevice, irp);
    return Event;
}

/* 0x22200C: what keeps a completion APC, a special kernel APC, away. */
static NTSTATUS KernelProbeApcs(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IO_STATUS_BLOCK status;
    NTSTATUS returned;
    KEVENT event;
    KIRQL irql;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    Say("completed at PASSIVE_LEVEL", KeReadStateEvent(SendBuilt(LOWER_SUCCEED, &event, &status, &returned)));
    Say("returned", returned);
    Say("status", status.Status);

    KeEnterCriticalRegion();
    Say("APCs disabled", KeAreApcsDisabled());
    Say("all APCs disabled", KeAreAllApcsDisabled());
    Say("completed in a critical region", KeReadStateEvent(SendBuilt(LOWER_SUCCEED, &event, &status, &returned)));
    KeLeaveCriticalRegion();

    KeEnterGuardedRegion();
    Say("all APCs disabled", KeAreAllApcsDisabled());
    Say("completed in a guarded region", KeReadStateEvent(SendBuilt(LOWER_SUCCEED, &event, &status, &returned)));
    KeLeaveGuardedRegion();
    Say("after the guarded region", KeReadStateEvent(&event));

    KeEnterCriticalRegion();
    KeEnterGuardedRegion();
    Say("completed in both", KeReadStateEvent(SendBuilt(LOWER_SUCCEED, &event, &status, &returned)));
    KeLeaveGuardedRegion();
    Say("in the critical region alone", KeReadStateEvent(&event));
    KeLeaveCriticalRegion();

    KeRaiseIrql(APC_LEVEL, &irql);
    Say("completed at APC_LEVEL", KeReadStateEvent(SendBuilt(LOWER_SUCCEED, &event, &status, &returned)));
    KeLowerIrql(irql);
    Say("after lowering the IRQL", KeReadStateEvent(&event));

    /* An error that was returned at once is told by the return value alone. */
    Say("failed at once", KeReadStateEvent(SendBuilt(LOWER_FAIL, &event, &status, &returned)));
    Say("returned", returned);
    Say("status block untouched", status.Status);

    SendBuilt(LOWER_PEND, &event, &status, &returned);
    Say("pended", returned);
    Say("waited", WaitFor(&event, 1000));
    Say("status", status.Status);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
static NTSTATUS NTAPI KernelProbeKeep(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    DbgPrint("kept: status %x, pending %x\n", Irp->IoStatus.Status, Irp->PendingReturned);
    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

_Use_decl_annotations_
static NTSTATUS NTAPI KernelProbePassed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);

    DbgPrint("passed %c: pending %x\n", ((KERNEL_PROBE *)DeviceObject->DeviceExtension)->Name, Irp->PendingReturned);
    if (Irp->PendingReturned) {
        IoMarkIrpPending(Irp);
    }

    return STATUS_CONTINUE_COMPLETION;
}

/* Sends an IRP of this driver's own down a stack of devices and takes it back. The top location is this routine's own. */
static NTSTATUS SendOwn(_In_ PDEVICE_OBJECT Device, _In_ ULONG Code, _In_ BOOLEAN Cancelled, _In_ ULONG InvokeOn)
{
    PIO_STACK_LOCATION location;
    NTSTATUS status;
    KEVENT event;
    PIRP irp;

    irp = IoAllocateIrp(Device->StackSize, FALSE);
    if (irp == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    location = IoGetNextIrpStackLocation(irp);
    location->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    location->Parameters.DeviceIoControl.IoControlCode = Code;
    IoSetCompletionRoutine(irp, KernelProbeKeep, &event, (InvokeOn & SL_INVOKE_ON_SUCCESS) != 0, (InvokeOn & SL_INVOKE_ON_ERROR) != 0, (InvokeOn & SL_INVOKE_ON_CANCEL) != 0);
    if (Cancelled) {
        Say("cancelled before it was sent", IoCancelIrp(irp));
    }

    status = IoCallDriver(Device, irp);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    DbgPrint("returned %x, completed %x\n", status, irp->IoStatus.Status);
    IoFreeIrp(irp);
    return status;
}

/* 0x222010: completion routines, for an IRP of the driver's own and through a stack of three devices. */
static NTSTATUS KernelProbeCompletion(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    Say("stack size of the top", TopOfThree->StackSize);
    SendOwn(FunctionDevice, LOWER_SUCCEED, FALSE, SL_INVOKE_ON_SUCCESS);
    SendOwn(FunctionDevice, LOWER_FAIL, FALSE, SL_INVOKE_ON_ERROR);
    SendOwn(FunctionDevice, LOWER_SUCCEED, TRUE, SL_INVOKE_ON_CANCEL);
    SendOwn(FunctionDevice, LOWER_FAIL, TRUE, SL_INVOKE_ON_CANCEL);
    SendOwn(TopOfThree, LOWER_SUCCEED, FALSE, SL_INVOKE_ON_SUCCESS);
    SendOwn(TopOfThree, LOWER_PEND, FALSE, SL_INVOKE_ON_SUCCESS);
    return STATUS_SUCCESS;
}

/* 0x222014: the dispatch routine waits in user mode: the client's death ends that wait. */
static NTSTATUS KernelProbeBlockUserMode(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KEVENT never;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeInitializeEvent(&never, NotificationEvent, FALSE);
    status = KeWaitForSingleObject(&never, Executive, UserMode, FALSE, NULL);
    Say("user-mode wait", status);
    return STATUS_CANCELLED;
}

/* 0x222018: the same in a critical region: the exit APC, a normal kernel APC, is kept away, and the client stays. */
static NTSTATUS KernelProbeBlockCritical(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    NTSTATUS status;

    KeEnterCriticalRegion();
    status = KernelProbeBlockUserMode(DeviceObject, Irp);
    KeLeaveCriticalRegion();
    return status;
}

_Use_decl_annotations_
static VOID NTAPI KernelProbeCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    Say("cancel routine at IRQL", KeGetCurrentIrql());
    Say("CancelIrql", Irp->CancelIrql);
    Say("Cancel", Irp->Cancel);
    Say("CancelRoutine", Irp->CancelRoutine != NULL);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    Say("after the release", KeGetCurrentIrql());
    TestComplete(Irp, STATUS_CANCELLED, 0);
}

_Use_decl_annotations_
static VOID NTAPI KernelProbeNeverCalled(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    DbgPrint("a cancel routine was called that can't be\n");
    IoReleaseCancelSpinLock(Irp->CancelIrql);
}

/* 0x22201C: pended the sound way. */
static NTSTATUS KernelProbePend(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, KernelProbeCancel);
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
        TestComplete(Irp, STATUS_CANCELLED, 0);
    }

    return STATUS_PENDING;
}

/* 0x222020: completed twice in one breath. */
static NTSTATUS KernelProbeCompleteTwice(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    IoMarkIrpPending(Irp);
    TestComplete(Irp, STATUS_SUCCESS, 0);
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_PENDING;
}

/* 0x222024: completed with its cancel routine set, then cancelled before the completion APC could free it. */
static NTSTATUS KernelProbeCancelCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KIRQL irql;

    UNREFERENCED_PARAMETER(DeviceObject);

    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, KernelProbeNeverCalled);
    KeRaiseIrql(APC_LEVEL, &irql);
    TestComplete(Irp, STATUS_SUCCESS, 0);
    IoCancelIrp(Irp);
    KeLowerIrql(irql);
    return STATUS_PENDING;
}

/* 0x222028: the function device sends the request on, with no stack location left. */
static NTSTATUS KernelProbeNoLocation(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    return SendOwn(FunctionDevice, LOWER_NO_LOCATION, FALSE, SL_INVOKE_ON_SUCCESS);
}

/* 0x22202C: back to the client in a critical region. */
static NTSTATUS KernelProbeLeaveCritical(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeEnterCriticalRegion();
    return STATUS_SUCCESS;
}

/* 0x222030: back to the client at APC_LEVEL. */
static NTSTATUS KernelProbeLeaveRaised(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KIRQL irql;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    KeRaiseIrql(APC_LEVEL, &irql);
    return STATUS_SUCCESS;
}

typedef struct _KERNEL_PROBE_WORK {
    KEVENT Go;
    KSEMAPHORE Done;
    PIO_WORKITEM Items[3];
} KERNEL_PROBE_WORK;

_Use_decl_annotations_
static VOID NTAPI KernelProbeWork(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    KERNEL_PROBE_WORK *work = Context;

    UNREFERENCED_PARAMETER(DeviceObject);

    Say("worker waits at IRQL", KeGetCurrentIrql());
    KeWaitForSingleObject(&work->Go, Executive, KernelMode, FALSE, NULL);
    KeReleaseSemaphore(&work->Done, IO_NO_INCREMENT, 1, FALSE);
}

_Use_decl_annotations_
static VOID NTAPI KernelProbeThread(PVOID Context)
{
    Sleep(15);
    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    Sleep(5);
    PsTerminateSystemThread(STATUS_TIMEOUT);
}

/* 0x222034: work items that block, and a thread of the driver's own. */
static NTSTATUS KernelProbeThreads(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    static KERNEL_PROBE_WORK work;
    HANDLE handle;
    NTSTATUS status;
    PVOID thread;
    KEVENT said;
    ULONGLONG began;
    int i;

    UNREFERENCED_PARAMETER(Irp);

    KeInitializeEvent(&work.Go, NotificationEvent, FALSE);
    KeInitializeSemaphore(&work.Done, 0, 3);
    for (i = 0; i < 3; i++) {
        work.Items[i] = IoAllocateWorkItem(DeviceObject);
        IoQueueWorkItem(work.Items[i], KernelProbeWork, DelayedWorkQueue, &work);
    }

    Say("none is done", WaitFor(&work.Done, 10));
    KeSetEvent(&work.Go, IO_NO_INCREMENT, FALSE);
    for (i = 0; i < 3; i++) {
        Say("done", WaitFor(&work.Done, 10));
        IoFreeWorkItem(work.Items[i]);
    }

    KeInitializeEvent(&said, NotificationEvent, FALSE);
    began = KeQueryInterruptTime();
    status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, KernelProbeThread, &said);
    Say("thread created", status);
    status = ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &thread, NULL);
    Say("thread referenced", status);
    ZwClose(handle);
    Say("it says so", WaitFor(&said, 100));
    Say("after milliseconds", Elapsed(began));
    Say("it has not ended", WaitFor(thread, 0));
    Say("it ends", WaitFor(thread, 100));
    Say("after milliseconds", Elapsed(began));
    Say("and stays ended", WaitFor(thread, 0));
    ObDereferenceObject(thread);
    return STATUS_SUCCESS;
}

static VOID CompleteLater(_Inout_ PIRP Irp)
{
    LARGE_INTEGER due;

    Later.Irp = Irp;
    due.QuadPart = TEST_MILLISECONDS(3);
    KeSetTimer(&Later.Timer, due, &Later.Dpc);
}

_Use_decl_annotations_
static VOID NTAPI KernelProbeCompleteLater(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    TestComplete(Later.Irp, STATUS_SUCCESS, 0);
}

/* 0x222038: STATUS_PENDING without IoMarkIrpPending; a timer completes it with success after 3 ms. */
static NTSTATUS KernelProbePendUnmarked(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    CompleteLater(Irp);
    return STATUS_PENDING;
}

/* 0x22203C: an IRP of the driver's own that no completion routine takes back. */
static NTSTATUS KernelProbeLoseOwn(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIRP own = IoAllocateIrp(FunctionDevice->StackSize, FALSE);

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    IoGetNextIrpStackLocation(own)->MajorFunction = IRP_MJ_DEVICE_CONTROL;
    IoGetNextIrpStackLocation(own)->Parameters.DeviceIoControl.IoControlCode = LOWER_SUCCEED;
    return IoCallDriver(FunctionDevice, own);
}

static KERNEL_PROBE_QUESTION *const KernelProbeQuestions[] = {
    KernelProbeWaits,         /* 0x222000 */
    KernelProbeTimers,        /* 0x222004 */
    KernelProbeDpcs,          /* 0x222008 */
    KernelProbeApcs,          /* 0x22200C */
    KernelProbeCompletion,    /* 0x222010 */
    KernelProbeBlockUserMode, /* 0x222014 */
    KernelProbeBlockCritical, /* 0x222018 */
    KernelProbePend,          /* 0x22201C: below, they have completed the request or will */
    KernelProbeCompleteTwice, /* 0x222020 */
    KernelProbeCancelCompleted, /* 0x222024 */
    KernelProbeNoLocation,    /* 0x222028 */
    KernelProbeLeaveCritical, /* 0x22202C */
    KernelProbeLeaveRaised,   /* 0x222030 */
    KernelProbeThreads,       /* 0x222034 */
    KernelProbePendUnmarked,  /* 0x222038 */
    KernelProbeLoseOwn,       /* 0x22203C */
};

/* The function device. */
static NTSTATUS KernelProbeLower(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    switch (IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode) {
    case LOWER_SUCCEED:
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    case LOWER_FAIL:
        return TestComplete(Irp, STATUS_UNSUCCESSFUL, 0);
    case LOWER_PEND:
        IoMarkIrpPending(Irp);
        CompleteLater(Irp);
        return STATUS_PENDING;
    case LOWER_NO_LOCATION:
        return IoCallDriver(DeviceObject, Irp);
    default:
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

_Use_decl_annotations_
static NTSTATUS NTAPI KernelProbeControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KERNEL_PROBE *device = DeviceObject->DeviceExtension;
    ULONG question;
    NTSTATUS status;

    if (device->Lower != NULL && device->Name != 'P') {
        if (!device->Filters) {
            IoSkipCurrentIrpStackLocation(Irp);
            return IoCallDriver(device->Lower, Irp);
        }

        IoCopyCurrentIrpStackLocationToNext(Irp);
        IoSetCompletionRoutine(Irp, KernelProbePassed, NULL, TRUE, TRUE, TRUE);
        return IoCallDriver(device->Lower, Irp);
    }

    if (device->Name != 'P') {
        return KernelProbeLower(DeviceObject, Irp);
    }

    question = (IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode - TEST_REQUEST) / 4;
    if (question >= sizeof(KernelProbeQuestions) / sizeof(KernelProbeQuestions[0])) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    status = KernelProbeQuestions[question](DeviceObject, Irp);
    return status == STATUS_PENDING ? status : TestComplete(Irp, status, 0);
}

_Use_decl_annotations_
static NTSTATUS NTAPI KernelProbeRead(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    ULONG length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length;

    UNREFERENCED_PARAMETER(DeviceObject);

    if (length == 2) {
        CompleteLater(Irp);
        return STATUS_PENDING;
    }

    if (length != 0) {
        RtlFillMemory(Irp->AssociatedIrp.SystemBuffer, length, 0x5A);
    }

    Say("read at offset", IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.ByteOffset.QuadPart);
    return TestComplete(Irp, STATUS_SUCCESS, length);
}

_Use_decl_annotations_
static NTSTATUS NTAPI KernelProbeWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    ULONG length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;

    UNREFERENCED_PARAMETER(DeviceObject);

    Say("written", length == 0 ? 0 : *(PUCHAR)Irp->AssociatedIrp.SystemBuffer);
    return TestComplete(Irp, STATUS_SUCCESS, length);
}

/* Create, cleanup, close: who sends them, and in which order. */
_Use_decl_annotations_
static NTSTATUS NTAPI KernelProbeOther(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);

    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_
static VOID NTAPI KernelProbeUnload(PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING link;

    KeCancelTimer(&Later.Timer);
    RtlInitUnicodeString(&link, LinkName);
    IoDeleteSymbolicLink(&link);
    while (DriverObject->DeviceObject != NULL) {
        KERNEL_PROBE *device = DriverObject->DeviceObject->DeviceExtension;

        if (device->Lower != NULL && device->Name != 'P') {
            IoDetachDevice(device->Lower);
        }

        IoDeleteDevice(DriverObject->DeviceObject);
    }
}

/* A device without a name, above Target where there is one. */
static NTSTATUS KernelProbeAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ char Name, _In_opt_ PDEVICE_OBJECT Target, _In_ BOOLEAN Filters, _Out_ PDEVICE_OBJECT *Device)
{
    KERNEL_PROBE *device;
    NTSTATUS status;

    status = IoCreateDevice(DriverObject, sizeof(KERNEL_PROBE), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, Device);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    device = (*Device)->DeviceExtension;
    device->Name = Name;
    device->Filters = Filters;
    device->Lower = Target == NULL ? NULL : IoAttachDeviceToDeviceStack(*Device, Target);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT deviceObject;
    PDEVICE_OBJECT bottom;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);

    KeInitializeTimer(&Later.Timer);
    KeInitializeDpc(&Later.Dpc, KernelProbeCompleteLater, NULL);

    status = TestCreateDevice(DriverObject, DeviceName, LinkName, sizeof(KERNEL_PROBE), &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    ((KERNEL_PROBE *)deviceObject->DeviceExtension)->Name = 'P';
    DriverObject->DriverUnload = KernelProbeUnload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = KernelProbeOther;
    DriverObject->MajorFunction[IRP_MJ_READ] = KernelProbeRead;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = KernelProbeWrite;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = KernelProbeControl;

    /* One function device by itself, and one below two filters: 'b' takes part in the completion, 'c' does, and nothing hides the pending bit. */
    status = KernelProbeAddDevice(DriverObject, 'f', NULL, FALSE, &FunctionDevice);
    if (NT_SUCCESS(status)) {
        status = KernelProbeAddDevice(DriverObject, 'a', NULL, FALSE, &bottom);
    }

    if (NT_SUCCESS(status)) {
        status = KernelProbeAddDevice(DriverObject, 'b', bottom, TRUE, &TopOfThree);
    }

    if (NT_SUCCESS(status)) {
        status = KernelProbeAddDevice(DriverObject, 'c', bottom, TRUE, &TopOfThree);
    }

    if (!NT_SUCCESS(status)) {
        KernelProbeUnload(DriverObject);
    }

    return status;
}
