using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Threads in another process's address space, and services around stack, processor and bug checks. KAPC_STATE: Process +0x20 (wdm.h).</summary>
internal static partial class Ke
{
    private static void DefineAttaching(NtRoutines nt)
    {
        // KeStackAttachProcess(Process, ApcState): a second, stacked APC environment. What is pending stays with the thread.
        nt.Add("KeStackAttachProcess", p =>
        {
            // INVALID_PROCESS_ATTACH_ATTEMPT.
            if (p.Irql >= DispatchLevel) throw new BugCheckException(0x5, p.Arg(0), p.CurrentProcess.Address, 0, 0);
            p.Memory.Fill(p.Arg(1), 0x30, 0);
            p.Memory.WriteU64(p.Arg(1) + 0x20, p.CurrentProcess.Address);
            EnterProcess(p, p.Arg(0));
            return p.Return();
        });
        nt.Add("KeUnstackDetachProcess", p =>
        {
            EnterProcess(p, p.Memory.ReadU64(p.Arg(0) + 0x20));
            return p.Return();
        });
        nt.Add("KeAttachProcess", p =>
        {
            if (p.CurrentProcess.Address != p.CurrentThread.Process.Address && p.CurrentProcess.Address != p.Arg(0)) throw new BugCheckException(0x5, p.Arg(0), p.CurrentProcess.Address, 0, 0);
            EnterProcess(p, p.Arg(0));
            return p.Return();
        });
        nt.Add("KeDetachProcess", p =>
        {
            EnterProcess(p, p.CurrentThread.Process.Address);
            return p.Return();
        });

        // KeExpandKernelStackAndCallout(Callout, Parameter, Size); Ex adds Wait and Context. Stacks are as large as they get.
        nt.Add("KeExpandKernelStackAndCallout", p => p.Call(p.Arg(0), 1, p.Arg(1)), p => p.Return(NtStatus.Success));
        nt.Add("KeExpandKernelStackAndCalloutEx", p => p.Call(p.Arg(0), 1, p.Arg(1)), p => p.Return(NtStatus.Success));
        // KeIpiGenericCall(BroadcastFunction, Context), at IPI_LEVEL on every processor. Local 0: the IRQL.
        nt.Add("KeIpiGenericCall", 1, p =>
        {
            if (p.Machine.Processors.Count > 1) throw new UnmodelledException("nt!KeIpiGenericCall", "several processors");
            p[0] = p.Irql;
            p.Irql = 14;
            return p.Call(p.Arg(0), 1, p.Arg(1));
        }, p =>
        {
            p.Irql = (byte)p[0];
            return p.Return(p.Result);
        });
        // On x64 the legacy state is every thread's own; only wider registers would have to be kept, and this processor has none.
        nt.Add("KeSaveFloatingPointState", p => p.Return(NtStatus.Success));
        nt.Add("KeRestoreFloatingPointState", p => p.Return(NtStatus.Success));
        nt.Add("KeSaveExtendedProcessorState", p => p.Return(NtStatus.Success));
        nt.Add("KeRestoreExtendedProcessorState", p => p.Return());
        nt.Add("KeGetRecommendedSharedDataAlignment", p => p.Return(64));
        nt.Add("KeRegisterBugCheckCallback", p => p.Return(true));
        nt.Add("KeRegisterBugCheckReasonCallback", p => p.Return(true));
        nt.Add("KeDeregisterBugCheckCallback", p => p.Return(true));
        nt.Add("KeDeregisterBugCheckReasonCallback", p => p.Return(true));
        nt.Add("KeIsExecutingDpc", p => p.Return(IsExecutingDpc(p)));
        nt.Add("KdRefreshDebuggerNotPresent", p => p.Return(true));
        nt.Add("KdDisableDebugger", p => p.Return(new NtStatus(0xC0000354)));
        nt.Add("KdEnableDebugger", p => p.Return(new NtStatus(0xC0000354)));
        nt.Add("KeAreInterruptsEnabled", p => p.Return((p.Registers.Rflags & 0x200) != 0));
        nt.Add("KeInvalidateAllCaches", p => p.Return(true));
        nt.Add("KeFlushIoBuffers", p => p.Return());
        nt.Add("KeGetProcessorNumberFromIndex", p =>
        {
            if (p.Arg32(0) >= p.Machine.Processors.Count) return p.Return(NtStatus.InvalidParameter);
            p.Memory.WriteU32(p.Arg(1), p.Arg32(0) << 16);
            return p.Return(NtStatus.Success);
        });
        nt.Add("KeGetProcessorIndexFromNumber", p => p.Return(p.Memory.ReadU32(p.Arg(0)) >> 16 & 0xFF));
        nt.Add("KeQueryActiveGroupCount", p => p.Return(1));
        nt.Add("KeQueryMaximumGroupCount", p => p.Return(1));
        nt.Add("KeQueryGroupAffinity", p => p.Return(p.Arg32(0) == 0 ? (1ul << p.Machine.Processors.Count) - 1 : 0));
        nt.Add("KeQueryHighestNodeNumber", p => p.Return());
        nt.Add("KeGetCurrentNodeNumber", p => p.Return());
    }

    private static void EnterProcess(Processor p, ulong process)
    {
        var state = p.CurrentThread.ApcState;
        state.Process = new Structures.Process(p.Memory, process);
        p.Registers.Cr3 = state.Process.DirectoryTableBase;
        p.Memory.Space = state.Process.DirectoryTableBase;
    }
}
