using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// ERESOURCE (wdm.h): SystemResourcesList +0, OwnerTable +0x10, ActiveCount +0x18, Flag +0x1A, SharedWaiters +0x20, ExclusiveWaiters +0x28, OwnerEntry +0x30 (thread,
/// count), ActiveEntries +0x40, ContentionCount +0x44, NumberOfSharedWaiters +0x48, NumberOfExclusiveWaiters +0x4C. The owner table holds the
/// threads that share: {thread, count} of 16 bytes, and in its first entry how many it has room for.
/// </summary>
internal static partial class Ex
{
    private const ushort OwnedExclusive = 0x80;
    private const int ResourceSize = 0x68;
    private const uint SharersAtFirst = 8;

    private static void DefineResources(NtRoutines nt)
    {
        nt.Add("ExInitializeResourceLite", InitializeResource);
        nt.Add("ExReinitializeResourceLite", p =>
        {
            ForgetResource(p);
            return InitializeResource(p);
        });
        nt.Add("ExDeleteResourceLite", p =>
        {
            ForgetResource(p);
            return p.Return(NtStatus.Success);
        });
        nt.Add("ExAcquireResourceExclusiveLite", p => AcquireExclusive(p, 1), ResourceHandedOver);
        nt.Add("ExAcquireResourceSharedLite", p => AcquireShared(p, 1, starve: false), SharedGranted);
        nt.Add("ExAcquireSharedStarveExclusive", p => AcquireShared(p, 1, starve: true), SharedGranted);
        nt.Add("ExAcquireSharedWaitForExclusive", p => AcquireShared(p, 1, starve: false), SharedGranted);
        nt.Add("ExTryToAcquireResourceExclusiveLite", p =>
        {
            p.SetArg(1, 0);
            return AcquireExclusive(p, 1);
        }, ResourceHandedOver);
        nt.Add("ExReleaseResourceLite", p => ReleaseResource(p, p.CurrentThread.Address));
        nt.Add("ExReleaseResourceForThreadLite", p => ReleaseResource(p, p.Arg(1)));
        nt.Add("ExConvertExclusiveToSharedLite", ConvertToShared);
        nt.Add("ExIsResourceAcquiredExclusiveLite", p => p.Return(IsExclusive(p) && ResourceOwner(p) == p.CurrentThread.Address));
        nt.Add("ExIsResourceAcquiredSharedLite", p => p.Return(HeldBy(p, p.CurrentThread.Address)));
        nt.Add("ExGetExclusiveWaiterCount", p => p.Return(p.Memory.ReadU32(p.Arg(0) + 0x4C)));
        nt.Add("ExGetSharedWaiterCount", p => p.Return(p.Memory.ReadU32(p.Arg(0) + 0x48)));
        nt.Add("ExDisableResourceBoostLite", p => p.Return());
        nt.Add("ExEnterCriticalRegionAndAcquireResourceExclusive", p => p.Call("KeEnterCriticalRegion", 1), p => p.Call("ExAcquireResourceExclusiveLite", 2, p.Arg(0), 1), p => p.Return(p.CurrentThread.Address));
        nt.Add("ExEnterCriticalRegionAndAcquireResourceShared", p => p.Call("KeEnterCriticalRegion", 1), p => p.Call("ExAcquireResourceSharedLite", 2, p.Arg(0), 1), p => p.Return(p.CurrentThread.Address));
        nt.Add("ExReleaseResourceAndLeaveCriticalRegion", p => p.Call("ExReleaseResourceLite", 1, p.Arg(0)), p => p.Call("KeLeaveCriticalRegion", 2), p => p.Return());
    }

    private static Next InitializeResource(Processor p)
    {
        TakeOff(NtData.Resources(p.Memory), p.Arg(0));
        p.Memory.Fill(p.Arg(0), ResourceSize, 0);
        NtData.Resources(p.Memory).InsertTail(new ListHead(p.Memory, p.Arg(0)));
        return p.Return(NtStatus.Success);
    }

    /// <summary>Takes an entry off a list of nt's, if it is on it: of what a driver passes, nothing is known.</summary>
    private static void TakeOff(ListHead list, ulong entry)
    {
        if (list.Entries().Contains(entry)) new ListHead(list.Memory, entry).Remove();
    }

    private static void ForgetResource(Processor p)
    {
        TakeOff(NtData.Resources(p.Memory), p.Arg(0));
        foreach (var field in (ulong[])[0x10, 0x20, 0x28])
            if (p.Memory.ReadU64(p.Arg(0) + field) is var block and not 0)
            {
                Free(p.Machine, block);
                p.Memory.WriteU64(p.Arg(0) + field, 0);
            }
    }

    /// <summary>The resources that a thread holds, and how often.</summary>
    public static IEnumerable<(ulong Resource, uint Count)> HeldResources(GuestMemory m, Structures.Thread thread) =>
        NtData.Resources(m).Entries().Select(resource => (resource, HeldBy(m, resource, thread.Address))).Where(held => held.Item2 != 0);

    private static bool IsExclusive(Processor p) => IsExclusive(p.Memory, p.Arg(0));

    private static bool IsExclusive(GuestMemory m, ulong resource) => (m.ReadU16(resource + 0x1A) & OwnedExclusive) != 0;

    private static ulong ResourceOwner(Processor p) => p.Memory.ReadU64(p.Arg(0) + 0x30);

    private static uint Field(Processor p, ulong offset) => p.Memory.ReadU32(p.Arg(0) + offset);

    private static void SetField(Processor p, ulong offset, uint value) => p.Memory.WriteU32(p.Arg(0) + offset, value);

    private static void SetExclusive(Processor p, ulong thread)
    {
        p.Memory.WriteU16(p.Arg(0) + 0x1A, (ushort)(thread != 0 ? OwnedExclusive : 0));
        p.Memory.WriteU64(p.Arg(0) + 0x30, thread);
        SetField(p, 0x38, thread != 0 ? 1u : 0);
        SetActive(p, thread != 0 ? 1u : 0);
    }

    private static void SetActive(Processor p, uint entries)
    {
        SetField(p, 0x40, entries);
        p.Memory.WriteU16(p.Arg(0) + 0x18, (ushort)(entries == 0 ? 0 : 1));
    }

    /// <summary>How often a thread holds the resource, in either way.</summary>
    private static uint HeldBy(Processor p, ulong thread) => HeldBy(p.Memory, p.Arg(0), thread);

    private static uint HeldBy(GuestMemory m, ulong resource, ulong thread)
    {
        if (IsExclusive(m, resource)) return m.ReadU64(resource + 0x30) == thread ? m.ReadU32(resource + 0x38) : 0;
        var entry = SharerOf(m, resource, thread);
        return entry == 0 ? 0 : m.ReadU32(entry + 8);
    }

    private static ulong SharerOf(Processor p, ulong thread) => SharerOf(p.Memory, p.Arg(0), thread);

    private static ulong SharerOf(GuestMemory m, ulong resource, ulong thread)
    {
        var table = m.ReadU64(resource + 0x10);
        if (table == 0) return 0;
        for (var i = 1ul; i <= m.ReadU32(table + 8); i++)
            if (m.ReadU64(table + (i * 16)) == thread) return table + (i * 16);
        return 0;
    }

    private static void AddSharer(Processor p, ulong thread)
    {
        var m = p.Memory;
        var entry = SharerOf(p, thread);
        if (entry == 0)
        {
            entry = SharerOf(p, 0);
            if (entry == 0) entry = GrowTable(p);
            m.WriteU64(entry, thread);
            m.WriteU32(entry + 8, 0);
        }
        m.WriteU32(entry + 8, m.ReadU32(entry + 8) + 1);
    }

    /// <summary>A table of twice the size; its first free entry.</summary>
    private static ulong GrowTable(Processor p)
    {
        var m = p.Memory;
        var old = m.ReadU64(p.Arg(0) + 0x10);
        var had = old == 0 ? 0 : m.ReadU32(old + 8);
        var room = had == 0 ? SharersAtFirst : had * 2;
        var table = Allocate(p.Machine, NonPaged, (room + 1ul) * 16, "ExRe");
        m.Fill(table, (room + 1ul) * 16, 0);
        if (old != 0)
        {
            p.Machine.Copy(table + 16, old + 16, had * 16ul);
            Free(p.Machine, old);
        }
        m.WriteU32(table + 8, room);
        m.WriteU64(p.Arg(0) + 0x10, table);
        return table + ((had + 1ul) * 16);
    }

    private static ulong WaitersObject(Processor p, ulong field, DispatcherType type)
    {
        var body = p.Memory.ReadU64(p.Arg(0) + field);
        if (body != 0) return body;
        body = Allocate(p.Machine, NonPaged, 0x20, "ExRe");
        new DispatcherHeader(p.Memory, body).Initialize(type, type == DispatcherType.Semaphore ? 0x20 : DispatcherHeader.Size, 0);
        if (type == DispatcherType.Semaphore) p.Memory.WriteU32(body + 0x18, 0x7FFFFFFF);
        p.Memory.WriteU64(p.Arg(0) + field, body);
        return body;
    }

    private static Next AwaitResource(Processor p, int then, ulong counter, ulong body)
    {
        SetField(p, counter, Field(p, counter) + 1);
        SetField(p, 0x44, Field(p, 0x44) + 1);
        return p.Call("KeWaitForSingleObject", then, body, (ulong)WaitReason.WrResource, (ulong)ProcessorMode.KernelMode, 0, 0);
    }

    // (Resource, Wait)
    private static Next AcquireExclusive(Processor p, int then)
    {
        var thread = p.CurrentThread.Address;
        if (Field(p, 0x40) == 0)
        {
            SetExclusive(p, thread);
            return p.Return(true);
        }
        if (IsExclusive(p) && ResourceOwner(p) == thread)
        {
            SetField(p, 0x38, Field(p, 0x38) + 1);
            return p.Return(true);
        }
        return p.Arg8(1) == 0 ? p.Return(false) : AwaitResource(p, then, 0x4C, WaitersObject(p, 0x28, DispatcherType.SynchronizationEvent));
    }

    private static Next ResourceHandedOver(Processor p)
    {
        // The releaser left it exclusive for nobody in particular.
        p.Memory.WriteU64(p.Arg(0) + 0x30, p.CurrentThread.Address);
        return p.Return(true);
    }

    private static Next AcquireShared(Processor p, int then, bool starve)
    {
        var thread = p.CurrentThread.Address;
        if (IsExclusive(p))
        {
            if (ResourceOwner(p) == thread)
            {
                SetField(p, 0x38, Field(p, 0x38) + 1);
                return p.Return(true);
            }
        }
        else if (HeldBy(p, thread) != 0)
        {
            AddSharer(p, thread);
            return p.Return(true);
        }
        else if (starve || Field(p, 0x4C) == 0)
        {
            SetActive(p, Field(p, 0x40) + 1);
            AddSharer(p, thread);
            return p.Return(true);
        }
        return p.Arg8(1) == 0 ? p.Return(false) : AwaitResource(p, then, 0x48, WaitersObject(p, 0x20, DispatcherType.Semaphore));
    }

    private static Next SharedGranted(Processor p)
    {
        // Counted among the active ones by the releaser already.
        AddSharer(p, p.CurrentThread.Address);
        return p.Return(true);
    }

    private static Next ReleaseResource(Processor p, ulong thread)
    {
        // RESOURCE_NOT_OWNED.
        if (HeldBy(p, thread) == 0) throw new BugCheckException(0xE3, p.Arg(0), thread, p.Memory.ReadU64(p.Arg(0) + 0x10), 2);
        if (IsExclusive(p))
        {
            var left = Field(p, 0x38) - 1;
            SetField(p, 0x38, left);
            if (left != 0) return p.Return();
            SetExclusive(p, 0);
            if (Field(p, 0x48) != 0) GrantShared(p);
            else if (Field(p, 0x4C) != 0) HandOver(p);
            return p.Return();
        }
        var entry = SharerOf(p, thread);
        var count = p.Memory.ReadU32(entry + 8) - 1;
        p.Memory.WriteU32(entry + 8, count);
        if (count != 0) return p.Return();
        p.Memory.WriteU64(entry, 0);
        SetActive(p, Field(p, 0x40) - 1);
        if (Field(p, 0x40) == 0 && Field(p, 0x4C) != 0) HandOver(p);
        return p.Return();
    }

    private static void GrantShared(Processor p)
    {
        var waiting = Field(p, 0x48);
        SetField(p, 0x48, 0);
        SetActive(p, Field(p, 0x40) + waiting);
        var semaphore = new DispatcherHeader(p.Memory, p.Memory.ReadU64(p.Arg(0) + 0x20));
        for (var i = 0; i < waiting; i++) Ke.ReleaseSemaphore(p.Machine, semaphore);
    }

    private static void HandOver(Processor p)
    {
        SetField(p, 0x4C, Field(p, 0x4C) - 1);
        // Owned, by a thread that is to come.
        SetExclusive(p, 1);
        Ke.SetEvent(p.Machine, new DispatcherHeader(p.Memory, p.Memory.ReadU64(p.Arg(0) + 0x28)));
    }

    private static Next ConvertToShared(Processor p)
    {
        var thread = p.CurrentThread.Address;
        if (!IsExclusive(p) || ResourceOwner(p) != thread) throw new BugCheckException(0xE3, p.Arg(0), thread, 0, 3);
        var count = Field(p, 0x38);
        SetExclusive(p, 0);
        SetActive(p, 1);
        for (var i = 0; i < count; i++) AddSharer(p, thread);
        if (Field(p, 0x48) != 0) GrantShared(p);
        return p.Return();
    }
}
