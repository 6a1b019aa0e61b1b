using System.Buffers.Binary;

namespace Emulation.Tests.Dumps;

/// <summary>Reads a dump as a debugger does: physical pages by runs or by bitmap, virtual ones by a walk through the page tables. Shares nothing with the writer.</summary>
internal sealed class DumpReader
{
    private readonly byte[] _file;
    private readonly Dictionary<ulong, int> _pages = [];

    public DumpReader(IEnumerable<ReadOnlyMemory<byte>> pieces)
    {
        using var stream = new MemoryStream();
        foreach (var piece in pieces) stream.Write(piece.Span);
        _file = stream.ToArray();
        if (U32(0xF98) == 1) FindRuns();
        else FindBits();
    }

    public byte[] Bytes => _file;

    /// <summary>Page frames in the file, in its order.</summary>
    public IReadOnlyCollection<ulong> Frames => _pages.Keys;

    /// <summary>Runs of a full dump.</summary>
    public List<(ulong Base, ulong Count)> Runs { get; } = [];

    /// <summary>Where the file's pages end.</summary>
    public int End { get; private set; }

    public uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_file.AsSpan(at));

    public ulong U64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(_file.AsSpan(at));

    public ReadOnlySpan<byte> Frame(ulong frame) => _file.AsSpan(_pages[frame], 4096);

    /// <summary>The page table entry of an address; 0: there is none.</summary>
    public ulong Entry(ulong directory, ulong address)
    {
        var entry = directory | 1;
        for (var shift = 39; shift >= 12; shift -= 9)
        {
            if ((entry & 1) == 0) return 0;
            entry = BinaryPrimitives.ReadUInt64LittleEndian(Frame(entry >> 12 & 0xF_FFFF_FFFF)[((int)(address >> shift & 511) * 8)..]);
        }
        return (entry & 1) == 0 ? 0 : entry;
    }

    private void FindRuns()
    {
        var at = 0x2000;
        for (var i = 0; i < (int)U32(0x88); i++)
        {
            var (first, count) = (U64(0x98 + (i * 16)), U64(0xA0 + (i * 16)));
            Runs.Add((first, count));
            for (var frame = first; frame < first + count; frame++, at += 4096) _pages.Add(frame, at);
        }
        End = at;
    }

    private void FindBits()
    {
        var at = (int)U64(0x2020);
        for (var bit = 0ul; bit < U64(0x2030); bit++)
        {
            if ((_file[0x2038 + (int)(bit / 8)] >> (int)(bit % 8) & 1) == 0) continue;
            _pages.Add(bit, at);
            at += 4096;
        }
        End = at;
    }
}
