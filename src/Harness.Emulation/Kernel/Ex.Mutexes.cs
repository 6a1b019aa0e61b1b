using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Fast mutexes, guarded mutexes, push locks and rundown protection. FAST_MUTEX and KGUARDED_MUTEX: Count +0, Owner +8, Contention +0x10,
/// Event +0x18, OldIrql +0x30 (wdm.h). Count is 1 when free, and one less for each owner and waiter.
/// </summary>
internal static partial class Ex
{
    private static void DefineMutexes(NtRoutines nt)
    {
        foreach (var name in (string[])["ExInitializeFastMutex", "KeInitializeGuardedMutex"])
            nt.Add(name, p =>
            {
                p.Memory.Fill(p.Arg(0), 0x38, 0);
                p.Memory.WriteU32(p.Arg(0), 1);
                new DispatcherHeader(p.Memory, p.Arg(0) + 0x18).Initialize(DispatcherType.SynchronizationEvent, DispatcherHeader.Size, 0);
                return p.Return();
            });
        // Local 0: the IRQL before.
        foreach (var name in (string[])["ExAcquireFastMutex", "KeAcquireFastMutex"]) nt.Add(name, 1, RaiseForMutex, p => TakeMutex(p, 2, WaitReason.WrFastMutex), MutexTaken);
        foreach (var name in (string[])["ExReleaseFastMutex", "KeReleaseFastMutex"])
            nt.Add(name, p =>
            {
                var irql = (byte)p.Memory.ReadU32(p.Arg(0) + 0x30);
                GiveMutex(p);
                p.Irql = irql;
                return p.Return();
            });
        foreach (var name in (string[])["ExTryToAcquireFastMutex", "KeTryToAcquireFastMutex"])
            nt.Add(name, p =>
            {
                if ((int)p.Memory.ReadU32(p.Arg(0)) != 1) return p.Return(false);
                p.Memory.WriteU32(p.Arg(0), 0);
                Own(p, p.Irql);
                p.Irql = Ke.ApcLevel;
                return p.Return(true);
            });
        nt.Add("ExAcquireFastMutexUnsafe", 1, p => TakeMutex(p, 1, WaitReason.WrFastMutex), MutexTaken);
        nt.Add("ExReleaseFastMutexUnsafe", p =>
        {
            GiveMutex(p);
            return p.Return();
        });
        nt.Add("ExEnterCriticalRegionAndAcquireFastMutexUnsafe", 1, p => p.Call("KeEnterCriticalRegion", 1), p => TakeMutex(p, 2, WaitReason.WrFastMutex), MutexTaken);
        nt.Add("ExReleaseFastMutexUnsafeAndLeaveCriticalRegion", p =>
        {
            GiveMutex(p);
            return p.Call("KeLeaveCriticalRegion", 1);
        }, p => p.Return());
        nt.Add("KeAcquireGuardedMutex", 1, p => p.Call("KeEnterGuardedRegion", 1), p => TakeMutex(p, 2, WaitReason.WrGuardedMutex), MutexTaken);
        nt.Add("KeAcquireGuardedMutexUnsafe", 1, p => TakeMutex(p, 1, WaitReason.WrGuardedMutex), MutexTaken);
        nt.Add("KeReleaseGuardedMutex", p =>
        {
            GiveMutex(p);
            return p.Call("KeLeaveGuardedRegion", 1);
        }, p => p.Return());
        nt.Add("KeReleaseGuardedMutexUnsafe", p =>
        {
            GiveMutex(p);
            return p.Return();
        });
        nt.Add("KeTryToAcquireGuardedMutex", p => p.Call("KeEnterGuardedRegion", 1), p =>
        {
            if ((int)p.Memory.ReadU32(p.Arg(0)) != 1) return p.Call("KeLeaveGuardedRegion", 2);
            p.Memory.WriteU32(p.Arg(0), 0);
            Own(p, p.Irql);
            return p.Return(true);
        }, p => p.Return(false));
        DefineRundown(nt);
        DefinePushLocks(nt);
    }

    private static Next RaiseForMutex(Processor p)
    {
        // A fast mutex above APC_LEVEL can't wait.
        if (p.Irql > Ke.ApcLevel) throw new BugCheckException(0xA, p.Arg(0), p.Irql, 1, p.ReturnAddress);
        p[0] = p.Irql;
        p.Irql = Ke.ApcLevel;
        return p.Goto(1);
    }

    private static Next TakeMutex(Processor p, int then, WaitReason reason)
    {
        var count = (int)p.Memory.ReadU32(p.Arg(0)) - 1;
        p.Memory.WriteU32(p.Arg(0), (uint)count);
        if (p.RoutineName is not ("ExAcquireFastMutex" or "KeAcquireFastMutex")) p[0] = p.Irql;
        if (count >= 0) return p.Goto(then);
        p.Memory.WriteU32(p.Arg(0) + 0x10, p.Memory.ReadU32(p.Arg(0) + 0x10) + 1);
        return p.Call("KeWaitForSingleObject", then, p.Arg(0) + 0x18, (ulong)reason, (ulong)ProcessorMode.KernelMode, 0, 0);
    }

    private static Next MutexTaken(Processor p)
    {
        Own(p, (byte)p[0]);
        return p.Return();
    }

    private static void Own(Processor p, byte irql)
    {
        p.Memory.WriteU64(p.Arg(0) + 8, p.CurrentThread.Address);
        p.Memory.WriteU32(p.Arg(0) + 0x30, irql);
    }

    /// <summary>The mutex goes to the thread that waits longest, or is free.</summary>
    private static void GiveMutex(Processor p)
    {
        if (p.Memory.ReadU64(p.Arg(0) + 8) != p.CurrentThread.Address)
        {
            var by = p.Machine.CallerOf(p);
            throw new DriverFaultException("mutex-not-owned", by, $"{by} releases the mutex at {new KernelAddress(p.Arg(0))}, which its thread has not acquired: from here on two threads can own it.");
        }
        p.Memory.WriteU64(p.Arg(0) + 8, 0);
        var count = (int)p.Memory.ReadU32(p.Arg(0)) + 1;
        p.Memory.WriteU32(p.Arg(0), (uint)count);
        if (count <= 0) Ke.SetEvent(p.Machine, new DispatcherHeader(p.Memory, p.Arg(0) + 0x18));
    }

    /// <summary>EX_RUNDOWN_REF: twice the count; bit 0 says that it is run down, and then the rest is the waiter's block: its count, its KEVENT at +8.</summary>
    private static void DefineRundown(NtRoutines nt)
    {
        foreach (var name in (string[])["ExInitializeRundownProtection", "ExReInitializeRundownProtection"])
            nt.Add(name, p =>
            {
                p.Memory.WriteU64(p.Arg(0), 0);
                return p.Return();
            });
        nt.Add("ExAcquireRundownProtection", p => AcquireRundown(p, 1));
        nt.Add("ExAcquireRundownProtectionEx", p => AcquireRundown(p, p.Arg32(1)));
        nt.Add("ExReleaseRundownProtection", p => ReleaseRundown(p, 1));
        nt.Add("ExReleaseRundownProtectionEx", p => ReleaseRundown(p, p.Arg32(1)));
        nt.Add("ExRundownCompleted", p =>
        {
            p.Memory.WriteU64(p.Arg(0), 1);
            return p.Return();
        });
        // Locals: 0 the block's count, 1..3 its KEVENT.
        nt.Add("ExWaitForRundownProtectionRelease", 4, p =>
        {
            var count = p.Memory.ReadU64(p.Arg(0));
            if (count == 0) p.Memory.WriteU64(p.Arg(0), 1);
            if (count is 0 or 1) return p.Return();
            p[0] = count >> 1;
            new DispatcherHeader(p.Memory, p.LocalAddress(1)).Initialize(DispatcherType.SynchronizationEvent, DispatcherHeader.Size, 0);
            p.Memory.WriteU64(p.Arg(0), p.LocalAddress(0) | 1);
            return p.Call("KeWaitForSingleObject", 1, p.LocalAddress(1), (ulong)WaitReason.Executive, (ulong)ProcessorMode.KernelMode, 0, 0);
        }, p =>
        {
            p.Memory.WriteU64(p.Arg(0), 1);
            return p.Return();
        });
    }

    private static Next AcquireRundown(Processor p, uint count)
    {
        var was = p.Memory.ReadU64(p.Arg(0));
        if ((was & 1) != 0) return p.Return(false);
        p.Memory.WriteU64(p.Arg(0), was + (2ul * count));
        return p.Return(true);
    }

    private static Next ReleaseRundown(Processor p, uint count)
    {
        var was = p.Memory.ReadU64(p.Arg(0));
        if ((was & 1) == 0)
        {
            p.Memory.WriteU64(p.Arg(0), was - (2ul * count));
            return p.Return();
        }
        var block = was & ~1ul;
        var left = p.Memory.ReadU64(block) - count;
        p.Memory.WriteU64(block, left);
        if (left == 0) Ke.SetEvent(p.Machine, new DispatcherHeader(p.Memory, block + 8));
        return p.Return();
    }

    /// <summary>
    /// EX_PUSH_LOCK. Without waiters: 0 free, 1 exclusive, 16·n + 1 shared by n. With waiters: the first one's block, in its stack, with bits 0 and 1
    /// set. A block: KEVENT +0, next +0x18, exclusive +0x20, how many share the lock now +0x28 (of the first block). First come, first served.
    /// </summary>
    private static void DefinePushLocks(NtRoutines nt)
    {
        nt.Add("ExInitializePushLock", p =>
        {
            p.Memory.WriteU64(p.Arg(0), 0);
            return p.Return();
        });
        foreach (var name in (string[])["ExAcquirePushLockExclusiveEx", "ExfAcquirePushLockExclusive"]) nt.Add(name, 6, p => AcquirePushLock(p, exclusive: true), p => p.Return());
        foreach (var name in (string[])["ExAcquirePushLockSharedEx", "ExfAcquirePushLockShared"]) nt.Add(name, 6, p => AcquirePushLock(p, exclusive: false), p => p.Return());
        foreach (var name in (string[])["ExReleasePushLockExclusiveEx", "ExReleasePushLockSharedEx", "ExReleasePushLockEx", "ExfReleasePushLock", "ExfReleasePushLockExclusive", "ExfReleasePushLockShared"]) nt.Add(name, ReleasePushLock);
        nt.Add("ExTryAcquirePushLockExclusiveEx", p =>
        {
            if (p.Memory.ReadU64(p.Arg(0)) != 0) return p.Return(false);
            p.Memory.WriteU64(p.Arg(0), 1);
            return p.Return(true);
        });
    }

    private static Next AcquirePushLock(Processor p, bool exclusive)
    {
        var m = p.Memory;
        var value = m.ReadU64(p.Arg(0));
        if (value == 0 || !exclusive && (value & 2) == 0 && value >= 0x10)
        {
            m.WriteU64(p.Arg(0), exclusive ? 1 : value == 0 ? 0x11 : value + 0x10);
            return p.Return();
        }
        var block = p.LocalAddress(0);
        new DispatcherHeader(m, block).Initialize(DispatcherType.SynchronizationEvent, DispatcherHeader.Size, 0);
        m.WriteU64(block + 0x18, 0);
        m.WriteU64(block + 0x20, exclusive ? 1ul : 0);
        if ((value & 2) == 0)
        {
            m.WriteU64(block + 0x28, value >> 4);
            m.WriteU64(p.Arg(0), block | 3);
        }
        else
        {
            var last = value & ~0xFul;
            while (m.ReadU64(last + 0x18) != 0) last = m.ReadU64(last + 0x18);
            m.WriteU64(last + 0x18, block);
        }
        return p.Call("KeWaitForSingleObject", 1, block, (ulong)WaitReason.WrPushLock, (ulong)ProcessorMode.KernelMode, 0, 0);
    }

    private static Next ReleasePushLock(Processor p)
    {
        var m = p.Memory;
        var value = m.ReadU64(p.Arg(0));
        if (value == 0) throw new BugCheckException(0x152, 0, p.Arg(0), 0, 0);
        if ((value & 2) == 0)
        {
            m.WriteU64(p.Arg(0), value < 0x20 ? 0 : value - 0x10);
            return p.Return();
        }
        var first = value & ~0xFul;
        var sharing = m.ReadU64(first + 0x28);
        if (sharing > 1)
        {
            m.WriteU64(first + 0x28, sharing - 1);
            return p.Return();
        }
        // The first waiter gets it; when that one shares, so do those behind it that share too.
        var exclusive = m.ReadU64(first + 0x20) != 0;
        var next = first;
        var granted = 0ul;
        do
        {
            granted++;
            next = m.ReadU64(next + 0x18);
        }
        while (!exclusive && next != 0 && m.ReadU64(next + 0x20) == 0);
        if (next != 0) m.WriteU64(next + 0x28, exclusive ? 0 : granted);
        m.WriteU64(p.Arg(0), next != 0 ? next | 3 : exclusive ? 1 : granted << 4 | 1);
        for (var block = first; granted > 0; granted--)
        {
            var after = m.ReadU64(block + 0x18);
            Ke.SetEvent(p.Machine, new DispatcherHeader(m, block));
            block = after;
        }
        return p.Return();
    }
}
