using System.Buffers.Binary;

namespace Harness.Core.Dumps;

/// <summary>Where a file keeps the machine's physical memory.</summary>
internal abstract class PhysicalMemory(FileBytes file)
{
    public const int PageSize = 0x1000;

    /// <summary>Bytes the file holds.</summary>
    public abstract ulong Size { get; }

    /// <summary>Physical addresses of all its pages, ascending.</summary>
    public abstract IEnumerable<ulong> Pages { get; }

    /// <summary>Where in the file a physical address is; null when the file doesn't have its page.</summary>
    public abstract ulong? OffsetOf(ulong physical);

    /// <summary>Reads within one page; false when the file doesn't have it.</summary>
    public bool TryRead(ulong physical, Span<byte> destination) => OffsetOf(physical) is { } offset && file.TryRead(offset, destination);

    public ulong? UInt64(ulong physical)
    {
        Span<byte> bytes = stackalloc byte[8];
        return TryRead(physical, bytes) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : null;
    }
}

/// <summary>A run of physical memory that lies in the file in one piece.</summary>
/// <param name="Physical">Its first address.</param>
/// <param name="Length">In bytes.</param>
/// <param name="Offset">Where it begins in the file.</param>
internal readonly record struct MemoryRun(ulong Physical, ulong Length, ulong Offset);

/// <summary>Physical memory in runs: full dumps, range dumps, ELF cores, raw images.</summary>
internal sealed class RunMemory : PhysicalMemory
{
    private readonly MemoryRun[] _runs;

    /// <exception cref="UnusableDumpException">The runs contradict each other or the file's length.</exception>
    public RunMemory(FileBytes file, IEnumerable<MemoryRun> runs) : base(file)
    {
        _runs = [.. runs.Where(run => run.Length > 0).OrderBy(run => run.Physical)];
        ulong end = 0;
        foreach (var run in _runs)
        {
            if (run.Physical > Limit || run.Length > Limit) throw new UnusableDumpException($"is damaged: it tells of memory at 0x{run.Physical:x}, which no processor has");
            if (run.Physical < end) throw new UnusableDumpException($"is damaged: it tells of the memory at 0x{run.Physical:x} twice");
            end = run.Physical + run.Length;
            Size += run.Length;
            if (run.Offset > (ulong)file.Length || run.Length > (ulong)file.Length - run.Offset)
                throw Truncated.At(run.Offset + run.Length, file.Length);
        }

        if (_runs.Length == 0) throw new UnusableDumpException("holds no memory");
    }

    /// <summary>x64 has 52 bits of physical address (Intel SDM volume 3, 4.1.4).</summary>
    private const ulong Limit = 1UL << 52;

    public override ulong Size { get; }

    public override IEnumerable<ulong> Pages
    {
        get
        {
            foreach (var run in _runs)
                for (var page = (run.Physical + PageSize - 1) & ~(PageSize - 1UL); page + PageSize <= run.Physical + run.Length; page += PageSize) yield return page;
        }
    }

    public override ulong? OffsetOf(ulong physical)
    {
        int low = 0, high = _runs.Length;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_runs[middle].Physical <= physical) low = middle + 1;
            else high = middle;
        }

        if (low == 0) return null;
        var run = _runs[low - 1];
        // Of a page that is there in part, nothing is told.
        var page = physical & ~(PageSize - 1UL);
        return page >= run.Physical && page + PageSize - run.Physical <= run.Length ? run.Offset + (physical - run.Physical) : null;
    }
}

/// <summary>Physical memory by a bitmap: the page of the n-th set bit is the file's n-th page.</summary>
internal sealed class BitmapMemory : PhysicalMemory
{
    /// <summary>Bits that share one count of the pages before them.</summary>
    private const int BlockBits = 4096;

    private readonly FileBytes _file;
    private readonly ulong _bitmap;
    private readonly ulong _bits;
    private readonly ulong _firstPage;
    private readonly uint[] _before;

    /// <param name="file">The file.</param>
    /// <param name="bitmap">Where the bitmap begins.</param>
    /// <param name="bits">Its length in bits: the highest page frame number and one.</param>
    /// <param name="firstPage">Where the pages begin.</param>
    /// <exception cref="UnusableDumpException">The bitmap or the pages it tells of are not in the file.</exception>
    public BitmapMemory(FileBytes file, ulong bitmap, ulong bits, ulong firstPage) : base(file)
    {
        (_file, _bitmap, _bits, _firstPage) = (file, bitmap, bits, firstPage);
        if (bits == 0 || bits / 8 > (ulong)file.Length || bitmap + ((bits + 7) / 8) > firstPage) throw new UnusableDumpException($"is damaged: it tells of a page bitmap of {bits} bits, which do not fit before its pages");
        _before = new uint[(bits + BlockBits - 1) / BlockBits];
        ulong pages = 0;
        Span<byte> block = stackalloc byte[BlockBits / 8];
        for (var i = 0; i < _before.Length; i++)
        {
            _before[i] = (uint)pages;
            pages += (uint)Count(Read((uint)i, block), BlockBits);
            if (pages > uint.MaxValue) throw new UnusableDumpException("is damaged: its page bitmap tells of more than 16 TiB");
        }

        Size = pages * PageSize;
        if (pages == 0) throw new UnusableDumpException("holds no memory");
        if (firstPage > (ulong)file.Length || Size > (ulong)file.Length - firstPage) throw Truncated.At(firstPage + Size, file.Length);
    }

    public override ulong Size { get; }

    public override IEnumerable<ulong> Pages
    {
        get
        {
            var block = new byte[BlockBits / 8];
            for (var i = 0; i < _before.Length; i++)
            {
                // Read answers with a part of the block.
                var length = Read((uint)i, block).Length;
                for (var bit = 0; bit < length * 8; bit++)
                    if ((block[bit / 8] >> (bit % 8) & 1) != 0) yield return (((ulong)i * BlockBits) + (ulong)bit) * PageSize;
            }
        }
    }

    public override ulong? OffsetOf(ulong physical)
    {
        var frame = physical / PageSize;
        if (frame >= _bits) return null;
        Span<byte> block = stackalloc byte[BlockBits / 8];
        var index = (uint)(frame / BlockBits);
        var bytes = Read(index, block);
        var bit = (int)(frame % BlockBits);
        if (bit / 8 >= bytes.Length || (bytes[bit / 8] >> (bit % 8) & 1) == 0) return null;
        return _firstPage + ((_before[index] + (ulong)Count(bytes, bit)) * PageSize) + (physical % PageSize);
    }

    private ReadOnlySpan<byte> Read(uint index, Span<byte> block)
    {
        var bits = Math.Min(BlockBits, _bits - ((ulong)index * BlockBits));
        var bytes = block[..(int)((bits + 7) / 8)];
        if (!_file.TryRead(_bitmap + ((ulong)index * (BlockBits / 8)), bytes)) return [];
        // Bits past the bitmap's length are nobody's.
        if (bits % 8 != 0) bytes[^1] &= (byte)((1 << (int)(bits % 8)) - 1);
        return bytes;
    }

    /// <summary>The set bits among the first so many.</summary>
    private static int Count(ReadOnlySpan<byte> bytes, int bits)
    {
        var count = 0;
        var whole = Math.Min(bits / 8, bytes.Length);
        var rest = bytes[..whole];
        for (; rest.Length >= 8; rest = rest[8..]) count += System.Numerics.BitOperations.PopCount(BinaryPrimitives.ReadUInt64LittleEndian(rest));
        foreach (var one in rest) count += System.Numerics.BitOperations.PopCount(one);
        if (whole < bytes.Length && bits % 8 != 0) count += System.Numerics.BitOperations.PopCount((uint)(bytes[whole] & ((1 << (bits % 8)) - 1)));
        return count;
    }
}

internal static class Truncated
{
    public static UnusableDumpException At(ulong needed, long length) =>
        new($"is cut off: it should have at least {needed} bytes and has {length}; copy it again, or raise the size of the dump file on that machine");
}
