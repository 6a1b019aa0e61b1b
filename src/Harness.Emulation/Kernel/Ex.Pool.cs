using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Pool: every block has its own addresses for ever, a shadow, and a record of who asked for it and who freed it.</summary>
internal static partial class Ex
{
    public const uint NonPaged = 0, Paged = 1;

    /// <summary>Shadow values of pool bytes: outside any allocation, freed, an IRP that no driver has any more.</summary>
    public const byte ShadowOutside = 0x81, ShadowFreed = 0x82, ShadowCompleted = 0x83;

    /// <summary>POOL_FLAG_PAGED (wdm.h).</summary>
    public const ulong PoolFlagPaged = 0x100;

    private const ulong HeaderSize = 0x10, Gap = 0x10;

    private static void DefinePool(NtRoutines nt)
    {
        nt.Add("ExAllocatePoolWithTag", p => p.Return(AllocateFresh(p, p.Arg32(0), p.Arg(1), p.Arg32(2))));
        nt.Add("ExAllocatePool", p => p.Return(AllocateFresh(p, p.Arg32(0), p.Arg(1), TagOf("None"))));
        nt.Add("ExAllocatePoolWithQuotaTag", p => p.Return(AllocateFresh(p, p.Arg32(0) & 0xFF, p.Arg(1), p.Arg32(2))));
        nt.Add("ExAllocatePoolZero", p => p.Return(AllocateZeroed(p, p.Arg32(0), p.Arg(1), p.Arg32(2))));
        // POOL_FLAG_UNINITIALIZED 2 (wdm.h); zeroed unless told otherwise.
        nt.Add("ExAllocatePool2", p =>
        {
            var type = (p.Arg(0) & PoolFlagPaged) != 0 ? Paged : NonPaged;
            return p.Return((p.Arg(0) & 2) != 0 ? AllocateFresh(p, type, p.Arg(1), p.Arg32(2)) : AllocateZeroed(p, type, p.Arg(1), p.Arg32(2)));
        });
        nt.Add("ExFreePoolWithTag", FreeTagged);
        nt.Add("ExFreePool", FreePool);
        nt.Add("ExFreePool2", FreePool);
    }

    /// <summary>
    /// Allocates pool. Blocks are never used twice, so that whoever touches a freed one is seen; each is preceded by a POOL_HEADER
    /// (BlockSize +2, PoolType +3, PoolTag +4) and followed by a gap that belongs to nobody.
    /// </summary>
    public static ulong Allocate(Machine machine, uint type, ulong size, string tag) => Allocate(machine, type, size, TagOf(tag));

    public static ulong Allocate(Machine machine, uint type, ulong size, uint tag)
    {
        var m = machine.Memory;
        var paged = (type & 1) != 0;
        if (size == 0) size = 1;
        var next = paged ? NtData.PeekPaged(m) : NtData.PeekNonPaged(m);
        // From a page on, blocks are page aligned and have no header (learn.microsoft.com, ExAllocatePoolWithTag).
        var large = size >= 0x1000 - HeaderSize;
        var block = large ? (next + HeaderSize + Gap + 0xFFF) & ~0xFFFul : next + HeaderSize;
        var end = (block + size + Gap + 0xF) & ~0xFul;
        MapTo(m, next, end, paged ? PageAccess.Pageable : PageAccess.None);
        if (paged) NtData.TakePaged(m, end - next);
        else NtData.TakeNonPaged(m, end - next);
        var record = Record(machine, block, size, tag, paged);
        var header = block - HeaderSize;
        m.WriteU8(header + 2, (byte)Math.Min(0xFF, (size + HeaderSize + 0xF) / 0x10));
        m.WriteU8(header + 3, (byte)(2 | type & 1));
        m.WriteU32(header + 4, tag);
        m.WriteU64(header + 8, record.Address);
        m.WriteShadow(block, size, 0);
        return block;
    }

    /// <summary>Bytes of an allocation.</summary>
    public static ulong SizeOf(GuestMemory m, ulong block) => RecordOf(m, block).Length;

    /// <summary>Frees pool. What never was an allocation stops the machine as BAD_POOL_CALLER does.</summary>
    public static void Free(Machine machine, ulong block)
    {
        var m = machine.Memory;
        if (!IsPool(block) || m.AccessOf(block) == PageAccess.None || (m.ReadU8(block - HeaderSize + 3) & 2) == 0 || RecordOf(m, block).Block != block)
            throw new BugCheckException(0xC2, 0x46, block, 0, 0);
        var record = RecordOf(m, block);
        var by = machine.DriverStack();
        if (record.IsFreed)
            throw new DriverFaultException("double-free", by.Count > 0 ? machine.NameOf(by[0]) : "nt", $"The pool block at {new KernelAddress(block)} is freed a second time (Windows: bug check 0xC2, code 7).") { Block = Told(machine, record) };
        if (by.Count > 0 && InUse(machine, record) is { } use)
            throw new DriverFaultException("freed-while-in-use", machine.NameOf(by[0]), $"The pool block at {new KernelAddress(block)} is freed while {use} (Windows: bug check 0xC7 where it is found, else memory of somebody else is overwritten).") { Block = Told(machine, record) };
        record.IsFreed = true;
        record.FreedBy = by;
        m.WriteShadow(block, record.Length, ShadowFreed);
    }

    /// <summary>What nt would go on using of a block that its driver frees; null: nothing.</summary>
    private static string? InUse(Machine machine, PoolRecord record)
    {
        var m = machine.Memory;
        bool Holds(ulong address) => address - record.Block < record.Length;
        foreach (var timer in Ke.ActiveTimers(m))
        {
            if (Holds(timer.Address)) return $"the timer in it, at {new KernelAddress(timer.Address)}, is counting";
            if (timer.Dpc != 0 && Holds(timer.Dpc)) return $"the DPC in it, at {new KernelAddress(timer.Dpc)}, belongs to a timer that is counting";
        }
        foreach (var p in machine.Processors)
            foreach (var entry in NtData.DpcList(m, p.Number).Entries())
                if (Holds(entry)) return $"the DPC in it, at {new KernelAddress(entry - 8)}, is queued";
        foreach (var item in NtData.WorkItems(m).Entries())
            if (Holds(item)) return $"the work item in it, at {new KernelAddress(item)}, is queued";
        foreach (var resource in NtData.Resources(m).Entries())
            if (Holds(resource)) return $"the ERESOURCE in it, at {new KernelAddress(resource)}, has not been deleted";
        foreach (var entry in NtData.Lookasides(m).Entries())
            if (Holds(entry)) return $"the lookaside list in it, at {new KernelAddress(entry - LookasideEntry)}, has not been deleted";
        foreach (var (thread, awaited) in Ke.Waits(m))
            if (Holds(awaited)) return $"thread {thread.UniqueThread} waits for the object in it, at {new KernelAddress(awaited)}";
        return null;
    }

    /// <summary>nt is about to write where a driver has told it to: that must not have been freed in the meantime.</summary>
    public static void RequireAlive(Machine machine, ulong address, string what)
    {
        var m = machine.Memory;
        if (!IsPool(address) || m.ReadShadow(address) != ShadowFreed || BlockAt(m, address) is not { } block) return;
        var by = block.FreedBy is [var first, ..] ? machine.NameOf(first) : machine.ModuleOf(new DriverObject(m, NtData.DriverUnderTest(m)).DriverStart);
        throw new DriverFaultException("freed-while-in-use", by, $"The pool block at {new KernelAddress(block.Block)} was freed while an IRP was pending whose {what}, at {new KernelAddress(address)}, is in it: nt writes there now.") { Block = Told(machine, block) };
    }

    /// <summary>Every allocation that ever was, in the order in which they were made.</summary>
    public static IEnumerable<PoolRecord> Records(GuestMemory m)
    {
        for (var at = AddressMap.PoolRecords; at < NtData.PeekPoolRecord(m); at += PoolRecord.Size) yield return new PoolRecord(m, at);
    }

    /// <summary>The block that an address lies in, or just outside of; null when it isn't pool.</summary>
    public static PoolRecord? BlockAt(GuestMemory m, ulong address)
    {
        if (!IsPool(address)) return null;
        PoolRecord? before = null, after = null;
        foreach (var record in Records(m))
        {
            if (record.Block <= address && (before is not { } b || b.Block < record.Block)) before = record;
            if (record.Block > address && (after is not { } a || a.Block > record.Block)) after = record;
        }
        // The header belongs to the block behind it.
        return after is { } next && next.Block - address <= HeaderSize ? next : before;
    }

    /// <summary>An allocation as evidence tells it.</summary>
    public static PoolBlock Told(Machine machine, PoolRecord record) => new(
        new(record.Block), record.Length, TagText(record.Tag), record.IsPaged ? "paged" : "nonpaged",
        [.. record.AllocatedBy.Select(machine.NameOf)], record.IsFreed ? [.. record.FreedBy.Select(machine.NameOf)] : null);

    public static bool IsPool(ulong address) => address >= AddressMap.NonPagedPool && address < AddressMap.PagedPool + 0x100_00000000;

    private static PoolRecord RecordOf(GuestMemory m, ulong block) => new(m, m.ReadU64(block - 8));

    private static PoolRecord Record(Machine machine, ulong block, ulong size, uint tag, bool paged)
    {
        var m = machine.Memory;
        var at = NtData.TakePoolRecord(m, PoolRecord.Size);
        MapTo(m, at, at + PoolRecord.Size, PageAccess.None);
        var by = machine.DriverStack();
        return new PoolRecord(m, at) { Block = block, Length = size, Tag = tag, IsPaged = paged, AllocatedBy = by };
    }

    /// <summary>The driver that called the routine which runs has to free this block, or to have it freed, before it is unloaded.</summary>
    public static ulong OwnedByCaller(Machine machine, ulong block)
    {
        var record = RecordOf(machine.Memory, block);
        if (record.AllocatedBy is [var first, ..]) record.Owner = machine.ImageOf(first);
        return block;
    }

    /// <summary>Four characters as a pool tag.</summary>
    public static uint TagOf(string tag) => (uint)(tag[0] | tag[1] << 8 | tag[2] << 16 | tag[3] << 24);

    private static string TagText(uint tag) => string.Concat(Enumerable.Range(0, 4).Select(i => (char)(tag >> (8 * i) & 0x7F)).Select(c => c is < ' ' or '\x7f' ? '.' : c));

    private static void MapTo(GuestMemory m, ulong from, ulong end, PageAccess more)
    {
        var first = (from + 0xFFF) & ~0xFFFul;
        var last = (end + 0xFFF) & ~0xFFFul;
        if (last <= first) return;
        m.Map(first, last - first, PageAccess.Read | PageAccess.Write | more);
        m.WriteShadow(first, last - first, ShadowOutside);
    }

    /// <summary>For a driver: what the block holds is nobody's business until the driver has written it.</summary>
    private static ulong AllocateFresh(Processor p, uint type, ulong size, uint tag)
    {
        var block = Allocate(p.Machine, type, size, tag);
        p.Memory.WriteShadow(block, Math.Max(size, 1), GuestMemory.Undefined);
        return OwnedByCaller(p.Machine, block);
    }

    private static ulong AllocateZeroed(Processor p, uint type, ulong size, uint tag)
    {
        var block = Allocate(p.Machine, type, size, tag);
        p.Memory.Fill(block, size, 0);
        return OwnedByCaller(p.Machine, block);
    }

    private static Next FreePool(Processor p)
    {
        Free(p.Machine, p.Arg(0));
        return p.Return();
    }

    // ExFreePoolWithTag(P, Tag): Windows compares the tag only where Driver Verifier or a protected tag asks for it.
    private static Next FreeTagged(Processor p)
    {
        var (block, tag) = (p.Arg(0), p.Arg32(1));
        Free(p.Machine, block);
        if (tag != 0 && RecordOf(p.Memory, block) is var record && record.Tag != tag)
        {
            p.Machine.Log(new DriverFault("wrong-pool-tag", p.Machine.CallerOf(p), $"The pool block at {new KernelAddress(block)} was allocated with tag '{TagText(record.Tag)}' and is freed with tag '{TagText(tag)}'.", Fatal: false, [])
            {
                Block = Told(p.Machine, record),
            });
        }
        return p.Return();
    }
}
