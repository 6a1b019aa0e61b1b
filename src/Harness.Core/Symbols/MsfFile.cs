using System.Buffers.Binary;

namespace Harness.Core.Symbols;

/// <summary>
/// The container of a PDB (MSF 7.00): numbered streams, each in blocks that lie anywhere in the file. The format is LLVM's public
/// "The MSF File Format". A block belongs to one stream only, so that all streams together are never longer than the file.
/// </summary>
internal sealed class MsfFile : IDisposable
{
    private const int SuperBlockSize = 56;
    /// <summary>In bytes; the largest stream of ntkrnlmp.pdb has some four million.</summary>
    private const uint LargestPiece = 512 << 20;

    private const uint SmallestBlock = 512, LargestBlock = 0x10000, MostStreams = 0x10000;

    /// <summary>The size of a stream that was deleted.</summary>
    private const uint Nil = uint.MaxValue;

    private readonly Stream _file;
    private readonly uint _blockSize;
    private readonly byte[] _directory;
    private readonly (uint Size, int Blocks)[] _streams;

    private MsfFile(Stream file, uint blockSize, byte[] directory, (uint, int)[] streams) => (_file, _blockSize, _directory, _streams) = (file, blockSize, directory, streams);

    private static ReadOnlySpan<byte> Magic => "Microsoft C/C++ MSF 7.00\r\n\x1A\x44S\0\0\0"u8;

    /// <summary>Reads the directory, nothing else. The container owns the file from then on.</summary>
    /// <exception cref="UnusablePdbException">It is none.</exception>
    public static MsfFile Open(Stream file)
    {
        Span<byte> super = stackalloc byte[SuperBlockSize];
        file.Position = 0;
        var got = file.ReadAtLeast(super, SuperBlockSize, throwOnEndOfStream: false);
        if (got < SuperBlockSize || !super[..Magic.Length].SequenceEqual(Magic)) throw new UnusablePdbException(Foreign(super[..got]));

        uint blockSize = Word(super, 32), blocks = Word(super, 40), directorySize = Word(super, 44), map = Word(super, 52);
        if (blockSize is < SmallestBlock or > LargestBlock || (blockSize & (blockSize - 1)) != 0) throw Damaged($"its blocks have {blockSize} bytes");
        if ((ulong)blocks * blockSize > (ulong)file.Length) throw new UnusablePdbException($"is cut off: it should have {(ulong)blocks * blockSize} bytes and has {file.Length}");
        if (directorySize > Math.Min(file.Length, LargestPiece) || directorySize < 4) throw Damaged($"its directory has {directorySize} bytes");

        var numbers = new byte[4 * BlocksOf(directorySize, blockSize)];
        // The directory's own block numbers lie in one piece.
        if (((ulong)map * blockSize) + (ulong)numbers.Length > (ulong)blocks * blockSize) throw Damaged("its directory lies outside of it");
        file.Position = (long)map * blockSize;
        file.ReadExactly(numbers);
        var directory = new byte[directorySize];
        ReadBlocks(file, numbers, blockSize, blocks, 0, directory);
        return new MsfFile(file, blockSize, directory, Streams(directory, blockSize, blocks));
    }

    /// <summary>Bytes in a stream; 0 when there is none.</summary>
    public uint SizeOf(int stream) => (uint)stream < (uint)_streams.Length ? _streams[stream].Size : 0;

    /// <summary>A whole stream; empty when there is none.</summary>
    /// <exception cref="UnusablePdbException">Its blocks lie outside of the file.</exception>
    public byte[] Read(int stream) => Read(stream, 0, SizeOf(stream));

    /// <summary>A piece of a stream; less where the stream ends.</summary>
    /// <exception cref="UnusablePdbException">Its blocks lie outside of the file.</exception>
    public byte[] Read(int stream, uint from, uint length)
    {
        var size = SizeOf(stream);
        if (from >= size) return [];
        if (Math.Min(length, size - from) > LargestPiece) throw new UnusablePdbException($"is a PDB that is too large: stream {stream} has {size} bytes");
        var bytes = new byte[Math.Min(length, size - from)];
        ReadBlocks(_file, _directory.AsSpan(_streams[stream].Blocks), _blockSize, (uint)(_file.Length / _blockSize), from, bytes);
        return bytes;
    }

    public void Dispose() => _file.Dispose();

    private static (uint, int)[] Streams(byte[] directory, uint blockSize, uint blocks)
    {
        var count = Word(directory, 0);
        if (count > MostStreams || 4 + (count * 4UL) > (ulong)directory.Length) throw Damaged($"its directory tells of {count} streams");
        var streams = new (uint Size, int Blocks)[count];
        var (at, used) = (4 + (count * 4UL), 0UL);
        for (var i = 0; i < streams.Length; i++)
        {
            var size = Word(directory, 4 + (i * 4));
            if (size == Nil) size = 0;
            var needs = BlocksOf(size, blockSize);
            used += needs;
            if (used > blocks || at + (needs * 4) > (ulong)directory.Length) throw Damaged($"stream {i} has {size} bytes, for which there is no room");
            streams[i] = (size, (int)at);
            at += needs * 4;
        }

        return streams;
    }

    /// <summary>Blocks that lie one behind the other are one read.</summary>
    private static void ReadBlocks(Stream file, ReadOnlySpan<byte> numbers, uint blockSize, uint blocks, uint from, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var (index, within) = ((int)(from / blockSize), from % blockSize);
            var first = Word(numbers, index * 4);
            uint run = 1;
            while (((ulong)run * blockSize) - within < (ulong)destination.Length && Word(numbers, (index + (int)run) * 4) == first + run) run++;
            if (first == 0 || (ulong)first + run > blocks) throw Damaged($"block {first} is not in it");
            var piece = destination[..(int)Math.Min(((ulong)run * blockSize) - within, (ulong)destination.Length)];
            file.Position = ((long)first * blockSize) + within;
            file.ReadExactly(piece);
            destination = destination[piece.Length..];
            from += (uint)piece.Length;
        }
    }

    private static ulong BlocksOf(uint size, uint blockSize) => (size + (ulong)blockSize - 1) / blockSize;

    private static uint Word(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static string Foreign(ReadOnlySpan<byte> begin) =>
        begin.IsEmpty ? "is empty"
        : begin.StartsWith("BSJB"u8) ? "is a portable PDB of .NET, which has no symbols of a driver"
        : begin.StartsWith("Microsoft MSFZ"u8) ? "is a compressed PDB (MSFZ), which is not read"
        : begin.StartsWith("Microsoft C/C++ program database"u8) ? "is a PDB of Visual C++ 6 or older, which is not read"
        : begin.StartsWith("MSCF"u8) ? "is a cabinet: unpack it first"
        : "is no PDB";

    private static UnusablePdbException Damaged(string why) => new("is a damaged PDB: " + why);
}
