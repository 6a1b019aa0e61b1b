using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Remove locks. IO_REMOVE_LOCK_COMMON_BLOCK: Removed +0, IoCount +4, RemoveEvent +8 (wdm.h); what a checked build appends isn't used.</summary>
internal static partial class Io
{
    private static void DefineRemoveLocks(NtRoutines nt)
    {
        // IoInitializeRemoveLockEx(Lock, AllocateTag, MaxLockedMinutes, HighWatermark, RemlockSize)
        nt.Add("IoInitializeRemoveLockEx", p =>
        {
            p.Memory.Fill(p.Arg(0), p.Arg32(4), 0);
            p.Memory.WriteU32(p.Arg(0) + 4, 1);
            new DispatcherHeader(p.Memory, p.Arg(0) + 8).Initialize(DispatcherType.SynchronizationEvent, DispatcherHeader.Size, 0);
            return p.Return();
        });
        nt.Add("IoAcquireRemoveLockEx", p =>
        {
            AddToRemoveLock(p, +1);
            if (p.Memory.ReadU8(p.Arg(0)) == 0) return p.Return(NtStatus.Success);
            AddToRemoveLock(p, -1);
            return p.Return(NtStatus.DeletePending);
        });
        nt.Add("IoReleaseRemoveLockEx", p =>
        {
            AddToRemoveLock(p, -1);
            return p.Return();
        });
        nt.Add("IoReleaseRemoveLockAndWaitEx", p =>
        {
            p.Memory.WriteU8(p.Arg(0), 1);
            AddToRemoveLock(p, -1);
            return p.Goto(1);
        }, p =>
        {
            if (AddToRemoveLock(p, -1) <= 0) return p.Return();
            return p.Call("KeWaitForSingleObject", 2, p.Arg(0) + 8, (ulong)WaitReason.Executive, (ulong)ProcessorMode.KernelMode, 0, 0);
        }, p => p.Return());
    }

    private static int AddToRemoveLock(Processor p, int change)
    {
        var count = (int)p.Memory.ReadU32(p.Arg(0) + 4) + change;
        p.Memory.WriteU32(p.Arg(0) + 4, (uint)count);
        if (count == 0) Ke.SetEvent(p.Machine, new DispatcherHeader(p.Memory, p.Arg(0) + 8));
        return count;
    }
}
