using System.Text;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// The variables of nt, in its .data section in guest memory. All that the kernel knows between two steps is here or in NT's own structures:
/// a saved state of the memory and the processors is a saved state of the kernel.
/// </summary>
internal static class NtData
{
    public const ulong Base = NtImage.Base + 0x100000;

    private const uint
        ActiveProcessHead = 0x000, LoadedModules = 0x010, TimerList = 0x020, CancelLock = 0x030, Clock = 0x040, SeedState = 0x048,
        NonPagedNext = 0x050, PagedNext = 0x058, StackNext = 0x060, NextCid = 0x068, NamedObjects = 0x070, SystemProcess = 0x080,
        WorkQueue = 0x088, IdleWorkers = 0x098, WorkerCount = 0x09C, NextImage = 0x0A0, WorkAvailable = 0x0A8, CompletionLock = 0x0C8, DatabaseLock = 0x0D0, NextDirectory = 0x0D8,
        TimeReads = 0x0E0, LastTurn = 0x0E4, ProcessorBlock = 0x100, ReadySummary = 0x300, ReadyLists = 0x320, DpcLists = 0x540,
        TypePointers = 0x600, Variables = 0x700, Types = 0x1000, SystemViewNext = 0x3000, UserViewNext = 0x3008, UniqueNext = 0x3010, PoolRecordNext = 0x3018, UnloadUntil = 0x3020, TestedDriver = 0x3028, StoryOver = 0x3030, ConfigurationInformation = 0x3040,
        ResourceList = 0x3080, LookasideList = 0x3090, HeldLocks = 0x3100,
        DebuggerData = 0x3800, DebuggerDataHead = 0x3B80, VersionBlock = 0x3B90, BuildLab = 0x3BC0, BugCheckData = 0x3C00, PhysicalMemoryBlock = 0x3C28, ProcessIdTable = 0x3C30, PhysicalMemoryRuns = 0x3C40;

    /// <summary>Object types, in the order of their indexes (from 2, as on Windows).</summary>
    public static readonly string[] ObjectTypes = ["Process", "Thread", "Event", "Mutant", "Semaphore", "Timer", "Device", "Driver", "File", "SymbolicLink", "Callback", "IoCompletion", "Directory", "Section", "Key", "Token"];

    /// <summary>Named variables, as offsets in .data: what drivers import and what debuggers look for.</summary>
    public static IEnumerable<(string Name, uint Offset)> Exports
    {
        get
        {
            yield return ("PsActiveProcessHead", ActiveProcessHead);
            yield return ("PsLoadedModuleList", LoadedModules);
            yield return ("PsInitialSystemProcess", SystemProcess);
            yield return ("IopCancelSpinLock", CancelLock);
            yield return ("KiProcessorBlock", ProcessorBlock);
            yield return ("PsProcessType", TypePointers);
            yield return ("PsThreadType", TypePointers + 8);
            yield return ("ExEventObjectType", TypePointers + 0x10);
            yield return ("ExSemaphoreObjectType", TypePointers + 0x20);
            yield return ("IoDeviceObjectType", TypePointers + 0x30);
            yield return ("IoDriverObjectType", TypePointers + 0x38);
            yield return ("IoFileObjectType", TypePointers + 0x40);
            yield return ("MmHighestUserAddress", Variables);
            yield return ("MmUserProbeAddress", Variables + 8);
            yield return ("MmSystemRangeStart", Variables + 0x10);
            yield return ("NtBuildNumber", Variables + 0x18);
            yield return ("KdDebuggerEnabled", Variables + 0x20);
            yield return ("KdDebuggerNotPresent", Variables + 0x28);
            yield return ("InitSafeBootMode", Variables + 0x30);
            yield return ("KeNumberProcessors", Variables + 0x38);
            yield return ("KeTickCount", Variables + 0x40);
            yield return ("KdDebuggerDataBlock", DebuggerData);
            yield return ("KdpDebuggerDataListHead", DebuggerDataHead);
            yield return ("KdVersionBlock", VersionBlock);
            yield return ("NtBuildLab", BuildLab);
            yield return ("KiBugCheckData", BugCheckData);
            yield return ("MmPhysicalMemoryBlock", PhysicalMemoryBlock);
            yield return ("PspCidTable", ProcessIdTable);
        }
    }

    public static ListHead ActiveProcesses(GuestMemory m) => new(m, Base + ActiveProcessHead);

    public static ListHead Modules(GuestMemory m) => new(m, Base + LoadedModules);

    public static ListHead Timers(GuestMemory m) => new(m, Base + TimerList);

    public static ListHead Names(GuestMemory m) => new(m, Base + NamedObjects);

    public static ListHead WorkItems(GuestMemory m) => new(m, Base + WorkQueue);

    /// <summary>Released once for each queued work item: a semaphore.</summary>
    public static DispatcherHeader WorkSemaphore(GuestMemory m) => new(m, Base + WorkAvailable);

    public static ListHead ReadyList(GuestMemory m, int priority) => new(m, Base + ReadyLists + ((ulong)priority * 0x10));

    public static ListHead DpcList(GuestMemory m, int processor) => new(m, Base + DpcLists + ((ulong)processor * 0x10));

    /// <summary>ExpSystemResourcesList: every ERESOURCE that is initialized and not deleted.</summary>
    public static ListHead Resources(GuestMemory m) => new(m, Base + ResourceList);

    /// <summary>The lookaside lists that are initialized and not deleted, by GENERAL_LOOKASIDE.ListEntry.</summary>
    public static ListHead Lookasides(GuestMemory m) => new(m, Base + LookasideList);

    /// <summary>How many spin locks of one processor are remembered.</summary>
    public const int MostHeldLocks = 16;

    /// <summary>Where the address of a spin lock lies that a processor holds; 0 there: none.</summary>
    public static ulong HeldLock(int processor, int slot) => Base + HeldLocks + ((((ulong)processor * MostHeldLocks) + (ulong)slot) * 8);

    public const ulong CancelSpinLock = Base + CancelLock, DatabaseSpinLock = Base + DatabaseLock, IoCompletionSpinLock = Base + CompletionLock;

    public static ulong ProcessorBlockEntry(int processor) => Base + ProcessorBlock + ((ulong)processor * 8);

    public static ulong TypeObject(int index) => Base + Types + ((ulong)index * 0x100);

    /// <summary>Exported pointer variable of the type with this position in <see cref="ObjectTypes"/>.</summary>
    public static ulong TypePointer(int position) => Base + TypePointers + ((ulong)position * 8);

    public static ulong Variable(uint offset) => Base + Variables + offset;

    /// <summary>Interrupt time in 100 ns units since the machine was started.</summary>
    public static ulong InterruptTime(GuestMemory m) => m.ReadU64(Base + Clock);

    public static void SetInterruptTime(GuestMemory m, ulong value) => m.WriteU64(Base + Clock, value);

    /// <summary>How often running code has asked for the time since the clock last moved.</summary>
    public static uint TimesRead(GuestMemory m) => m.ReadU32(Base + TimeReads);

    public static void SetTimesRead(GuestMemory m, uint value) => m.WriteU32(Base + TimeReads, value);

    /// <summary>Interrupt time by which DriverUnload should have returned; 0: it has not been called.</summary>
    public static ulong UnloadLimit(GuestMemory m) => m.ReadU64(Base + UnloadUntil);

    public static void SetUnloadLimit(GuestMemory m, ulong value) => m.WriteU64(Base + UnloadUntil, value);

    /// <summary>The harness has told its story to the end.</summary>
    public static bool StoryIsOver(GuestMemory m) => m.ReadU8(Base + StoryOver) != 0;

    public static void EndStory(GuestMemory m) => m.WriteU8(Base + StoryOver, 1);

    /// <summary>The driver object of the driver under test.</summary>
    public static ulong DriverUnderTest(GuestMemory m) => m.ReadU64(Base + TestedDriver);

    public static void SetDriverUnderTest(GuestMemory m, ulong value) => m.WriteU64(Base + TestedDriver, value);

    /// <summary>The processor that acted last, where they take turns.</summary>
    public static int LastProcessor(GuestMemory m) => (int)m.ReadU32(Base + LastTurn);

    public static void SetLastProcessor(GuestMemory m, int value) => m.WriteU32(Base + LastTurn, (uint)value);

    /// <summary>The state of the machine's only source of chance.</summary>
    public static ulong Chance(GuestMemory m) => m.ReadU64(Base + SeedState);

    public static void SetChance(GuestMemory m, ulong value) => m.WriteU64(Base + SeedState, value);

    public static ulong ReadySet(GuestMemory m) => m.ReadU64(Base + ReadySummary);

    public static void SetReadySet(GuestMemory m, ulong value) => m.WriteU64(Base + ReadySummary, value);

    public static uint IdleWorkerThreads(GuestMemory m) => m.ReadU32(Base + IdleWorkers);

    public static void SetIdleWorkerThreads(GuestMemory m, uint value) => m.WriteU32(Base + IdleWorkers, value);

    public static uint WorkerThreads(GuestMemory m) => m.ReadU32(Base + WorkerCount);

    public static void SetWorkerThreads(GuestMemory m, uint value) => m.WriteU32(Base + WorkerCount, value);

    public static Process System(GuestMemory m) => new(m, m.ReadU64(Base + SystemProcess));

    public static void SetSystem(GuestMemory m, Process process) => m.WriteU64(Base + SystemProcess, process.Address);

    public static ulong TakeNonPaged(GuestMemory m, ulong bytes) => Take(m, NonPagedNext, bytes);

    public static ulong TakePaged(GuestMemory m, ulong bytes) => Take(m, PagedNext, bytes);

    public static ulong TakeStack(GuestMemory m, ulong bytes) => Take(m, StackNext, bytes);

    public static ulong TakeImage(GuestMemory m, ulong bytes) => Take(m, NextImage, bytes);

    public static ulong TakeCid(GuestMemory m) => Take(m, NextCid, 4);

    public static ulong TakeDirectory(GuestMemory m) => Take(m, NextDirectory, 0x1000);

    /// <summary>System addresses for a second mapping; each is used once, so that whoever keeps one is seen.</summary>
    public static ulong TakeSystemView(GuestMemory m, ulong bytes) => Take(m, SystemViewNext, bytes);

    /// <summary>User addresses for a view that a driver maps into a process.</summary>
    public static ulong TakeUserView(GuestMemory m, ulong bytes) => Take(m, UserViewNext, bytes);

    public static ulong TakePoolRecord(GuestMemory m, ulong bytes) => Take(m, PoolRecordNext, bytes);

    public static ulong PeekPoolRecord(GuestMemory m) => m.ReadU64(Base + PoolRecordNext);

    /// <summary>A number that nobody got before.</summary>
    public static ulong TakeUnique(GuestMemory m) => Take(m, UniqueNext, 1);

    /// <summary>CONFIGURATION_INFORMATION: a machine without disks, floppies and ports.</summary>
    public const ulong Configuration = Base + ConfigurationInformation;

    public static ulong PeekNonPaged(GuestMemory m) => m.ReadU64(Base + NonPagedNext);

    public static ulong PeekPaged(GuestMemory m) => m.ReadU64(Base + PagedNext);

    /// <summary>Code and parameters of the bug check that stopped the machine; all zero: none did.</summary>
    public static ulong[] BugCheck(GuestMemory m) => [.. Enumerable.Range(0, 5).Select(i => m.ReadU64(Base + BugCheckData + ((ulong)i * 8)))];

    public static void SetBugCheck(GuestMemory m, uint code, IReadOnlyList<KernelAddress> parameters)
    {
        m.WriteU64(Base + BugCheckData, code);
        for (var i = 0; i < parameters.Count; i++) m.WriteU64(Base + BugCheckData + 8 + ((ulong)i * 8), parameters[i].Value);
    }

    /// <summary>PHYSICAL_MEMORY_DESCRIPTOR; MmPhysicalMemoryBlock points to it.</summary>
    public const ulong PhysicalMemoryDescriptor = Base + PhysicalMemoryRuns;

    /// <summary>The directory table base of System, which every machine has from the beginning.</summary>
    public const ulong SystemDirectory = 0x1AA000;

    /// <summary>The directory table bases of all address spaces.</summary>
    public static IReadOnlyCollection<ulong> Directories(GuestMemory m)
    {
        var directories = new List<ulong>();
        for (var directory = SystemDirectory; directory < m.ReadU64(Base + NextDirectory); directory += 0x1000) directories.Add(directory);
        return directories;
    }

    /// <summary>Gives every variable its first value.</summary>
    public static void Initialize(GuestMemory m, ulong seed, int processors)
    {
        ActiveProcesses(m).Initialize();
        Modules(m).Initialize();
        Timers(m).Initialize();
        Names(m).Initialize();
        WorkItems(m).Initialize();
        Resources(m).Initialize();
        Lookasides(m).Initialize();
        WorkSemaphore(m).Initialize(DispatcherType.Semaphore, 0x20, 0);
        for (var priority = 0; priority < 32; priority++) ReadyList(m, priority).Initialize();
        for (var processor = 0; processor < 4; processor++) DpcList(m, processor).Initialize();
        SetChance(m, seed);
        m.WriteU64(Base + NonPagedNext, AddressMap.NonPagedPool);
        m.WriteU64(Base + PagedNext, AddressMap.PagedPool);
        m.WriteU64(Base + StackNext, AddressMap.KernelStacks);
        m.WriteU64(Base + SystemViewNext, AddressMap.SystemViews);
        m.WriteU64(Base + UserViewNext, AddressMap.UserViews);
        m.WriteU64(Base + UniqueNext, 1);
        m.WriteU64(Base + PoolRecordNext, AddressMap.PoolRecords);
        m.WriteU32(Configuration, 0x30);
        m.WriteU64(Base + NextCid, 400);
        m.WriteU64(Base + NextImage, AddressMap.Drivers);
        m.WriteU64(Base + NextDirectory, SystemDirectory + 0x1000);
        m.WriteU64(Variable(0x00), 0x00007FFF_FFFEFFFF);
        m.WriteU64(Variable(0x08), 0x00007FFF_FFFF0000);
        m.WriteU64(Variable(0x10), 0xFFFF8000_00000000);
        m.WriteU32(Variable(0x18), 0xF0000000 | Machine.Build);
        m.Write(Base + BuildLab, Encoding.ASCII.GetBytes($"{Machine.Build}.1.amd64fre.emulated"));
        m.WriteU8(Variable(0x28), 1);
        m.WriteU8(Variable(0x38), (byte)processors);
        for (var i = 0; i < ObjectTypes.Length; i++) m.WriteU64(TypePointer(i), TypeObject(i + 2));
    }

    private static ulong Take(GuestMemory m, uint variable, ulong amount)
    {
        var value = m.ReadU64(Base + variable);
        m.WriteU64(Base + variable, value + amount);
        return value;
    }
}

/// <summary>Where things stand in the emulated address space.</summary>
internal static class AddressMap
{
    public const ulong
        SharedUserData = 0xFFFFF780_00000000,
        ProcessorControl = 0xFFFFF803_0F000000,
        Drivers = 0xFFFFF803_20000000,
        Unmodelled = 0xFFFFF803_0E000000,
        NonPagedPool = 0xFFFF8A00_00000000,
        PagedPool = 0xFFFFB000_00000000,
        PoolRecords = 0xFFFF8900_00000000,
        ProcessIds = 0xFFFF8800_00000000,
        KernelStacks = 0xFFFFF580_00000000,
        SystemViews = 0xFFFF9D80_00000000,
        UserViews = 0x000002A0_00000000,
        UserImage = 0x00007FF6_00000000,
        UserData = 0x000001F0_00000000;

    /// <summary>Pages of a kernel stack on x64, and the distance from one stack to the next: a guard page lies between.</summary>
    public const ulong StackBytes = 0x6000, StackStride = 0x8000;

    /// <summary>User-mode reads KUSER_SHARED_DATA here.</summary>
    public const ulong SharedUserDataOfUser = 0x7FFE0000;

    public static bool IsUser(ulong address) => address < 0x00007FFF_FFFF0000;
}
