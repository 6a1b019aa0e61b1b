namespace Harness.Core.Nt;

/// <summary>KTHREAD.State (KTHREAD_STATE, in public symbols since NT 4; values in facts copied to Nt/nt-offsets.json).</summary>
public enum ThreadState : byte
{
    Initialized, Ready, Running, Standby, Terminated, Waiting, Transition, DeferredReady, GateWaitObsolete, WaitingForProcessInSwap,
}

/// <summary>KTHREAD.WaitReason: KWAIT_REASON of wdm.h.</summary>
public enum WaitReason : byte
{
    Executive, FreePage, PageIn, PoolAllocation, DelayExecution, Suspended, UserRequest,
    WrExecutive, WrFreePage, WrPageIn, WrPoolAllocation, WrDelayExecution, WrSuspended, WrUserRequest,
    WrSpare0, WrQueue, WrLpcReceive, WrLpcReply, WrVirtualMemory, WrPageOut, WrRendezvous, WrKeyedEvent, WrTerminated,
    WrProcessInSwap, WrCpuRateControl, WrCalloutStack, WrKernel, WrResource, WrPushLock, WrMutex, WrQuantumEnd, WrDispatchInt,
    WrPreempted, WrYieldExecution, WrFastMutex, WrGuardedMutex, WrRundown, WrAlertByThreadId, WrDeferredPreempt, WrPhysicalFault,
}

/// <summary>KPROCESSOR_MODE of wdm.h.</summary>
public enum ProcessorMode : byte
{
    KernelMode, UserMode,
}

/// <summary>IRP_MJ_XXX of wdm.h.</summary>
public enum IrpMajor : byte
{
    Create, CreateNamedPipe, Close, Read, Write, QueryInformation, SetInformation, QueryEa, SetEa, FlushBuffers,
    QueryVolumeInformation, SetVolumeInformation, DirectoryControl, FileSystemControl, DeviceControl, InternalDeviceControl,
    Shutdown, LockControl, Cleanup, CreateMailslot, QuerySecurity, SetSecurity, Power, SystemControl, DeviceChange,
    QueryQuota, SetQuota, Pnp,
}
