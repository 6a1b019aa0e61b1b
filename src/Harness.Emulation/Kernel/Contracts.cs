using Harness.Core.Evidence;
using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>
/// What a driver owes the routines it calls, as each routine's page on learn.microsoft.com has it: the IRQL (its "IRQL" row and remarks), and for
/// executive resources a critical region. Windows answers a breach seldom, late, or not at all; here each is told where the driver calls.
/// What stops the machine at once is left to that bug check: a wait that blocks at DISPATCH_LEVEL (0xB8), a fast mutex there (0xA).
/// </summary>
internal static class Contracts
{
    public static void Define(NtRoutines nt)
    {
        DefinePassive(nt);
        DefineApc(nt);
        DefineDispatch(nt);
        DefineDependent(nt);
        nt.Demand(RequireCriticalRegion, "ExAcquireResourceExclusiveLite", "ExAcquireResourceSharedLite", "ExAcquireSharedStarveExclusive", "ExAcquireSharedWaitForExclusive",
            "ExReleaseResourceLite");
    }

    /// <summary>A driver prints wide characters: "only with IRQL = PASSIVE_LEVEL" (DbgPrint), whose tables of characters are pageable.</summary>
    public static void RequirePassiveFor(Processor p, string conversion)
    {
        if (p.Irql > Ke.PassiveLevel) TellLevel(p, $"{conversion} may be printed at PASSIVE_LEVEL only");
    }

    private static void DefinePassive(NtRoutines nt)
    {
        AtMost(nt, Ke.PassiveLevel,
            "IoCreateDeviceSecure", "WdmlibIoCreateDeviceSecure", "IoCreateSymbolicLink", "IoCreateUnprotectedSymbolicLink", "IoDeleteSymbolicLink", "IoAttachDevice", "IoDetachDevice",
            "IoGetDeviceObjectPointer", "IoGetDeviceProperty", "IoInitializeTimer", "IoRegisterDeviceInterface", "IoSetDeviceInterfaceState", "IoOpenDeviceRegistryKey",
            "IoRegisterShutdownNotification", "IoRegisterLastChanceShutdownNotification", "IoUnregisterShutdownNotification", "IoCreateFile", "IoCreateNotificationEvent",
            "IoCreateSynchronizationEvent", "IoForwardIrpSynchronously", "IoReleaseRemoveLockAndWaitEx");
        AtMost(nt, Ke.PassiveLevel, "KeFlushQueuedDpcs", "MmGetSystemRoutineAddress", "ObReferenceObjectByHandle", "ObOpenObjectByPointer", "ObCloseHandle", "ObQueryNameString",
            "PsCreateSystemThread", "PsTerminateSystemThread", "EtwRegister", "EtwUnregister");
        AtMost(nt, Ke.PassiveLevel,
            "RtlAnsiStringToUnicodeString", "RtlUnicodeStringToAnsiString", "RtlFreeAnsiString", "RtlFreeUnicodeString", "RtlUpcaseUnicodeString", "RtlUpcaseUnicodeChar",
            "RtlCompareUnicodeString", "RtlEqualUnicodeString", "RtlPrefixUnicodeString", "RtlHashUnicodeString", "RtlIntegerToUnicodeString", "RtlInt64ToUnicodeString",
            "RtlUnicodeStringToInteger", "RtlStringFromGUID", "RtlGUIDFromString", "RtlGetVersion", "RtlVerifyVersionInfo", "RtlCheckRegistryKey", "RtlCreateRegistryKey",
            "RtlDeleteRegistryValue", "RtlQueryRegistryValues", "RtlWriteRegistryValue");
        AtMost(nt, Ke.PassiveLevel,
            "ZwClose", "ZwCreateEvent", "ZwOpenEvent", "ZwSetEvent", "ZwWaitForSingleObject", "ZwCreateFile", "ZwOpenFile", "ZwReadFile", "ZwWriteFile", "ZwDeviceIoControlFile",
            "ZwFsControlFile", "ZwOpenProcess", "ZwTerminateProcess", "ZwCreateKey", "ZwOpenKey", "ZwOpenKeyEx", "ZwQueryValueKey", "ZwEnumerateKey", "ZwEnumerateValueKey", "ZwSetValueKey",
            "ZwDeleteKey", "ZwDeleteValueKey", "ZwFlushKey");
    }

    private static void DefineApc(NtRoutines nt)
    {
        AtMost(nt, Ke.ApcLevel,
            "ExAcquireResourceExclusiveLite", "ExAcquireResourceSharedLite", "ExAcquireSharedStarveExclusive", "ExAcquireSharedWaitForExclusive",
            "ExEnterCriticalRegionAndAcquireResourceExclusive", "ExEnterCriticalRegionAndAcquireResourceShared", "ExInitializePagedLookasideList", "ExDeletePagedLookasideList",
            "ExWaitForRundownProtectionRelease", "ExCreateCallback", "ExRegisterCallback", "ExUnregisterCallback", "ExTryToAcquireFastMutex");
        AtMost(nt, Ke.ApcLevel,
            "IoCreateDevice", "IoDeleteDevice", "IoAllocateDriverObjectExtension", "IoBuildDeviceIoControlRequest", "IoBuildSynchronousFsdRequest", "KeAcquireGuardedMutex",
            "KeReleaseGuardedMutex", "KeTryToAcquireGuardedMutex", "KeEnterCriticalRegion", "KeLeaveCriticalRegion", "KeEnterGuardedRegion", "KeLeaveGuardedRegion", "KeStackAttachProcess",
            "KeUnstackDetachProcess", "ProbeForRead", "ProbeForWrite", "PsLookupProcessByProcessId", "PsLookupThreadByThreadId");
        Between(nt, Ke.ApcLevel, Ke.ApcLevel, "ExReleaseFastMutex", "KeReleaseFastMutex");
    }

    private static void DefineDispatch(NtRoutines nt)
    {
        AtMost(nt, Ke.DispatchLevel,
            "ExQueueWorkItem", "ExInitializeNPagedLookasideList", "ExDeleteNPagedLookasideList", "ExInitializeResourceLite", "ExDeleteResourceLite", "ExReleaseResourceLite",
            "ExConvertExclusiveToSharedLite", "ExNotifyCallback", "IoAllocateIrp", "IoFreeIrp", "IoAllocateMdl", "IoFreeMdl", "IoBuildPartialMdl", "IoCallDriver", "IofCallDriver",
            "IoCancelIrp", "IoAcquireCancelSpinLock", "IoAllocateWorkItem", "IoFreeWorkItem", "IoQueueWorkItem", "IoStartPacket", "IoStartTimer", "IoStopTimer",
            "IoAttachDeviceToDeviceStack", "IoGetAttachedDeviceReference", "KeCancelTimer", "KeSetTimer", "KeSetTimerEx", "KeResetEvent", "KeClearEvent", "KeReleaseMutex",
            "MmBuildMdlForNonPagedPool", "MmUnlockPages", "ObfReferenceObject", "ObfDereferenceObject", "ObReferenceObjectByPointer");
        Between(nt, Ke.DispatchLevel, Ke.DispatchLevel,
            "IoReleaseCancelSpinLock", "IoStartNextPacket", "IoStartNextPacketByKey", "KeInsertDeviceQueue", "KeInsertByKeyDeviceQueue", "KeRemoveDeviceQueue", "KeRemoveByKeyDeviceQueue");
        // A lock of interrupts (KeAcquireSpinLockRaiseToSynch) is released above.
        Between(nt, Ke.DispatchLevel, Ke.HighLevel,
            "KeAcquireSpinLockAtDpcLevel", "KeReleaseSpinLockFromDpcLevel", "KeTryToAcquireSpinLockAtDpcLevel", "KeAcquireInStackQueuedSpinLockAtDpcLevel",
            "KeReleaseInStackQueuedSpinLockFromDpcLevel", "KeReleaseSpinLock", "KeReleaseInStackQueuedSpinLock");
    }

    /// <summary>Routines whose limit hangs on what they are asked for.</summary>
    private static void DefineDependent(NtRoutines nt)
    {
        Depending(nt, p => Pool((p.Arg32(0) & 1) != 0), "ExAllocatePoolWithTag", "ExAllocatePool", "ExAllocatePoolWithQuotaTag", "ExAllocatePoolZero");
        Depending(nt, p => Pool((p.Arg(0) & Ex.PoolFlagPaged) != 0), "ExAllocatePool2");
        Depending(nt, p => Pool(p.Arg(0) >= AddressMap.PagedPool && Ex.IsPool(p.Arg(0))), "ExFreePoolWithTag", "ExFreePool", "ExFreePool2");
        // With Wait, the caller is about to wait: KeSetEvent(Event, Increment, Wait), KeReleaseSemaphore(Semaphore, Adjustment, Increment, Wait).
        Depending(nt, p => Waiting(p.Arg8(2)), "KeSetEvent");
        Depending(nt, p => Waiting(p.Arg8(3)), "KeReleaseSemaphore");
        // A mapping into a process, KernelMode 0 or UserMode 1; a user address may be pageable, MDL.StartVa +0x20.
        Depending(nt, p => Waiting(p.Arg8(1)), "MmMapLockedPagesSpecifyCache", "MmMapLockedPages");
        Depending(nt, p => AddressMap.IsUser(p.Arg(0)) ? Ke.ApcLevel : Ke.DispatchLevel, "MmUnmapLockedPages");
        Depending(nt, p => AddressMap.IsUser(p.Memory.ReadU64(p.Arg(0) + 0x20)) ? Ke.ApcLevel : Ke.DispatchLevel, "MmProbeAndLockPages");
    }

    private static byte Pool(bool paged) => paged ? Ke.ApcLevel : Ke.DispatchLevel;

    private static byte Waiting(byte wait) => wait != 0 ? Ke.ApcLevel : Ke.DispatchLevel;

    private static void AtMost(NtRoutines nt, byte most, params ReadOnlySpan<string> names) => Between(nt, Ke.PassiveLevel, most, names);

    private static void Between(NtRoutines nt, byte least, byte most, params ReadOnlySpan<string> names) => nt.Demand(p => RequireLevel(p, least, most), names);

    private static void Depending(NtRoutines nt, Func<Processor, byte> most, params ReadOnlySpan<string> names) => nt.Demand(p => RequireLevel(p, Ke.PassiveLevel, most(p)), names);

    private static void RequireLevel(Processor p, byte least, byte most)
    {
        if (p.Irql >= least && p.Irql <= most) return;
        TellLevel(p, "it may be called at " + (least == most ? $"{NameOf(most)} only" : p.Irql > most ? most == Ke.PassiveLevel ? "PASSIVE_LEVEL only" : $"IRQL <= {NameOf(most)}" : $"IRQL >= {NameOf(least)}"));
    }

    private static void TellLevel(Processor p, string limit)
    {
        var by = p.Machine.CallerOf(p);
        p.Machine.LogOnce(new DriverFault("wrong-irql", by, $"{by} calls {p.RoutineName} at {NameOf(p.Irql)}: {limit}.", Fatal: false, []));
    }

    private static string NameOf(byte irql) => irql switch
    {
        Ke.PassiveLevel => "PASSIVE_LEVEL",
        Ke.ApcLevel => "APC_LEVEL",
        Ke.DispatchLevel => "DISPATCH_LEVEL",
        _ => $"IRQL {irql}",
    };

    /// <summary>Who holds a resource must not be suspended or killed by a normal kernel APC: everybody who waits for it would wait too.</summary>
    private static void RequireCriticalRegion(Processor p)
    {
        var thread = p.CurrentThread;
        if (p.Irql >= Ke.ApcLevel || thread.KernelApcDisable != 0 || thread.SpecialApcDisable != 0) return;
        var by = p.Machine.CallerOf(p);
        p.Machine.LogOnce(new DriverFault("no-critical-region", by,
            $"{by} calls {p.RoutineName} with normal kernel APCs enabled: KeEnterCriticalRegion comes before a resource is acquired, KeLeaveCriticalRegion after it is released.", Fatal: false, []));
    }
}
