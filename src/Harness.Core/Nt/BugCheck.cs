using System.Globalization;

namespace Harness.Core.Nt;

/// <summary>A bug check code. Names: Microsoft's Bug Check Code Reference (windows-driver-docs, debugger/bug-check-code-reference2).</summary>
public readonly record struct BugCheck(uint Code)
{
    public static readonly BugCheck ApcIndexMismatch = new(0x1);
    public static readonly BugCheck IrqlNotLessOrEqual = new(0xA);
    public static readonly BugCheck KmodeExceptionNotHandled = new(0x1E);
    public static readonly BugCheck KernelApcPendingDuringExit = new(0x20);
    public static readonly BugCheck NoMoreIrpStackLocations = new(0x35);
    public static readonly BugCheck SystemServiceException = new(0x3B);
    public static readonly BugCheck MultipleIrpCompleteRequests = new(0x44);
    public static readonly BugCheck CancelStateInCompletedIrp = new(0x48);
    public static readonly BugCheck IrqlGtZeroAtSystemService = new(0x4A);
    public static readonly BugCheck PageFaultInNonpagedArea = new(0x50);
    public static readonly BugCheck SystemThreadExceptionNotHandled = new(0x7E);
    public static readonly BugCheck BadPoolCaller = new(0xC2);
    public static readonly BugCheck DriverVerifierDetectedViolation = new(0xC4);
    public static readonly BugCheck DriverVerifierIomanagerViolation = new(0xC9);
    public static readonly BugCheck DriverUnloadedWithoutCancellingPendingOperations = new(0xCE);
    public static readonly BugCheck DriverIrqlNotLessOrEqual = new(0xD1);
    public static readonly BugCheck DriverReturnedHoldingCancelLock = new(0x11B);
    public static readonly BugCheck KernelSecurityCheckFailure = new(0x139);

    private static readonly Dictionary<uint, string> Names = new()
    {
        [0x1] = "APC_INDEX_MISMATCH",
        [0x2] = "DEVICE_QUEUE_NOT_BUSY",
        [0x5] = "INVALID_PROCESS_ATTACH_ATTEMPT",
        [0x6] = "INVALID_PROCESS_DETACH_ATTEMPT",
        [0x8] = "IRQL_NOT_DISPATCH_LEVEL",
        [0x9] = "IRQL_NOT_GREATER_OR_EQUAL",
        [0xA] = "IRQL_NOT_LESS_OR_EQUAL",
        [0xC] = "MAXIMUM_WAIT_OBJECTS_EXCEEDED",
        [0xF] = "SPIN_LOCK_ALREADY_OWNED",
        [0x10] = "SPIN_LOCK_NOT_OWNED",
        [0x11] = "THREAD_NOT_MUTEX_OWNER",
        [0x18] = "REFERENCE_BY_POINTER",
        [0x19] = "BAD_POOL_HEADER",
        [0x1A] = "MEMORY_MANAGEMENT",
        [0x1E] = "KMODE_EXCEPTION_NOT_HANDLED",
        [0x20] = "KERNEL_APC_PENDING_DURING_EXIT",
        [0x2A] = "INCONSISTENT_IRP",
        [0x2B] = "PANIC_STACK_SWITCH",
        [0x35] = "NO_MORE_IRP_STACK_LOCATIONS",
        [0x36] = "DEVICE_REFERENCE_COUNT_NOT_ZERO",
        [0x3B] = "SYSTEM_SERVICE_EXCEPTION",
        [0x3D] = "INTERRUPT_EXCEPTION_NOT_HANDLED",
        [0x44] = "MULTIPLE_IRP_COMPLETE_REQUESTS",
        [0x48] = "CANCEL_STATE_IN_COMPLETED_IRP",
        [0x49] = "PAGE_FAULT_WITH_INTERRUPTS_OFF",
        [0x4A] = "IRQL_GT_ZERO_AT_SYSTEM_SERVICE",
        [0x4E] = "PFN_LIST_CORRUPT",
        [0x50] = "PAGE_FAULT_IN_NONPAGED_AREA",
        [0x76] = "PROCESS_HAS_LOCKED_PAGES",
        [0x7E] = "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
        [0x7F] = "UNEXPECTED_KERNEL_MODE_TRAP",
        [0x8E] = "KERNEL_MODE_EXCEPTION_NOT_HANDLED",
        [0xB8] = "ATTEMPTED_SWITCH_FROM_DPC",
        [0xBE] = "ATTEMPTED_WRITE_TO_READONLY_MEMORY",
        [0xC1] = "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION",
        [0xC2] = "BAD_POOL_CALLER",
        [0xC4] = "DRIVER_VERIFIER_DETECTED_VIOLATION",
        [0xC5] = "DRIVER_CORRUPTED_EXPOOL",
        [0xC6] = "DRIVER_CAUGHT_MODIFYING_FREED_POOL",
        [0xC7] = "TIMER_OR_DPC_INVALID",
        [0xC8] = "IRQL_UNEXPECTED_VALUE",
        [0xC9] = "DRIVER_VERIFIER_IOMANAGER_VIOLATION",
        [0xCB] = "DRIVER_LEFT_LOCKED_PAGES_IN_PROCESS",
        [0xCC] = "PAGE_FAULT_IN_FREED_SPECIAL_POOL",
        [0xCD] = "PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
        [0xCE] = "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
        [0xD1] = "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
        [0xD5] = "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL",
        [0xD6] = "DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
        [0xE2] = "MANUALLY_INITIATED_CRASH",
        [0xF7] = "DRIVER_OVERRAN_STACK_BUFFER",
        [0xFC] = "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
        [0x101] = "CLOCK_WATCHDOG_TIMEOUT",
        [0x109] = "CRITICAL_STRUCTURE_CORRUPTION",
        [0x10D] = "WDF_VIOLATION",
        [0x11B] = "DRIVER_RETURNED_HOLDING_CANCEL_LOCK",
        [0x121] = "DRIVER_VIOLATION",
        [0x133] = "DPC_WATCHDOG_VIOLATION",
        [0x139] = "KERNEL_SECURITY_CHECK_FAILURE",
        [0x13A] = "KERNEL_MODE_HEAP_CORRUPTION",
    };

    /// <summary>"0x44", without padding.</summary>
    public string Hex => "0x" + Code.ToString("x", CultureInfo.InvariantCulture);

    /// <summary>"MULTIPLE_IRP_COMPLETE_REQUESTS"; for a code that is not in the table "bug check 0x…".</summary>
    public string Name => Names.GetValueOrDefault(Code, "bug check " + Hex);

    public override string ToString() => Name;
}
