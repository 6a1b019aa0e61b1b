using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Interlocked lists and counters, and lookaside lists.</summary>
internal static partial class Ex
{
    private static void DefineLists(NtRoutines nt)
    {
        // SLIST_HEADER: Depth in bits 0–15 and Sequence above, at +0; the first entry's address at +8 (ntdef.h, HeaderX64).
        foreach (var name in (string[])["InitializeSListHead", "ExInitializeSListHead", "RtlInitializeSListHead"])
            nt.Add(name, p =>
            {
                p.Memory.Fill(p.Arg(0), 0x10, 0);
                return p.Return();
            });
        foreach (var name in (string[])["ExpInterlockedPushEntrySList", "ExInterlockedPushEntrySList", "InterlockedPushEntrySList", "RtlInterlockedPushEntrySList"])
            nt.Add(name, p =>
            {
                var first = p.Memory.ReadU64(p.Arg(0) + 8);
                p.Memory.WriteU64(p.Arg(1), first);
                SetSList(p, p.Arg(1), +1);
                return p.Return(first);
            });
        foreach (var name in (string[])["ExpInterlockedPopEntrySList", "ExInterlockedPopEntrySList", "InterlockedPopEntrySList", "RtlInterlockedPopEntrySList"])
            nt.Add(name, p =>
            {
                var first = p.Memory.ReadU64(p.Arg(0) + 8);
                if (first != 0) SetSList(p, p.Memory.ReadU64(first), -1);
                return p.Return(first);
            });
        foreach (var name in (string[])["ExpInterlockedFlushSList", "ExInterlockedFlushSList", "InterlockedFlushSList", "RtlInterlockedFlushSList"])
            nt.Add(name, p =>
            {
                var first = p.Memory.ReadU64(p.Arg(0) + 8);
                SetSList(p, 0, -p.Memory.ReadU16(p.Arg(0)));
                return p.Return(first);
            });
        foreach (var name in (string[])["ExQueryDepthSList", "RtlQueryDepthSList", "QueryDepthSList"]) nt.Add(name, p => p.Return(p.Memory.ReadU16(p.Arg(0))));
        nt.Add("RtlFirstEntrySList", p => p.Return(p.Memory.ReadU64(p.Arg(0) + 8)));

        // Under the caller's spin lock, with interrupts off.
        nt.Add("ExInterlockedInsertHeadList", p => Locked(p, p.Arg(2), () =>
        {
            var list = new ListHead(p.Memory, p.Arg(0));
            var first = list.IsEmpty ? 0 : Entry(p, list.Flink);
            list.InsertHead(new ListHead(p.Memory, p.Arg(1)));
            return first;
        }));
        nt.Add("ExInterlockedInsertTailList", p => Locked(p, p.Arg(2), () =>
        {
            var list = new ListHead(p.Memory, p.Arg(0));
            var last = list.IsEmpty ? 0 : Entry(p, list.Blink);
            list.InsertTail(new ListHead(p.Memory, p.Arg(1)));
            return last;
        }));
        nt.Add("ExInterlockedRemoveHeadList", p => Locked(p, p.Arg(1), () =>
        {
            var list = new ListHead(p.Memory, p.Arg(0));
            if (list.IsEmpty) return 0;
            var first = Entry(p, list.Flink);
            var next = Entry(p, p.Memory.ReadU64(first));
            list.Flink = next;
            p.Memory.WriteU64(next + 8, list.Address);
            return first;
        }));
        nt.Add("ExInterlockedPushEntryList", p => Locked(p, p.Arg(2), () =>
        {
            var first = p.Memory.ReadU64(p.Arg(0));
            p.Memory.WriteU64(p.Arg(1), first);
            p.Memory.WriteU64(p.Arg(0), p.Arg(1));
            return first;
        }));
        nt.Add("ExInterlockedPopEntryList", p => Locked(p, p.Arg(1), () =>
        {
            var first = p.Memory.ReadU64(p.Arg(0));
            if (first != 0) p.Memory.WriteU64(p.Arg(0), p.Memory.ReadU64(first));
            return first;
        }));
        nt.Add("ExInterlockedAddLargeInteger", p => Locked(p, p.Arg(2), () =>
        {
            var was = p.Memory.ReadU64(p.Arg(0));
            p.Memory.WriteU64(p.Arg(0), was + p.Arg(1));
            return was;
        }));
        nt.Add("ExInterlockedAddUlong", p => Locked(p, p.Arg(2), () =>
        {
            var was = p.Memory.ReadU32(p.Arg(0));
            p.Memory.WriteU32(p.Arg(0), was + p.Arg32(1));
            return was;
        }));
        nt.Add("ExInterlockedAddLargeStatistic", p =>
        {
            p.Memory.WriteU64(p.Arg(0), p.Memory.ReadU64(p.Arg(0)) + p.Arg32(1));
            return p.Return();
        });
    }

    /// <summary>An entry of a driver's list, which nt writes to as if the driver did.</summary>
    private static ulong Entry(Processor p, ulong entry)
    {
        DriverMemory.Require(p, entry, 0x10, write: true);
        return entry;
    }

    private static void SetSList(Processor p, ulong first, int change)
    {
        var (head, header) = (p.Arg(0), p.Memory.ReadU64(p.Arg(0)));
        p.Memory.WriteU64(head + 8, first);
        // The sequence goes up with every change, against ABA.
        p.Memory.WriteU64(head, (header & ~0xFFFFul) + 0x10000 | (ushort)(header + (ulong)(long)change));
    }

    private static Next Locked(Processor p, ulong spinLock, Func<ulong> action) =>
        p.Memory.ReadU64(spinLock) != 0 ? p.Spin(spinLock) : p.Return(action());
}
