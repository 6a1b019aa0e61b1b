using System.Buffers.Binary;
using Harness.Core.Nt;
using Harness.Core.Targets;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Dumps;

/// <summary>
/// Kernel dumps, piece by piece: a header, where physical memory is in the file, and the memory. Whoever wants a file pulls the pieces and writes
/// them; what executes a driver opens none.
/// </summary>
internal static class DumpFile
{
    private const uint Full = 1, BitmapFull = 5;

    /// <summary>A whole dump. The same machine gives the same bytes.</summary>
    /// <param name="kind">How the file says which pages it has.</param>
    /// <param name="header">What it says of the machine.</param>
    /// <param name="memory">What it holds.</param>
    /// <returns>Pieces in the order of the file, each valid until the next is asked for.</returns>
    public static IEnumerable<ReadOnlyMemory<byte>> Of(DumpKind kind, DumpHeader header, PhysicalMemory memory) =>
        kind == DumpKind.Full ? InRuns(header.ToBytes(), memory) : ByBitmap(header.ToBytes(), memory);

    /// <summary>PHYSICAL_MEMORY_DESCRIPTOR: as the header has it, and nt's own MmPhysicalMemoryBlock.</summary>
    public static byte[] Descriptor(PhysicalMemory memory)
    {
        var bytes = new byte[0x10 + (memory.Runs.Count * 0x10)];
        Put64(bytes, 0, (ulong)memory.Runs.Count);
        Put64(bytes, 8, memory.Runs.Aggregate(0ul, (sum, run) => sum + run.PageCount));
        for (var i = 0; i < memory.Runs.Count; i++)
        {
            Put64(bytes, 0x10 + (i * 0x10), memory.Runs[i].BasePage);
            Put64(bytes, 0x18 + (i * 0x10), memory.Runs[i].PageCount);
        }
        return bytes;
    }

    /// <summary>The pages of each run, one run after the other.</summary>
    private static IEnumerable<ReadOnlyMemory<byte>> InRuns(byte[] header, PhysicalMemory memory)
    {
        Descriptor(memory).CopyTo(header, DumpHeaderLayout.PhysicalMemoryBlock);
        var pages = memory.Runs.Aggregate(0ul, (sum, run) => sum + run.PageCount);
        Finish(header, Full, (ulong)header.Length + (pages * GuestMemory.PageSize));
        yield return header;
        var page = new byte[GuestMemory.PageSize];
        foreach (var run in memory.Runs)
            for (var frame = run.BasePage; frame != run.End; frame++)
            {
                memory.Read(frame, page);
                yield return page;
            }
    }

    /// <summary>A bit for each frame, and the pages whose bits are set.</summary>
    private static IEnumerable<ReadOnlyMemory<byte>> ByBitmap(byte[] header, PhysicalMemory memory)
    {
        var bits = memory.FrameNumbers[^1] + 1;
        var bitmap = new byte[(BitmapDumpLayout.Bitmap + (int)((bits + 7) / 8) + GuestMemory.PageSize - 1) & -GuestMemory.PageSize];
        "FDMPDUMP"u8.CopyTo(bitmap);
        var firstPage = (ulong)(header.Length + bitmap.Length);
        Put64(bitmap, BitmapDumpLayout.HeaderSize, firstPage);
        Put64(bitmap, BitmapDumpLayout.Pages, (ulong)memory.FrameNumbers.Count);
        Put64(bitmap, BitmapDumpLayout.BitmapSize, bits);
        foreach (var frame in memory.FrameNumbers) bitmap[BitmapDumpLayout.Bitmap + (int)(frame / 8)] |= (byte)(1 << (int)(frame % 8));
        Finish(header, BitmapFull, firstPage + ((ulong)memory.FrameNumbers.Count * GuestMemory.PageSize));
        yield return header;
        yield return bitmap;
        var page = new byte[GuestMemory.PageSize];
        foreach (var frame in memory.FrameNumbers)
        {
            memory.Read(frame, page);
            yield return page;
        }
    }

    private static void Finish(byte[] header, uint type, ulong length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(DumpHeaderLayout.DumpType), type);
        Put64(header, DumpHeaderLayout.RequiredDumpSpace, length);
    }

    private static void Put64(byte[] bytes, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);
}
