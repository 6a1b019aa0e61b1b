using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// What Windows writes when it stops or is asked for a live dump: DUMP_HEADER64 (8 KiB) and a body of one of five kinds. The ranges' places are
/// those of kdmp-parser and of files that dbgeng wrote.
/// </summary>
internal static class CrashDump
{
    public const uint HeaderSize = DumpHeaderLayout.SizeInBytes;

    private const uint PhysicalMemoryBlock = DumpHeaderLayout.PhysicalMemoryBlock, Runs = PhysicalMemoryBlock + 0x10, MostRuns = DumpHeaderLayout.MostRuns;

    /// <summary>Words of the header that nobody set hold 'PAGE'.</summary>
    private const uint Unset = 0x45474150;

    private const uint AMD64 = 0x8664, ARM64 = 0xAA64;

    public static bool Recognizes(FileBytes file) => Is(file, 0, "PAGEDU64");

    /// <exception cref="UnusableDumpException">It is not one whose memory can be read.</exception>
    public static MachineMemory Read(FileBytes file, ISymbols? symbols)
    {
        if (file.Length < HeaderSize) throw Truncated.At(HeaderSize, file.Length);
        var machine = file.UInt32(DumpHeaderLayout.MachineImageType)!.Value;
        if (machine == ARM64) throw new UnusableDumpException("is a dump of an ARM64 machine; only x64 is read");
        if (machine != AMD64) throw new UnusableDumpException($"is a dump of a machine of type 0x{machine:x}; only x64 (0x8664) is read");

        var build = (int)(file.UInt32(DumpHeaderLayout.MinorVersion)!.Value & 0xFFFF);
        var header = new MachineMemory("", build, new(file.UInt64(DumpHeaderLayout.PsActiveProcessHead)!.Value), new(file.UInt64(DumpHeaderLayout.PsLoadedModuleList)!.Value))
        {
            Processors = (int)Math.Min(file.UInt32(DumpHeaderLayout.NumberProcessors)!.Value, 0xFFFF),
            BugCheck = file.UInt32(DumpHeaderLayout.BugCheckCode)!.Value,
            BugCheckParameters = [.. Enumerable.Range(0, 4).Select(i => file.UInt64(DumpHeaderLayout.BugCheckParameter1 + (8 * (uint)i))!.Value)],
            DebuggerData = new(file.UInt64(DumpHeaderLayout.KdDebuggerDataBlock)!.Value),
            DirectoryTable = file.UInt64(DumpHeaderLayout.DirectoryTableBase)!.Value,
        };

        var type = file.UInt32(DumpHeaderLayout.DumpType)!.Value;
        var found = type switch
        {
            1 => Paged(header, file, "complete memory dump", RunsOfHeader(file)),
            5 => Paged(header, file, "active memory dump (bitmap)", Bitmap(file, header.Notes)),
            6 => Paged(header, file, "kernel memory dump (bitmap)", Bitmap(file, header.Notes)),
            7 => Paged(header, file, "automatic memory dump (bitmap)", Bitmap(file, header.Notes)),
            8 or 9 or 0xA => Paged(header, file, "memory dump written by a debugger (ranges)", Ranges(file)),
            4 => TriageDump.Read(file, header),
            2 => throw new UnusableDumpException("is a summary dump of an old Windows, which is not read; set the machine to write an automatic or kernel memory dump"),
            3 => throw new UnusableDumpException("is a header-only dump: there is no memory in it; set the machine to write an automatic or kernel memory dump"),
            _ => throw new UnusableDumpException($"is a dump of the unknown type {type}; full, kernel, automatic, active and debugger-written dumps are read"),
        };
        return KernelLayout.Known(found, symbols);
    }

    private static MachineMemory Paged(MachineMemory header, FileBytes file, string kind, PhysicalMemory physical)
    {
        // Nothing in the header says whether addresses have four levels or five; the right one leads to a sound list head.
        foreach (var levels in (int[])[4, 5])
        {
            var memory = new PagedMemory(physical, new PageTables(physical, header.DirectoryTable, levels));
            if (IsListHead(memory, header.ActiveProcessHead)) return header with { Kind = kind, Memory = memory, PhysicalBytes = physical.Size };
        }

        throw new UnusableDumpException($"is damaged: its directory table 0x{header.DirectoryTable:x} does not lead to a process list at {header.ActiveProcessHead}; write the dump again");
    }

    /// <summary>The first entry points back to the head.</summary>
    internal static bool IsListHead(VirtualMemory memory, KernelAddress head) =>
        head.IsKernel && Pointer(memory, head) is { IsKernel: true } first && Pointer(memory, first + 8) == head;

    private static KernelAddress? Pointer(VirtualMemory memory, KernelAddress at)
    {
        Span<byte> bytes = stackalloc byte[8];
        return memory.TryRead(at, bytes) ? new KernelAddress(BinaryPrimitives.ReadUInt64LittleEndian(bytes)) : null;
    }

    private static RunMemory RunsOfHeader(FileBytes file)
    {
        var count = file.UInt32(PhysicalMemoryBlock)!.Value;
        if (count is Unset or 0 or > MostRuns) throw new UnusableDumpException($"is damaged: its header tells of {count} runs of memory (at most {MostRuns} fit)");
        return new RunMemory(file, Consecutive(file, Runs, count, HeaderSize));
    }

    private static BitmapMemory Bitmap(FileBytes file, List<string> notes)
    {
        if (!(Is(file, HeaderSize, "SDMP") || Is(file, HeaderSize, "FDMP")) || !Is(file, HeaderSize + 4, "DUMP"))
            throw new UnusableDumpException("is damaged: its page bitmap does not begin with 'SDMPDUMP' or 'FDMPDUMP'");
        if (file.UInt64(HeaderSize + BitmapDumpLayout.HeaderSize) is not { } firstPage || file.UInt64(HeaderSize + BitmapDumpLayout.Pages) is not { } pages || file.UInt64(HeaderSize + BitmapDumpLayout.BitmapSize) is not { } bits)
            throw Truncated.At(HeaderSize + BitmapDumpLayout.Bitmap, file.Length);
        if (firstPage > (ulong)file.Length) throw Truncated.At(firstPage, file.Length);
        var memory = new BitmapMemory(file, HeaderSize + BitmapDumpLayout.Bitmap, bits, firstPage);
        if (memory.Size / PhysicalMemory.PageSize != pages) notes.Add($"the dump's header tells of {pages} pages, its bitmap of {memory.Size / PhysicalMemory.PageSize}");
        return memory;
    }

    private static RunMemory Ranges(FileBytes file)
    {
        if (!Is(file, HeaderSize + 4, "RDMP") || !Is(file, HeaderSize + 8, "DUMP")) throw new UnusableDumpException("is damaged: its ranges do not begin with 'RDMPDUMP'");
        if (file.UInt64(HeaderSize + 0x10) is not { } metadata || file.UInt64(HeaderSize + 0x18) is not { } firstPage || file.UInt64(HeaderSize + 0x20) is not { } count)
            throw Truncated.At(HeaderSize + 0x30, file.Length);
        // The metadata are the number of ranges, the number of pages, and the ranges.
        if (count == 0 || metadata < 0x10 || count > (metadata - 0x10) / 0x10 || metadata > (ulong)file.Length) throw new UnusableDumpException($"is damaged: it tells of {count} ranges of memory in {metadata} bytes");
        return new RunMemory(file, Consecutive(file, HeaderSize + 0x30, count, firstPage));
    }

    /// <summary>Pairs of first page and number of pages, whose pages lie in the file one run after the other.</summary>
    private static List<MemoryRun> Consecutive(FileBytes file, ulong table, ulong count, ulong firstPage)
    {
        var runs = new List<MemoryRun>();
        var offset = firstPage;
        for (ulong i = 0; i < count; i++)
        {
            if (file.UInt64(table + (i * 16)) is not { } page || file.UInt64(table + (i * 16) + 8) is not { } pages) throw Truncated.At(table + (count * 16), file.Length);
            if (page >> 40 != 0 || pages >> 40 != 0) throw new UnusableDumpException($"is damaged: it tells of {pages} pages at page 0x{page:x}, which no processor has");
            runs.Add(new MemoryRun(page * PhysicalMemory.PageSize, pages * PhysicalMemory.PageSize, offset));
            offset += pages * PhysicalMemory.PageSize;
            if (offset > (ulong)file.Length) throw Truncated.At(offset, file.Length);
        }

        return runs;
    }

    private static bool Is(FileBytes file, ulong offset, string text)
    {
        Span<byte> bytes = stackalloc byte[text.Length];
        if (!file.TryRead(offset, bytes)) return false;
        for (var i = 0; i < text.Length; i++)
            if (bytes[i] != text[i]) return false;
        return true;
    }
}
