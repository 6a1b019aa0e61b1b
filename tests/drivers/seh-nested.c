/*
 * seh-nested: \Device\SehNested, clang only. Every way in which an exception finds its handler, one request each; the input of control code
 * 0x222000 is a ULONG that says which (SEH_CASE). The request completes at once, with a status and, as Information, what the case observed:
 * for most the steps in the order in which they ran, one hexadecimal digit each, which the case's comment gives.
 *
 * UNCAUGHT, KERNEL_POINTER, UNCAUGHT_STATUS, UNCAUGHT_DIVISION, RAISED_LEVEL and THREAD are defects: each is the bug check its comment gives.
 */

#include "device.h"

enum SEH_CASE {
    FINALLY_ORDER,     /* 0x614235: both filters, both __finally, the __except */
    WHAT_AND_WHERE,    /* Information is the address that was written, 0x10 */
    FIXED_POINTER,     /* 0x12345678: a filter gives the instruction another address, and it is executed again */
    CONTINUED_RAISE,   /* 0x123: RtlRaiseException comes back */
    BAD_RANGE,         /* ProbeForRead: STATUS_ACCESS_VIOLATION */
    MISALIGNED,        /* ProbeForRead: STATUS_DATATYPE_MISALIGNMENT */
    ABSENT_PAGE,       /* ProbeForWrite: STATUS_ACCESS_VIOLATION */
    STATUS_RAISED,     /* ExRaiseStatus: 0xE0001234 */
    ZERO_DIVISOR,      /* STATUS_INTEGER_DIVIDE_BY_ZERO */
    LARGE_QUOTIENT,    /* STATUS_INTEGER_OVERFLOW */
    REGISTERS,         /* 0: no nonvolatile register has changed when a frame that saved them all is unwound */
    DYNAMIC_FRAME,     /* STATUS_ACCESS_VIOLATION from a frame that grows at run time, two calls down */
    FILTER_FAULTS,     /* 0x1243: a filter handles a fault of its own */
    FINALLY_RAISES,    /* 0x142435: a __finally raises, while the first exception unwinds */
    NULL_ROUTINE,      /* Information 8: STATUS_ACCESS_VIOLATION, an execution */
    KERNEL_ROUTINE,    /* STATUS_ACCESS_VIOLATION raised while nt reads a bad user string */
    NOT_CONTINUABLE,   /* STATUS_NONCONTINUABLE_EXCEPTION: a filter wants to go on after ExRaiseStatus */
    NOT_CANONICAL,     /* STATUS_ACCESS_VIOLATION at address -1 */
    NORMAL_LEAVE,      /* 0x120: __finally without an exception */
    BREAKPOINT_CAUGHT, /* STATUS_BREAKPOINT */
    FILTER_WAITS,      /* 0x123: a filter waits for a millisecond */
    UNCAUGHT,          /* 0x3B, STATUS_ACCESS_VIOLATION */
    KERNEL_POINTER,    /* 0x50, in spite of __try */
    UNCAUGHT_STATUS,   /* 0x3B, 0xE0001234; its __finally does not run */
    UNCAUGHT_DIVISION, /* 0x3B, STATUS_INTEGER_DIVIDE_BY_ZERO */
    RAISED_LEVEL,      /* 0xD1: a bad user address at DISPATCH_LEVEL, in spite of __try */
    THREAD,            /* 0x7E: in a system thread */
};

#define RAISED ((NTSTATUS)0xE0001234L)

static DRIVER_DISPATCH SehControl;
static DRIVER_UNLOAD SehUnload;

static const WCHAR DeviceName[] = L"\\Device\\SehNested";
static const WCHAR LinkName[] = L"\\DosDevices\\SehNested";

static ULONG_PTR Steps;
static volatile ULONG Good = 0x12345678;
static volatile LONG Zero;
static ULONG_PTR volatile *volatile NoMemory = (ULONG_PTR volatile *)0x10;

/* General registers of a CONTEXT, in the order of their numbers, then Rip; mingw-w64's <wdm.h> does not define it for x64. */
#define CONTEXT_REGISTER(Record, Number) (((PULONG64)((PUCHAR)(Record) + 0x78))[Number])
#define RCX 1
#define RIP 16

NTSYSAPI VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord);

/* In assembly below. */
ULONG SehLoad(const volatile ULONG *Address);
ULONG SehKeepsRegisters(VOID (*Routine)(VOID));
VOID SehSpoilRegisters(VOID);

static DECLSPEC_NOINLINE VOID Step(_In_ ULONG Digit)
{
    Steps = Steps << 4 | Digit;
}

static DECLSPEC_NOINLINE LONG StepAnd(_In_ ULONG Digit, _In_ LONG Answer)
{
    Step(Digit);
    return Answer;
}

static DECLSPEC_NOINLINE VOID Fault(VOID)
{
    *NoMemory = 1;
}

/* A frame whose size is known at run time only, so that it has a frame register; and one above it. */
static DECLSPEC_NOINLINE ULONG FaultInDynamicFrame(_In_ ULONG Length)
{
    volatile UCHAR *memory = __builtin_alloca(Length);

    memory[Length - 1] = 7;
    Fault();
    return memory[Length - 1];
}

static DECLSPEC_NOINLINE ULONG CallDynamicFrame(_In_ ULONG Length)
{
    return FaultInDynamicFrame(Length) + FaultInDynamicFrame(Length + 1);
}

/* Two volatile operands: -O2 would make a trap of a division by a constant 0. */
static DECLSPEC_NOINLINE LONG Divide(_In_ LONG Dividend, _In_ LONG Divisor)
{
    LONG quotient;
    LONG remainder;

    __asm__ volatile("cltd\n\tidivl %3" : "=a"(quotient), "=&d"(remainder) : "0"(Dividend), "r"(Divisor) : "cc");
    return quotient + remainder;
}

static DECLSPEC_NOINLINE VOID Raise(VOID)
{
    ExRaiseStatus(RAISED);
}

static NTSTATUS FinallyOrder(VOID)
{
    __try {
        __try {
            __try {
                __try {
                    Fault();
                } __finally {
                    Step(AbnormalTermination() ? 4 : 14);
                }
            } __except (StepAnd(6, EXCEPTION_CONTINUE_SEARCH)) {
                Step(15);
            }
        } __finally {
            Step(AbnormalTermination() ? 2 : 14);
        }
    } __except (StepAnd(1, EXCEPTION_EXECUTE_HANDLER)) {
        Step(3);
        Step(5);
    }

    return STATUS_SUCCESS;
}

static LONG Look(_In_ PEXCEPTION_POINTERS Pointers)
{
    const EXCEPTION_RECORD *record = Pointers->ExceptionRecord;

    Steps = record->NumberParameters == 2 ? record->ExceptionInformation[1] : (ULONG_PTR)-2;
    if (record->ExceptionInformation[0] == 8) {
        Steps |= 8;
    }

    return (ULONG_PTR)record->ExceptionAddress == CONTEXT_REGISTER(Pointers->ContextRecord, RIP) ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH;
}

static LONG PointElsewhere(_Inout_ PEXCEPTION_POINTERS Pointers)
{
    if (CONTEXT_REGISTER(Pointers->ContextRecord, RCX) != 0x20) {
        return EXCEPTION_EXECUTE_HANDLER;
    }

    CONTEXT_REGISTER(Pointers->ContextRecord, RCX) = (ULONG_PTR)&Good;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static DECLSPEC_NOINLINE VOID RaiseContinuable(VOID)
{
    EXCEPTION_RECORD record = {0};

    record.ExceptionCode = RAISED;
    Step(1);
    RtlRaiseException(&record);
    Step(3);
}

static DECLSPEC_NOINLINE LONG FilterThatFaults(VOID)
{
    Step(1);
    __try {
        Fault();
    } __except (StepAnd(2, EXCEPTION_EXECUTE_HANDLER)) {
        Step(4);
    }

    return EXCEPTION_EXECUTE_HANDLER;
}

static NTSTATUS FinallyRaises(VOID)
{
    NTSTATUS status = STATUS_SUCCESS;

    __try {
        __try {
            __try {
                Step(1);
                Fault();
            } __finally {
                Step(2);
                Raise();
            }
        } __finally {
            Step(3);
        }
    } __except (StepAnd(4, EXCEPTION_EXECUTE_HANDLER)) {
        Step(5);
        status = GetExceptionCode();
    }

    return status;
}

static DECLSPEC_NOINLINE VOID FaultWithAllRegistersSpoilt(VOID)
{
    SehSpoilRegisters();
}

static DECLSPEC_NOINLINE VOID CatchWithoutTouchingRegisters(VOID)
{
    __try {
        FaultWithAllRegistersSpoilt();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Good = 0x12345678;
    }
}

static DECLSPEC_NOINLINE VOID LeaveNormally(VOID)
{
    __try {
        Step(1);
    } __finally {
        Step(2);
        Step(AbnormalTermination() ? 1 : 0);
    }
}

static DECLSPEC_NOINLINE VOID UncaughtStatus(VOID)
{
    __try {
        Raise();
    } __finally {
        Step(1);
    }
}

static VOID NTAPI FaultingThread(_In_ PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    Fault();
}

static DECLSPEC_NOINLINE VOID StartFaultingThread(VOID)
{
    LARGE_INTEGER second;
    HANDLE thread;

    if (NT_SUCCESS(PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, FaultingThread, NULL))) {
        ZwClose(thread);
    }

    second.QuadPart = TEST_MILLISECONDS(1000);
    KeDelayExecutionThread(KernelMode, FALSE, &second);
}

static DECLSPEC_NOINLINE VOID FaultAtDispatchLevel(VOID)
{
    KSPIN_LOCK lock;
    KIRQL irql;

    KeInitializeSpinLock(&lock);
    KeAcquireSpinLock(&lock, &irql);
    Fault();
    KeReleaseSpinLock(&lock, irql);
}

/* The cases that end in an __except of their own, which gives the status. */
static DECLSPEC_NOINLINE VOID Attempt(_In_ ULONG Case)
{
    UNICODE_STRING string;

    switch (Case) {
    case BAD_RANGE:
        ProbeForRead((PVOID)0x00007FFFFFFEFFFC, 8, 4);
        break;
    case MISALIGNED:
        ProbeForRead((PVOID)0x10001, 8, 4);
        break;
    case ABSENT_PAGE:
        ProbeForWrite((PVOID)0x10000, 8, 4);
        break;
    case STATUS_RAISED:
        Raise();
        break;
    case ZERO_DIVISOR:
        Steps = (ULONG)Divide(7, Zero);
        break;
    case LARGE_QUOTIENT:
        Steps = (ULONG)Divide((LONG)0x80000000, Zero - 1);
        break;
    case DYNAMIC_FRAME:
        Steps = CallDynamicFrame(0x123 + (ULONG)Zero);
        break;
    case KERNEL_ROUTINE:
        RtlInitUnicodeString(&string, (PCWSTR)NoMemory);
        break;
    case KERNEL_POINTER:
        Steps = SehLoad((const volatile ULONG *)0xFFFFA00000001000);
        break;
    case RAISED_LEVEL:
        FaultAtDispatchLevel();
        break;
    case BREAKPOINT_CAUGHT:
        __asm__ volatile("int3");
        break;
    default:
        break;
    }
}

static DECLSPEC_NOINLINE NTSTATUS Catch(_In_ ULONG Case)
{
    NTSTATUS status = STATUS_SUCCESS;

    __try {
        Attempt(Case);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }

    return status;
}

static DECLSPEC_NOINLINE NTSTATUS CatchAndLook(_In_ ULONG Case)
{
    VOID (*volatile routine)(VOID) = Fault;
    NTSTATUS status = STATUS_SUCCESS;

    if (Case == NULL_ROUTINE) {
        routine = NULL;
    } else if (Case == NOT_CANONICAL) {
        NoMemory = (ULONG_PTR volatile *)0x8000000000000000;
    }

    __try {
        routine();
    } __except (Look(GetExceptionInformation())) {
        status = GetExceptionCode();
    }

    NoMemory = (ULONG_PTR volatile *)0x10;
    return status;
}

static DECLSPEC_NOINLINE NTSTATUS FixPointer(VOID)
{
    __try {
        Steps = SehLoad((const volatile ULONG *)0x20);
    } __except (PointElsewhere(GetExceptionInformation())) {
        return STATUS_UNSUCCESSFUL;
    }

    return STATUS_SUCCESS;
}

static DECLSPEC_NOINLINE NTSTATUS ContinueRaise(VOID)
{
    __try {
        RaiseContinuable();
    } __except (StepAnd(2, EXCEPTION_CONTINUE_EXECUTION)) {
        return STATUS_UNSUCCESSFUL;
    }

    return STATUS_SUCCESS;
}

static DECLSPEC_NOINLINE NTSTATUS FilterFaults(VOID)
{
    __try {
        Fault();
    } __except (FilterThatFaults()) {
        Step(3);
    }

    return STATUS_SUCCESS;
}

static DECLSPEC_NOINLINE LONG FilterThatWaits(VOID)
{
    LARGE_INTEGER interval;

    Step(1);
    interval.QuadPart = TEST_MILLISECONDS(1);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    Step(2);
    return EXCEPTION_EXECUTE_HANDLER;
}

static DECLSPEC_NOINLINE NTSTATUS FilterWaits(VOID)
{
    __try {
        Fault();
    } __except (FilterThatWaits()) {
        Step(3);
    }

    return STATUS_SUCCESS;
}

static LONG GoOnOnce(_In_ ULONG Code)
{
    return Code == (ULONG)RAISED ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_EXECUTE_HANDLER;
}

static DECLSPEC_NOINLINE NTSTATUS NotContinuable(VOID)
{
    NTSTATUS status = STATUS_SUCCESS;

    __try {
        Raise();
    } __except (GoOnOnce(GetExceptionCode())) {
        status = GetExceptionCode();
    }

    return status;
}

static NTSTATUS Play(_In_ ULONG Case)
{
    Steps = 0;
    switch (Case) {
    case FINALLY_ORDER:
        return FinallyOrder();
    case WHAT_AND_WHERE:
    case NULL_ROUTINE:
    case NOT_CANONICAL:
        return CatchAndLook(Case);
    case FIXED_POINTER:
        return FixPointer();
    case CONTINUED_RAISE:
        return ContinueRaise();
    case REGISTERS:
        Steps = SehKeepsRegisters(CatchWithoutTouchingRegisters);
        return STATUS_SUCCESS;
    case FILTER_FAULTS:
        return FilterFaults();
    case FILTER_WAITS:
        return FilterWaits();
    case FINALLY_RAISES:
        return FinallyRaises();
    case NOT_CONTINUABLE:
        return NotContinuable();
    case NORMAL_LEAVE:
        LeaveNormally();
        return STATUS_SUCCESS;
    case UNCAUGHT:
        Fault();
        return STATUS_SUCCESS;
    case UNCAUGHT_STATUS:
        UncaughtStatus();
        return STATUS_SUCCESS;
    case UNCAUGHT_DIVISION:
        Steps = (ULONG)Divide(7, Zero);
        return STATUS_SUCCESS;
    case THREAD:
        StartFaultingThread();
        return STATUS_SUCCESS;
    default:
        return Case <= THREAD ? Catch(Case) : STATUS_INVALID_PARAMETER;
    }
}

_Use_decl_annotations_
static NTSTATUS NTAPI SehControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS status;

    UNREFERENCED_PARAMETER(DeviceObject);

    if (!TestIsRequest(Irp) || location->Parameters.DeviceIoControl.InputBufferLength < sizeof(ULONG)) {
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }

    status = Play(*(const ULONG *)Irp->AssociatedIrp.SystemBuffer);
    return TestComplete(Irp, status, Steps);
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
    return TestCreateDevice(DriverObject, DeviceName, LinkName, 0, &deviceObject);
}

/*
 * SehLoad is a leaf without unwind information. SehKeepsRegisters(Routine) fills every nonvolatile register, calls, and returns a bit for
 * each that has changed: rbx rbp rsi rdi r12 r13 r14 r15, xmm6 to xmm15. SehSpoilRegisters saves them all, changes them all, and faults.
 */
__asm__(
    ".text\n"
    ".globl SehLoad\n"
    "SehLoad:\n"
    "    movl (%rcx), %eax\n"
    "    ret\n"

    ".macro save_all\n"
    "    .irp r, rbx, rbp, rsi, rdi, r12, r13, r14, r15\n"
    "    pushq %\\r\n"
    "    .seh_pushreg %\\r\n"
    "    .endr\n"
    "    subq $0xC8, %rsp\n"
    "    .seh_stackalloc 0xC8\n"
    "    .irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "    movaps %xmm\\n, 0x20 + (\\n - 6) * 16(%rsp)\n"
    "    .seh_savexmm %xmm\\n, 0x20 + (\\n - 6) * 16\n"
    "    .endr\n"
    "    .seh_endprologue\n"
    ".endm\n"
    ".macro restore_all\n"
    "    .irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "    movaps 0x20 + (\\n - 6) * 16(%rsp), %xmm\\n\n"
    "    .endr\n"
    "    addq $0xC8, %rsp\n"
    "    .irp r, r15, r14, r13, r12, rdi, rsi, rbp, rbx\n"
    "    popq %\\r\n"
    "    .endr\n"
    "    ret\n"
    ".endm\n"
    ".macro fill_all value\n"
    "    movabsq $\\value, %rbx\n"
    "    leaq 1(%rbx), %rbp\n"
    "    leaq 2(%rbx), %rsi\n"
    "    leaq 3(%rbx), %rdi\n"
    "    leaq 4(%rbx), %r12\n"
    "    leaq 5(%rbx), %r13\n"
    "    leaq 6(%rbx), %r14\n"
    "    leaq 7(%rbx), %r15\n"
    "    .irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "    leaq 0x100 + \\n(%rbx), %rax\n"
    "    movq %rax, %xmm\\n\n"
    "    punpcklqdq %xmm\\n, %xmm\\n\n"
    "    .endr\n"
    ".endm\n"
    ".macro check_general register, value\n"
    "    movabsq $\\value, %rdx\n"
    "    cmpq %rdx, %\\register\n"
    "    setne %al\n"
    "    movzbl %al, %eax\n"
    "    leal (%rax, %rcx, 2), %ecx\n"
    ".endm\n"

    ".globl SehKeepsRegisters\n"
    ".seh_proc SehKeepsRegisters\n"
    "SehKeepsRegisters:\n"
    "    save_all\n"
    "    fill_all 0x1122334455660000\n"
    "    callq *%rcx\n"
    "    xorl %ecx, %ecx\n"
    "    check_general rbx, 0x1122334455660000\n"
    "    check_general rbp, 0x1122334455660001\n"
    "    check_general rsi, 0x1122334455660002\n"
    "    check_general rdi, 0x1122334455660003\n"
    "    check_general r12, 0x1122334455660004\n"
    "    check_general r13, 0x1122334455660005\n"
    "    check_general r14, 0x1122334455660006\n"
    "    check_general r15, 0x1122334455660007\n"
    "    .irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "    movabsq $0x1122334455660100 + \\n, %rdx\n"
    "    movq %rdx, %xmm0\n"
    "    punpcklqdq %xmm0, %xmm0\n"
    "    pcmpeqb %xmm\\n, %xmm0\n"
    "    pmovmskb %xmm0, %eax\n"
    "    cmpl $0xFFFF, %eax\n"
    "    setne %al\n"
    "    movzbl %al, %eax\n"
    "    leal (%rax, %rcx, 2), %ecx\n"
    "    .endr\n"
    "    movl %ecx, %eax\n"
    "    restore_all\n"
    ".seh_endproc\n"

    ".globl SehSpoilRegisters\n"
    ".seh_proc SehSpoilRegisters\n"
    "SehSpoilRegisters:\n"
    "    save_all\n"
    "    fill_all 0x6666777788880000\n"
    "    movl 0x30, %eax\n"
    "    restore_all\n"
    ".seh_endproc\n");
