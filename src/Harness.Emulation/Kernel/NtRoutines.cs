namespace Harness.Emulation.Kernel;

/// <summary>Every routine of nt that is modelled, file by file: one per NT prefix.</summary>
internal sealed class NtRoutines
{
    private readonly List<Routine> _all = [];

    private NtRoutines()
    {
    }

    /// <summary>Where a system service comes back to before it goes to user mode: nt!KiSystemServiceCopyEnd.</summary>
    public static Routine SystemServiceExit => NtImage.Instance.RoutineOf("KiSystemServiceCopyEnd");

    public static IReadOnlyList<Routine> All()
    {
        var routines = new NtRoutines();
        routines.Trap("KiSystemServiceCopyEnd", Ke.NeverEntered, Ke.SystemServiceExit, Ke.ExitToUser);
        Ke.Define(routines);
        Ps.Define(routines);
        Ob.Define(routines);
        Io.Define(routines);
        Ex.Define(routines);
        Mm.Define(routines);
        Rtl.Define(routines);
        Zw.Define(routines);
        Etw.Define(routines);
        CallersObjects(routines);
        Contracts.Define(routines);
        return routines._all;
    }

    // Sizes: wdm.h on x64.
    private static void CallersObjects(NtRoutines nt)
    {
        nt.WorkOn(0, 0x18, "KeInitializeEvent", "KeSetEvent", "KeResetEvent", "KeClearEvent", "KeReadStateEvent", "KeWaitForSingleObject");
        nt.WorkOn(0, 0x20, "KeInitializeSemaphore", "KeReleaseSemaphore", "KeReadStateSemaphore");
        nt.WorkOn(0, 0x38, "KeInitializeMutex", "KeReleaseMutex", "KeReadStateMutex", "ExInitializeFastMutex", "ExAcquireFastMutex", "ExReleaseFastMutex", "ExTryToAcquireFastMutex",
            "KeInitializeGuardedMutex", "KeAcquireGuardedMutex", "KeReleaseGuardedMutex", "KeTryToAcquireGuardedMutex");
        nt.WorkOn(0, 0x40, "KeInitializeTimer", "KeInitializeTimerEx", "KeSetTimer", "KeSetTimerEx", "KeCancelTimer", "KeReadStateTimer", "KeInitializeDpc", "KeInsertQueueDpc", "KeRemoveQueueDpc");
        nt.WorkOn(2, 0x40, "KeSetTimer");
        nt.WorkOn(3, 0x40, "KeSetTimerEx");
        nt.WorkOn(0, 8, "KeInitializeSpinLock", "KeAcquireSpinLockRaiseToDpc", "KeReleaseSpinLock", "KeAcquireSpinLockAtDpcLevel", "KeReleaseSpinLockFromDpcLevel",
            "KeTryToAcquireSpinLockAtDpcLevel", "KeAcquireInStackQueuedSpinLock", "KeAcquireInStackQueuedSpinLockAtDpcLevel");
        nt.WorkOn(1, 0x18, "KeAcquireInStackQueuedSpinLock", "KeAcquireInStackQueuedSpinLockAtDpcLevel");
        nt.WorkOn(0, 0x18, "KeReleaseInStackQueuedSpinLock", "KeReleaseInStackQueuedSpinLockFromDpcLevel");
        nt.WorkOn(0, 0x68, "ExInitializeResourceLite", "ExReinitializeResourceLite", "ExDeleteResourceLite", "ExAcquireResourceExclusiveLite", "ExAcquireResourceSharedLite",
            "ExAcquireSharedStarveExclusive", "ExAcquireSharedWaitForExclusive", "ExTryToAcquireResourceExclusiveLite", "ExReleaseResourceLite", "ExReleaseResourceForThreadLite",
            "ExConvertExclusiveToSharedLite", "ExEnterCriticalRegionAndAcquireResourceExclusive", "ExEnterCriticalRegionAndAcquireResourceShared", "ExReleaseResourceAndLeaveCriticalRegion");
        nt.WorkOn(0, 0x10, "ExInterlockedInsertHeadList", "ExInterlockedInsertTailList", "ExInterlockedRemoveHeadList");
        nt.WorkOn(1, 0x10, "ExInterlockedInsertHeadList", "ExInterlockedInsertTailList");
        nt.WorkOn(0, 8, "ExInterlockedPushEntryList", "ExInterlockedPopEntryList", "ExInterlockedAddLargeInteger");
        nt.WorkOn(1, 8, "ExInterlockedRemoveHeadList", "ExInterlockedPushEntryList", "ExInterlockedPopEntryList");
        nt.WorkOn(2, 8, "ExInterlockedInsertHeadList", "ExInterlockedInsertTailList", "ExInterlockedPushEntryList", "ExInterlockedAddLargeInteger", "ExInterlockedAddUlong");
        nt.WorkOn(0, 4, "ExInterlockedAddUlong");
        nt.WorkOn(0, 0x10, "ExpInterlockedPushEntrySList", "ExpInterlockedPopEntrySList", "ExpInterlockedFlushSList", "ExInterlockedPushEntrySList", "ExInterlockedPopEntrySList",
            "ExInterlockedFlushSList", "InterlockedPushEntrySList", "InterlockedPopEntrySList", "InterlockedFlushSList");
        nt.WorkOn(1, 8, "ExpInterlockedPushEntrySList", "ExInterlockedPushEntrySList", "InterlockedPushEntrySList");
        nt.WorkOn(0, 0x20, "ExQueueWorkItem");
        nt.WorkOn(0, 0x58, "IoQueueWorkItem", "IoQueueWorkItemEx", "IoTryQueueWorkItem", "IoFreeWorkItem");
        nt.WorkOn(1, 0xD0, "IofCallDriver", "IoCallDriver");
    }

    /// <summary>A routine without locals.</summary>
    public Routine Add(string name, params Step[] steps) => Add(name, 0, steps);

    /// <summary>A routine with this many quadwords of locals in its frame.</summary>
    public Routine Add(string name, int locals, params Step[] steps) => Keep(new Routine(name, FrameKind.Ordinary, locals, steps));

    /// <summary>A routine that stands on a trap frame.</summary>
    public Routine Trap(string name, params Step[] steps) => Keep(new Routine(name, FrameKind.Trap, 0, steps));

    /// <summary>The switch of threads.</summary>
    public Routine Switch(string name, params Step[] steps) => Keep(new Routine(name, FrameKind.Switch, 0, steps));

    /// <summary>What compilers call in a prologue, with an argument in RAX and every other register to be kept.</summary>
    public Routine Leaf(string name, Step step) => Keep(new Routine(name, FrameKind.Leaf, 0, [step]));

    /// <summary>A routine defined before: to give it an exception handler.</summary>
    public Routine Defined(string name) => _all.Find(routine => routine.Name == name) ?? throw new InvalidOperationException($"nt!{name} is not defined yet");

    /// <summary>
    /// These routines work on an object that this argument points to. A driver that calls one with an object that is freed, or partly
    /// outside its allocation, did it as if with its own instructions.
    /// </summary>
    public void WorkOn(int argument, uint bytes, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            var routine = Defined(name);
            routine.Objects = [.. routine.Objects, (argument, bytes)];
        }
    }

    /// <summary>What a driver that calls one of these routines must have seen to: asked at each call from a driver, before the routine does anything.</summary>
    public void Demand(Action<Processor> contract, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            var routine = Defined(name);
            routine.Contracts = [.. routine.Contracts, contract];
        }
    }

    private Routine Keep(Routine routine)
    {
        _all.Add(routine);
        return routine;
    }
}
