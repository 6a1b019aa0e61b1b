using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// An ELF core of a whole machine, as QEMU's dump-guest-memory and VirtualBox's dumpvmcore write it: PT_LOAD segments are physical memory, and
/// QEMU's notes hold each processor's control registers.
/// </summary>
internal static class ElfCore
{
    private const uint Magic = 0x464C457F;
    private const ushort Core = 4, Amd64 = 62;
    private const uint Load = 1, Note = 4;

    /// <summary>NT_PRPSINFO of notes named "CORE" (elf.h): what program a process runs, which no machine has.</summary>
    private const uint ProcessInformation = 3;

    /// <summary>e_phnum when the number is in the first section header instead.</summary>
    private const ushort Extended = 0xFFFF;
    private const uint MostSegments = 0x1_0000;
    private const int MostNotes = 4096;

    /// <summary>QEMUCPUState: version, size, 18 registers of 8 bytes, 10 segments of 24, then CR0…CR4.</summary>
    private const uint StateSize = 440, Cr3 = 416, Cr4 = 424;

    public static bool Recognizes(FileBytes file) => file.UInt32(0) == Magic;

    public static MachineMemory Read(FileBytes file, ISymbols? symbols)
    {
        if (file.Length < 0x40) throw Truncated.At(0x40, file.Length);
        if (file.Byte(4) is not 2 || file.UInt16(0x12) is not Amd64) throw new UnusableDumpException("is an ELF file, but not of an x64 machine");
        if (file.UInt16(0x10) is not Core) throw new UnusableDumpException("is an ELF program, not a core of a machine's memory");
        if (file.UInt64(0x20) is not { } table || file.UInt16(0x36) is not { } size || file.UInt16(0x38) is not { } few) throw Truncated.At(0x40, file.Length);
        uint count = few;
        if (few == Extended && file.UInt64(0x28) is { } sections && sections < (ulong)file.Length && file.UInt32(sections + 0x2C) is { } many) count = many;
        if (size < 0x38 || count > MostSegments || table > (ulong)file.Length) throw new UnusableDumpException($"is damaged: it tells of {count} ELF segments of {size} bytes");

        var runs = new List<MemoryRun>();
        var tables = new List<(ulong, int)>();
        for (uint i = 0; i < count; i++)
        {
            var at = table + ((ulong)i * size);
            if (file.UInt32(at) is not { } type || file.UInt64(at + 8) is not { } offset || file.UInt64(at + 0x18) is not { } physical || file.UInt64(at + 0x20) is not { } length)
                throw Truncated.At(table + ((ulong)count * size), file.Length);
            if (type == Load) runs.Add(new MemoryRun(physical, length, offset));
            else if (type == Note) ReadNotes(file, offset, length, tables);
        }

        return KernelSearch.Find(new RunMemory(file, runs), "ELF core of a machine", tables, symbols);
    }

    private static void ReadNotes(FileBytes file, ulong at, ulong length, List<(ulong, int)> tables)
    {
        if (at > (ulong)file.Length || length > (ulong)file.Length - at) throw Truncated.At(at + Math.Min(length, ulong.MaxValue - at), file.Length);
        var end = at + length;
        Span<byte> name = stackalloc byte[4];
        for (var i = 0; i < MostNotes && at + 12 <= end; i++)
        {
            if (file.UInt32(at) is not { } nameSize || file.UInt32(at + 4) is not { } size) return;
            var content = at + 12 + ((nameSize + 3UL) & ~3UL);
            if (nameSize == 5 && file.UInt32(at + 8) == ProcessInformation && file.TryRead(at + 12, name) && name.SequenceEqual("CORE"u8))
                throw new UnusableDumpException("is a core of one process: it holds nothing of the kernel; write the memory of the machine (QEMU's dump-guest-memory)");
            if (nameSize == 5 && size >= StateSize && file.TryRead(at + 12, name) && name.SequenceEqual("QEMU"u8) && file.UInt64(content + Cr3) is { } cr3 && file.UInt64(content + Cr4) is { } cr4)
                tables.Add((cr3 & ~0xFFFUL, KernelSearch.Levels(cr4)));
            at = content + ((size + 3UL) & ~3UL);
        }
    }
}
