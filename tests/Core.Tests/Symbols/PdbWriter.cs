using System.Buffers.Binary;
using System.Text;

namespace Core.Tests.Symbols;

/// <summary>Writes PDBs with public symbols, as large or as odd as a test wants them: of an image that was rearranged, or without what one has.</summary>
internal sealed class PdbWriter
{
    public static readonly Guid Guid = new("01234567-89ab-cdef-0123-456789abcdef");

    private readonly List<byte> _records = [];
    private readonly List<(uint Address, uint Size)> _sections = [];

    public uint BlockSize { get; init; } = 4096;

    public uint Age { get; init; } = 3;

    /// <summary>The information stream's.</summary>
    public uint Writings { get; init; } = 5;

    /// <summary>Pairs of an address before and after; empty: the image is as it was linked.</summary>
    public List<(uint From, uint To)> Omap { get; } = [];

    public bool HasSectionHeaders { get; init; } = true;

    /// <summary>The type stream.</summary>
    public byte[] Types { get; init; } = [];

    /// <summary>Bytes of a stream that nobody reads.</summary>
    public int Filler { get; init; }

    public PdbWriter Section(uint address, uint size)
    {
        _sections.Add((address, size));
        return this;
    }

    public PdbWriter Public(ushort section, uint offset, string name, bool function = true)
    {
        Span<byte> head = stackalloc byte[14];
        var text = Encoding.UTF8.GetBytes(name);
        var length = (14 + text.Length + 1 + 3) & ~3;
        BinaryPrimitives.WriteUInt16LittleEndian(head, (ushort)(length - 2));
        BinaryPrimitives.WriteUInt16LittleEndian(head[2..], 0x110E);
        BinaryPrimitives.WriteUInt32LittleEndian(head[4..], function ? 2u : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(head[8..], offset);
        BinaryPrimitives.WriteUInt16LittleEndian(head[12..], section);
        _records.AddRange(head);
        _records.AddRange(text);
        _records.AddRange(new byte[length - 14 - text.Length]);
        return this;
    }

    public byte[] Build()
    {
        var information = new byte[28];
        Put(information, 0, 20000404);
        Put(information, 8, Writings);
        Guid.TryWriteBytes(information.AsSpan(12));
        var sections = new byte[_sections.Count * 40];
        foreach (var (i, (address, size)) in _sections.Index())
        {
            Put(sections, (i * 40) + 8, size);
            Put(sections, (i * 40) + 12, address);
        }

        var omap = new byte[Omap.Count * 8];
        foreach (var (i, (from, to)) in Omap.Index())
        {
            Put(omap, i * 8, from);
            Put(omap, (i * 8) + 4, to);
        }

        var optional = new byte[22];
        optional.AsSpan().Fill(0xFF);
        // The headers of a rearranged image are the new ones; the old ones have a place of their own.
        if (HasSectionHeaders) optional[5 * 2] = optional[(5 * 2) + 1] = 0;
        if (HasSectionHeaders) optional[Omap.Count > 0 ? 10 * 2 : 5 * 2] = 5;
        if (HasSectionHeaders && Omap.Count > 0) (optional[(10 * 2) + 1], optional[4 * 2], optional[(4 * 2) + 1], optional[5 * 2]) = (0, 6, 0, 7);
        var debug = new byte[64 + optional.Length];
        Put(debug, 0, uint.MaxValue);
        Put(debug, 4, 19990903);
        Put(debug, 8, Age);
        debug[20] = 4;
        Put(debug, 48, (uint)optional.Length);
        optional.CopyTo(debug, 64);
        return Container([[], information, Types, debug, [.. _records], sections, omap, new byte[_sections.Count * 40], new byte[Filler]]);
    }

    /// <summary>MSF: each stream's blocks lie backwards, so that hardly two are neighbours.</summary>
    private byte[] Container(byte[][] streams)
    {
        var next = 3u;
        var directory = new List<byte>(Word((uint)streams.Length));
        foreach (var stream in streams) directory.AddRange(Word((uint)stream.Length));
        var placed = new List<(uint Block, byte[] Stream, int From)>();
        foreach (var stream in streams)
        {
            var count = Blocks(stream.Length);
            for (uint i = 0; i < count; i++)
            {
                var block = next + count - 1 - i;
                directory.AddRange(Word(block));
                placed.Add((block, stream, (int)(i * BlockSize)));
            }

            next += count;
        }

        var inDirectory = Blocks(directory.Count);
        var map = next + inDirectory;
        var all = new byte[(map + Blocks((int)inDirectory * 4)) * BlockSize];
        Encoding.Latin1.GetBytes("Microsoft C/C++ MSF 7.00\r\n\u001ADS\0\0\0").CopyTo(all, 0);
        Put(all, 32, BlockSize);
        Put(all, 36, 1);
        Put(all, 40, (uint)(all.Length / BlockSize));
        Put(all, 44, (uint)directory.Count);
        Put(all, 52, map);
        foreach (var (block, stream, from) in placed) stream.AsSpan(from, (int)Math.Min(BlockSize, stream.Length - from)).CopyTo(all.AsSpan((int)(block * BlockSize)));
        directory.ToArray().CopyTo(all, (int)(next * BlockSize));
        for (uint i = 0; i < inDirectory; i++) Put(all, (int)((map * BlockSize) + (i * 4)), next + i);
        return all;
    }

    private uint Blocks(int bytes) => (uint)((bytes + BlockSize - 1) / BlockSize);

    private static byte[] Word(uint value) => BitConverter.GetBytes(value);

    private static void Put(byte[] bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
}
