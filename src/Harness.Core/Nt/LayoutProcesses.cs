namespace Harness.Core.Nt;

// Processes, threads and what they wait with. Property names are NT's field names.

/// <summary>_KPROCESS, the first part of _EPROCESS. Its DISPATCHER_HEADER is at offset 0.</summary>
public sealed class KProcessLayout(LayoutFields kprocess)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = kprocess.Size();

    public uint DirectoryTableBase { get; } = kprocess.Offset();
    public uint ThreadListHead { get; } = kprocess.Offset();
}

/// <summary>_EPROCESS.</summary>
public sealed class EProcessLayout(LayoutFields eprocess)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = eprocess.Size();

    public uint UniqueProcessId { get; } = eprocess.Offset();
    public uint ActiveProcessLinks { get; } = eprocess.Offset();
    public uint InheritedFromUniqueProcessId { get; } = eprocess.Offset();
    public uint ImageFileName { get; } = eprocess.Offset();
    public uint ThreadListHead { get; } = eprocess.Offset();
    public uint ActiveThreads { get; } = eprocess.Offset();
    public uint CreateTime { get; } = eprocess.Offset();
    public uint ExitTime { get; } = eprocess.Offset();
    public uint ExitStatus { get; } = eprocess.Offset();
    public uint Flags { get; } = eprocess.Offset();
    public uint Flags2 { get; } = eprocess.Offset();
    public uint Flags3 { get; } = eprocess.Offset();
    public uint Peb { get; } = eprocess.Offset();
    public uint ObjectTable { get; } = eprocess.Offset();
    public uint Token { get; } = eprocess.Offset();
    public uint SectionObject { get; } = eprocess.Offset();
    public uint ImageFilePointer { get; } = eprocess.Offset();
    public uint VadRoot { get; } = eprocess.Offset();
    public uint RundownProtect { get; } = eprocess.Offset();

    /// <summary>ImageFileName's size in bytes; the name is cut, and may lack its zero (public symbols: UCHAR[15]).</summary>
    public const int ImageFileNameLength = 15;

    /// <summary>Flags bit 2: the last thread is on its way out (public symbols; System Informer's phnt headers agree).</summary>
    public static readonly BitField ProcessExiting = new(0, 2, 1);

    /// <summary>Flags bit 3: termination was asked for (same sources).</summary>
    public static readonly BitField ProcessDelete = new(0, 3, 1);
}

/// <summary>_KTHREAD, the first part of _ETHREAD.</summary>
public sealed class KThreadLayout(LayoutFields kthread)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = kthread.Size();

    public uint Header { get; } = kthread.Offset();
    public uint InitialStack { get; } = kthread.Offset();
    public uint StackLimit { get; } = kthread.Offset();
    public uint StackBase { get; } = kthread.Offset();
    public uint KernelStack { get; } = kthread.Offset();
    public uint Running { get; } = kthread.Offset();
    public uint Alerted { get; } = kthread.Offset();
    public uint MiscFlags { get; } = kthread.Offset();
    public BitField Alertable { get; } = kthread.Bits();
    public uint ThreadFlags { get; } = kthread.Offset();
    public BitField KernelStackResident { get; } = kthread.Bits();
    public uint SystemCallNumber { get; } = kthread.Offset();
    public uint FirstArgument { get; } = kthread.Offset();
    public uint TrapFrame { get; } = kthread.Offset();
    public uint ApcState { get; } = kthread.Offset();
    public uint Priority { get; } = kthread.Offset();
    public uint WaitStatus { get; } = kthread.Offset();
    public uint WaitBlockList { get; } = kthread.Offset();
    public uint Teb { get; } = kthread.Offset();
    public uint WaitBlock { get; } = kthread.Offset();

    /// <summary>The KTIMER of a wait with a limit: 0x40 bytes (wdm.h), right before WaitBlock in public symbols of every build.</summary>
    public uint Timer => WaitBlock - 0x40;

    public uint ContextSwitches { get; } = kthread.Offset();
    public uint State { get; } = kthread.Offset();
    public uint WaitIrql { get; } = kthread.Offset();
    public uint WaitMode { get; } = kthread.Offset();
    public uint WaitTime { get; } = kthread.Offset();
    public uint KernelApcDisable { get; } = kthread.Offset();
    public uint SpecialApcDisable { get; } = kthread.Offset();
    public uint CombinedApcDisable { get; } = kthread.Offset();
    public uint Process { get; } = kthread.Offset();
    public uint PreviousMode { get; } = kthread.Offset();
    public uint WaitBlockCount { get; } = kthread.Offset();
    public uint SavedApcState { get; } = kthread.Offset();
    public uint WaitReason { get; } = kthread.Offset();
    public uint SuspendCount { get; } = kthread.Offset();
    public uint KernelTime { get; } = kthread.Offset();
    public uint UserTime { get; } = kthread.Offset();
    public uint ThreadListEntry { get; } = kthread.Offset();
}

/// <summary>_ETHREAD.</summary>
public sealed class EThreadLayout(LayoutFields ethread)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = ethread.Size();

    public uint CreateTime { get; } = ethread.Offset();
    public uint ExitTime { get; } = ethread.Offset();
    public uint StartAddress { get; } = ethread.Offset();
    public uint Cid { get; } = ethread.Offset();
    public uint IrpList { get; } = ethread.Offset();
    public uint TopLevelIrp { get; } = ethread.Offset();
    public uint DeviceToVerify { get; } = ethread.Offset();
    public uint Win32StartAddress { get; } = ethread.Offset();
    public uint ThreadListEntry { get; } = ethread.Offset();
    public uint RundownProtect { get; } = ethread.Offset();
    public uint CrossThreadFlags { get; } = ethread.Offset();
    public uint ExitStatus { get; } = ethread.Offset();
    public uint IrpListLock { get; } = ethread.Offset();
}

/// <summary>_KAPC_STATE.</summary>
public sealed class ApcStateLayout(LayoutFields apcState)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = apcState.Size();

    public uint ApcListHead { get; } = apcState.Offset();
    public uint Process { get; } = apcState.Offset();
    public uint InProgressFlags { get; } = apcState.Offset();
    public uint KernelApcPending { get; } = apcState.Offset();
    public uint UserApcPendingAll { get; } = apcState.Offset();
}

/// <summary>_KAPC.</summary>
public sealed class ApcLayout(LayoutFields apc)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = apc.Size();

    public uint Type { get; } = apc.Offset();
    public uint Thread { get; } = apc.Offset();
    public uint ApcListEntry { get; } = apc.Offset();
    public uint KernelRoutine { get; } = apc.Offset();
    public uint RundownRoutine { get; } = apc.Offset();
    public uint NormalRoutine { get; } = apc.Offset();
    public uint NormalContext { get; } = apc.Offset();
    public uint ApcMode { get; } = apc.Offset();
    public uint Inserted { get; } = apc.Offset();
}

/// <summary>_KWAIT_BLOCK.</summary>
public sealed class WaitBlockLayout(LayoutFields waitBlock)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = waitBlock.Size();

    public uint WaitListEntry { get; } = waitBlock.Offset();
    public uint WaitType { get; } = waitBlock.Offset();
    public uint BlockState { get; } = waitBlock.Offset();
    public uint WaitKey { get; } = waitBlock.Offset();
    public uint Thread { get; } = waitBlock.Offset();
    public uint Object { get; } = waitBlock.Offset();
}

/// <summary>_DISPATCHER_HEADER.</summary>
public sealed class DispatcherHeaderLayout(LayoutFields header)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = header.Size();

    public uint Type { get; } = header.Offset();
    public uint Signalling { get; } = header.Offset();
    public uint Size { get; } = header.Offset();
    public uint SignalState { get; } = header.Offset();
    public uint WaitListHead { get; } = header.Offset();

    /// <summary>Of a timer's header, one byte (wdm.h): where it stands in its table, whether it counts (bit 6), whether it has expired.</summary>
    public const uint TimerMiscFlags = 3;

    /// <summary>TimerMiscFlags.Inserted: the timer counts.</summary>
    public const byte TimerInserted = 1 << 6;
}
