using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>Kernel memory whose physical pages can be gone through one by one, whether an address leads to them or not.</summary>
public interface IPhysicalPages : IKernelMemory
{
    /// <summary>Physical addresses of the pages that are there, ascending, each 4 KiB.</summary>
    IEnumerable<ulong> Pages { get; }

    /// <summary>Reads physical memory within one page; false when it is absent.</summary>
    bool TryReadPhysical(ulong physical, Span<byte> destination);

    /// <summary>The physical address behind a virtual one; null when there is none.</summary>
    ulong? PhysicalOf(KernelAddress address);
}

/// <summary>IRPs and processes that no list leads to, found by their pool tags.</summary>
/// <param name="Irps">IRPs that a driver has: their current stack location is one of theirs.</param>
/// <param name="Processes">EPROCESS.</param>
internal sealed record PoolFinds(IReadOnlyList<KernelAddress> Irps, IReadOnlyList<KernelAddress> Processes);

/// <summary>
/// Looks through all physical memory for pool blocks with the tags of IRPs and processes (pooltag.txt of the debugging tools: "Irp?", "Proc").
/// A block's virtual address follows from what it says of itself, and counts only when the page tables lead back to the same bytes: what
/// was freed or copied mostly fails that. A block that begins in the last bytes of a page, so that the fields asked for are on the next, is missed.
/// </summary>
internal sealed class PoolSearch(IPhysicalPages memory, NtLayout layout)
{
    private const int PageSize = 0x1000, MostFinds = 65536;

    /// <summary>KPROCESS.ProfileListHead (public symbols, every build): a list head that is empty unless the process is being profiled.</summary>
    private const int ProfileListHead = 0x18;

    private const byte ProcessObject = 3;

    /// <summary>Optional headers and OBJECT_HEADER lie between a pool block's begin and an object: at most so many bytes (public symbols: the sum of all of them).</summary>
    private const int MostBeforeObject = 0xA0;

    public PoolFinds Find()
    {
        List<KernelAddress> irps = [], processes = [];
        var page = new byte[PageSize];
        foreach (var physical in memory.Pages)
        {
            if (irps.Count + processes.Count >= MostFinds) break;
            if (!memory.TryReadPhysical(physical, page)) continue;
            foreach (var block in Tagged(page, "Irp"u8))
                if (Irp(page, block) is { } irp && memory.PhysicalOf(irp) == physical + (ulong)block) irps.Add(irp);
            foreach (var block in Tagged(page, "Proc"u8))
                for (var at = block + (int)layout.ObjectHeader.Body; at <= block + MostBeforeObject; at += PoolHeaderLayout.Alignment)
                    if (Process(page, at) is { } process && memory.PhysicalOf(process) == physical + (ulong)at) processes.Add(process);
        }

        return new PoolFinds(irps, processes);
    }

    /// <summary>Where in the page the bodies of blocks with a tag begin.</summary>
    private static List<int> Tagged(ReadOnlySpan<byte> page, ReadOnlySpan<byte> tag)
    {
        List<int> found = [];
        for (var from = 0; from < page.Length; from++)
        {
            var next = page[from..].IndexOf(tag);
            if (next < 0) break;
            from += next;
            if (from % PoolHeaderLayout.Alignment != PoolHeaderLayout.PoolTag) continue;
            var header = from - PoolHeaderLayout.PoolTag;
            if (page[header + PoolHeaderLayout.PoolType] != 0 && header + PoolHeaderLayout.SizeInBytes < PageSize) found.Add(header + PoolHeaderLayout.SizeInBytes);
        }

        return found;
    }

    private KernelAddress? Irp(ReadOnlySpan<byte> page, int at)
    {
        if (at + layout.Irp.SizeInBytes > PageSize) return null;
        var irp = page[at..];
        if (BinaryPrimitives.ReadUInt16LittleEndian(irp[(int)layout.Irp.Type..]) != IrpLayout.TypeCode) return null;
        int size = BinaryPrimitives.ReadUInt16LittleEndian(irp[(int)layout.Irp.Size..]), count = irp[(int)layout.Irp.StackCount], current = irp[(int)layout.Irp.CurrentLocation];
        if (current < 1 || current > count || size < layout.Irp.SizeInBytes + (count * layout.StackLocation.SizeInBytes)) return null;
        var location = BinaryPrimitives.ReadUInt64LittleEndian(irp[(int)layout.Irp.CurrentStackLocation..]);
        return new KernelAddress(location) - layout.Irp.SizeInBytes - ((ulong)(current - 1) * layout.StackLocation.SizeInBytes);
    }

    private static KernelAddress? Process(ReadOnlySpan<byte> page, int at)
    {
        if (at + ProfileListHead + 16 > PageSize || (page[at] & 0x7F) != ProcessObject) return null;
        var head = BinaryPrimitives.ReadUInt64LittleEndian(page[(at + ProfileListHead)..]);
        return head == BinaryPrimitives.ReadUInt64LittleEndian(page[(at + ProfileListHead + 8)..]) ? new KernelAddress(head) - ProfileListHead : null;
    }
}
