using System.Buffers.Binary;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// Finds the kernel in physical memory that comes without a dump header: a directory table, the kernel image in its address space, and from
/// the image's exports the lists. A table counts only when it leads to all of that.
/// </summary>
internal static class KernelSearch
{
    /// <summary>Where Windows 10 and 11 map the kernel and drivers.</summary>
    private const ulong ImagesFrom = 0xFFFFF800_00000000, ImagesTo = 0xFFFFF880_00000000;

    // What a hostile file may cost: a machine's own tables need less than a tenth of it.
    private const int MostSteps = 16_000_000, MostReads = 8_000_000, MostKernels = 4, MostTables = 4096;

    /// <summary>Pages in which a self-referencing table is looked for, from the lowest: 4 GiB. Windows allocates the System process's early.</summary>
    private const int MostPages = 1 << 20;

    private const ulong LowMemory = 0x10_0000;

    /// <exception cref="UnusableDumpException">No table leads to a kernel.</exception>
    public static MachineMemory Find(RunMemory physical, string kind, IEnumerable<(ulong Table, int Levels)> told, ISymbols? symbols)
    {
        string? reason = null;
        var reasons = 0;
        var tried = new HashSet<(ulong, int)>();
        foreach (var candidate in told.Concat(LowStubs(physical)).Concat(SelfReferencing(physical)))
        {
            if (!tried.Add(candidate)) continue;
            if (tried.Count > MostTables) break;
            var memory = new PagedMemory(physical, new PageTables(physical, candidate.Table, candidate.Levels));
            if (Look(memory, symbols, out var why) is { } found)
                return found with { Kind = kind, Memory = memory, PhysicalBytes = physical.Size, DirectoryTable = candidate.Table };
            if (why is null) continue;
            reason ??= why;
            if (++reasons == MostKernels) break;
        }

        throw new UnusableDumpException(reason is null
            ? "is no memory of Windows for x64, or none that can be read: no page table leads to a kernel; if it is compressed or encrypted, undo that first, and if it was cut off, take it again"
            : $"holds memory of Windows, but {reason}");
    }

    /// <summary>
    /// The stub by which processors are started lies in the first MiB and holds CR3 and CR4 of the System process (PROCESSOR_START_BLOCK; MemProcFS
    /// and Volatility find it by its first bytes, a far jump).
    /// </summary>
    private static IEnumerable<(ulong Table, int Levels)> LowStubs(RunMemory physical)
    {
        for (ulong page = PhysicalMemory.PageSize; page < LowMemory; page += PhysicalMemory.PageSize)
            if (physical.UInt64(page) is { } jump && (jump & 0xFFFFFFFF_FFFF00FF) == 0x00000001_000600E9 && physical.UInt64(page + 0xA0) is { } cr3 && cr3 != 0)
                yield return (cr3 & ~0xFFFUL, Levels(physical.UInt64(page + 0xA8) ?? 0));
    }

    /// <summary>Windows maps its page tables by an entry of the top table that leads to the table itself.</summary>
    private static IEnumerable<(ulong Table, int Levels)> SelfReferencing(RunMemory physical)
    {
        var upper = new byte[PhysicalMemory.PageSize / 2];
        foreach (var page in physical.Pages.Take(MostPages))
        {
            if (!physical.TryRead(page + (ulong)upper.Length, upper)) continue;
            if (IsSelfReferencing(upper, page)) yield return (page, 4);
        }
    }

    private static bool IsSelfReferencing(byte[] upper, ulong page)
    {
        for (var at = 0; at < upper.Length; at += 8)
        {
            var entry = BinaryPrimitives.ReadUInt64LittleEndian(upper.AsSpan(at));
            if ((entry & 1) != 0 && (entry & 0x0000_FFFF_FFFF_F000) == page) return true;
        }

        return false;
    }

    /// <summary>CR4.LA57.</summary>
    public static int Levels(ulong cr4) => (cr4 & (1UL << 12)) != 0 ? 5 : 4;

    /// <summary>Null without a reason: nothing like Windows. Null with one: Windows, but something is missing.</summary>
    private static MachineMemory? Look(PagedMemory memory, ISymbols? pdbs, out string? why)
    {
        why = null;
        var reader = new KernelMemoryReader(new UnnamedMemory(memory), MostReads);
        if (reader.UInt32(SharedUserData.At + SharedUserData.NtMajorVersion) is not 10 || reader.UInt32(SharedUserData.At + SharedUserData.NtBuildNumber) is not { } number) return null;
        var build = (int)(number & 0xFFFF);
        if (Kernel(memory, reader) is not { } kernel)
        {
            why = $"its kernel image (build {build}) was not found";
            return null;
        }

        var known = KernelLayout.Known(new MachineMemory("", build, KernelAddress.Null, KernelAddress.Null), kernel, pdbs);
        var layout = known.Layout!;
        var symbols = NtSymbols.OfPdb(kernel.Pdb);
        // The System process is the first on the list, so what lies before it is the head.
        if (kernel.Export("PsInitialSystemProcess") is not { } variable || reader.Pointer(variable) is not { } system
            || reader.Pointer(system + layout.EProcess.ActiveProcessLinks + 8) is not { } head || !CrashDump.IsListHead(memory, head))
        {
            why = $"its process list (build {build}) was not found from the kernel's exports";
            return null;
        }

        if ((kernel.Export("PsLoadedModuleList") ?? Symbol("PsLoadedModuleList")) is not { } modules || !CrashDump.IsListHead(memory, modules))
        {
            why = $"its module list (build {build}, PDB {(kernel.Pdb.Length > 0 ? kernel.Pdb : "unknown")}) was not found";
            return null;
        }

        return known with { ActiveProcessHead = head, LoadedModuleList = modules, DebuggerData = Symbol("KdDebuggerDataBlock") ?? KernelAddress.Null };

        KernelAddress? Symbol(string name) => (known.KernelSymbols?.AddressOf(name) ?? symbols[name]) is { } rva ? kernel.Base + rva : null;
    }

    private static MappedImage? Kernel(PagedMemory memory, KernelMemoryReader reader)
    {
        foreach (var page in memory.Tables.PresentPages(ImagesFrom, ImagesTo, MostSteps))
            if (MappedImage.At(reader, new(page)) is { ExportName: "ntoskrnl.exe" } kernel) return kernel;
        return null;
    }
}
