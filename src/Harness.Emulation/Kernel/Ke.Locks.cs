using Harness.Core.Evidence;

namespace Harness.Emulation.Kernel;

/// <summary>Spin locks. A held lock holds its owner's KPRCB with bit 0 set, so that a deadlock can be told from contention.</summary>
internal static partial class Ke
{
    private static void DefineLocks(NtRoutines nt)
    {
        nt.Add("KeInitializeSpinLock", p =>
        {
            p.Memory.WriteU64(p.Arg(0), 0);
            return p.Return();
        });
        nt.Add("KeAcquireSpinLockRaiseToDpc", p => AcquireRaising(p, DispatchLevel));
        nt.Add("KeAcquireSpinLockRaiseToSynch", p => AcquireRaising(p, 12));
        nt.Add("KeReleaseSpinLock", p => Release(p, p.Arg(0), p.Arg8(1)));
        nt.Add("KeAcquireSpinLockAtDpcLevel", p => AcquireSpinLock(p, p.Arg(0)) ? p.Return() : p.Spin(p.Arg(0)));
        nt.Add("KeReleaseSpinLockFromDpcLevel", p => Release(p, p.Arg(0), p.Irql));
        nt.Add("KeTryToAcquireSpinLockAtDpcLevel", TryAcquire);
        nt.Add("KeTestSpinLock", p => p.Return(p.Memory.ReadU64(p.Arg(0)) == 0));
        // KLOCK_QUEUE_HANDLE: LockQueue.Next +0, LockQueue.Lock +8, OldIrql +0x10 (wdm.h).
        nt.Add("KeAcquireInStackQueuedSpinLock", p => AcquireInStack(p, DispatchLevel));
        nt.Add("KeAcquireInStackQueuedSpinLockAtDpcLevel", p => AcquireInStack(p, p.Irql));
        nt.Add("KeReleaseInStackQueuedSpinLock", p => Release(p, p.Memory.ReadU64(p.Arg(0) + 8), p.Memory.ReadU8(p.Arg(0) + 0x10)));
        nt.Add("KeReleaseInStackQueuedSpinLockFromDpcLevel", p => Release(p, p.Memory.ReadU64(p.Arg(0) + 8), p.Irql));
        nt.Add("IoAcquireCancelSpinLock", AcquireCancelLock);
        nt.Add("IoReleaseCancelSpinLock", p => Release(p, NtData.CancelSpinLock, p.Arg8(0)));
    }

    private static ulong OwnerMark(Processor p) => p.Prcb | 1;

    /// <summary>Takes a spin lock if it is free.</summary>
    public static bool AcquireSpinLock(Processor p, ulong spinLock)
    {
        if (p.Memory.ReadU64(spinLock) != 0) return false;
        p.Memory.WriteU64(spinLock, OwnerMark(p));
        Remember(p, spinLock);
        return true;
    }

    /// <summary>A spin lock that this processor holds; 0: none.</summary>
    public static ulong HeldSpinLock(Processor p)
    {
        for (var slot = 0; slot < NtData.MostHeldLocks; slot++)
            if (p.Memory.ReadU64(NtData.HeldLock(p.Number, slot)) is not 0 and var held) return held;
        return 0;
    }

    private static void Remember(Processor p, ulong spinLock)
    {
        for (var slot = 0; slot < NtData.MostHeldLocks; slot++)
        {
            if (p.Memory.ReadU64(NtData.HeldLock(p.Number, slot)) != 0) continue;
            p.Memory.WriteU64(NtData.HeldLock(p.Number, slot), spinLock);
            return;
        }
    }

    // Whoever releases it: a lock may be acquired on one processor and released on another.
    private static void Forget(Machine machine, ulong spinLock)
    {
        foreach (var p in machine.Processors)
            for (var slot = 0; slot < NtData.MostHeldLocks; slot++)
                if (machine.Memory.ReadU64(NtData.HeldLock(p.Number, slot)) == spinLock) machine.Memory.WriteU64(NtData.HeldLock(p.Number, slot), 0);
    }

    public static bool HoldsSpinLock(Processor p, ulong spinLock) => p.Memory.ReadU64(spinLock) == OwnerMark(p);

    public static void ReleaseSpinLock(Processor p, ulong spinLock)
    {
        p.Memory.WriteU64(spinLock, 0);
        Forget(p.Machine, spinLock);
        p.Machine.LockReleased(spinLock);
    }

    /// <summary>
    /// A routine of a driver has come back: at the IRQL it was called at, or the run ends here. Windows goes on and stops later, where nobody can
    /// tell whose fault it was; Driver Verifier stops here too (bug check 0xC9, code 5, for a dispatch routine, learn.microsoft.com).
    /// </summary>
    public static void RequireLevel(Processor p, ulong routine, string what, byte irql)
    {
        if (p.Irql == irql) return;
        var name = p.Machine.NameOf(routine);
        throw new DriverFaultException("irql-not-restored", name, $"{name}, {what}, was called at IRQL {irql} and returned at IRQL {p.Irql}.");
    }

    private static Next AcquireRaising(Processor p, byte level)
    {
        // IRQL goes up before the lock is tried, and stays up while it is contended.
        if (p.Irql > level) throw new BugCheckException(0xA, p.Arg(0), p.Irql, 0, p.ReturnAddress);
        if (!AcquireSpinLock(p, p.Arg(0))) return p.Spin(p.Arg(0));
        var was = p.Irql;
        p.Irql = level;
        return p.Return(was);
    }

    private static Next AcquireInStack(Processor p, byte level)
    {
        var (spinLock, handle) = (p.Arg(0), p.Arg(1));
        if (!AcquireSpinLock(p, spinLock)) return p.Spin(spinLock);
        p.Memory.WriteU64(handle, 0);
        p.Memory.WriteU64(handle + 8, spinLock);
        p.Memory.WriteU8(handle + 0x10, p.Irql);
        p.Irql = level;
        return p.Return();
    }

    private static Next TryAcquire(Processor p) => p.Return(AcquireSpinLock(p, p.Arg(0)));

    private static Next AcquireCancelLock(Processor p)
    {
        if (!AcquireSpinLock(p, NtData.CancelSpinLock)) return p.Spin(NtData.CancelSpinLock);
        p.Memory.WriteU8(p.Arg(0), p.Irql);
        p.Irql = DispatchLevel;
        return p.Return();
    }

    private static Next Release(Processor p, ulong spinLock, byte irql)
    {
        if (p.Memory.ReadU64(spinLock) == 0)
            // SPIN_LOCK_NOT_OWNED (bug check 0x10).
            throw new BugCheckException(0x10, spinLock, 0, 0, 0);
        ReleaseSpinLock(p, spinLock);
        p.Irql = irql;
        return p.Return();
    }
}
