using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>One buffer's place in the file.</summary>
/// <param name="Offset">Of its header, in the file.</param>
/// <param name="Size">Bytes it has in the file, header included.</param>
/// <param name="Saved">End of its records, header included, once inflated.</param>
internal readonly record struct BufferPlace(long Offset, int Size, int Saved, long Sequence, ushort Processor, TraceBufferFlags Flags)
{
    public bool IsCompressed => (Flags & TraceBufferFlags.Compressed) != 0;
}

/// <summary>Where the buffers of a trace lie: one pass over their headers, 32 bytes of memory for each.</summary>
internal sealed class BufferIndex
{
    private readonly List<BufferPlace> _buffers = [];

    /// <summary>Those of each processor in the order they were filled.</summary>
    public IReadOnlyList<ArraySegment<BufferPlace>> Processors { get; }

    /// <summary>Buffers before which events, or buffers, were lost.</summary>
    public int AfterLoss { get; private set; }

    public int Count => _buffers.Count;

    public BufferPlace First => _buffers[0];

    /// <exception cref="UnusableTraceException">It does not begin with a buffer.</exception>
    public BufferIndex(Stream file, TraceNotes notes)
    {
        Span<byte> header = stackalloc byte[TraceBufferLayout.SizeInBytes];
        var length = file.Length;
        var (offset, step, compressed) = (0L, 0, false);
        while (length - offset >= TraceBufferLayout.SizeInBytes)
        {
            if (_buffers.Count == TraceLimits.MostBuffers)
            {
                notes.Add($"buffers beyond the first {TraceLimits.MostBuffers}, which are not read", offset);
                break;
            }

            file.Position = offset;
            if (file.ReadAtLeast(header, header.Length, throwOnEndOfStream: false) < header.Length) break;
            var size = BinaryPrimitives.ReadUInt32LittleEndian(header[TraceBufferLayout.BufferSize..]);
            if (!TraceLimits.IsSize(size))
            {
                if (step == 0) throw new UnusableTraceException("is no event trace log: it does not begin with a buffer");
                var blank = !header.ContainsAnyExcept((byte)0) || !header.ContainsAnyExcept((byte)0xFF);
                notes.Add(blank ? "buffers that were never written" : "buffers whose header is damaged", offset);
                if (compressed)
                {
                    notes.Add("places where the next buffer cannot be found, since the file is compressed: what follows is not read", offset);
                    break;
                }

                // Without compression all buffers have one size.
                offset += step;
                continue;
            }

            if (step == 0) step = (int)size;
            var place = Place(header, offset, (int)size, length, notes);
            compressed |= place.IsCompressed;
            _buffers.Add(place);
            if ((place.Flags & (TraceBufferFlags.EventsLost | TraceBufferFlags.BufferLost)) != 0) AfterLoss++;
            offset += size;
        }

        Processors = ByProcessor(file, notes);
    }

    private static BufferPlace Place(ReadOnlySpan<byte> header, long offset, int size, long length, TraceNotes notes)
    {
        var flags = (TraceBufferFlags)BinaryPrimitives.ReadUInt16LittleEndian(header[TraceBufferLayout.BufferFlag..]);
        var saved = BinaryPrimitives.ReadUInt32LittleEndian(header[TraceBufferLayout.SavedOffset..]);
        var processor = BinaryPrimitives.ReadUInt16LittleEndian(header[TraceBufferLayout.ProcessorIndex..]);
        processor = (flags & TraceBufferFlags.ProcessorIndex) != 0 ? (ushort)(processor & TraceBufferLayout.ProcessorIndexMask) : (byte)processor;
        var cut = size > length - offset;
        if (cut)
        {
            notes.Add("buffers that the file's end cuts short", offset);
            size = (int)(length - offset);
        }

        var most = (flags & TraceBufferFlags.Compressed) != 0 ? (uint)Math.Min((long)size * TraceLimits.MostGrowth, TraceLimits.LargestBuffer) : (uint)size;
        if (saved < TraceBufferLayout.SizeInBytes) notes.Add("buffers that tell of less than their header", offset);
        if (saved > most)
        {
            if (!cut) notes.Add("buffers that tell of more than they can hold", offset);
            saved = most;
        }

        return new BufferPlace(offset, size, Math.Max((int)saved, TraceBufferLayout.SizeInBytes), BinaryPrimitives.ReadInt64LittleEndian(header[TraceBufferLayout.SequenceNumber..]), processor, flags);
    }

    private List<ArraySegment<BufferPlace>> ByProcessor(Stream file, TraceNotes notes)
    {
        var ordered = _buffers.ToArray();
        // The order in the file is not that in which they were filled.
        Array.Sort(ordered, (a, b) => (a.Processor, a.Sequence, a.Offset).CompareTo((b.Processor, b.Sequence, b.Offset)));
        for (var i = 1; i < ordered.Length; i++)
            if (IsSame(file, ordered[i - 1], ordered[i])) notes.Add("buffers that are there twice, as where two files were made one", ordered[i].Offset);
        var processors = new List<ArraySegment<BufferPlace>>();
        for (var (from, to) = (0, 1); to <= ordered.Length; to++)
        {
            if (to < ordered.Length && ordered[to].Processor == ordered[from].Processor) continue;
            processors.Add(new(ordered, from, to - from));
            from = to;
        }

        return processors;
    }

    /// <summary>A session numbers its buffers; a merged file has several sessions', whose headers tell other times.</summary>
    private static bool IsSame(Stream file, BufferPlace one, BufferPlace other)
    {
        if ((one.Processor, one.Sequence, one.Saved) != (other.Processor, other.Sequence, other.Saved)) return false;
        Span<byte> header = stackalloc byte[TraceBufferLayout.SizeInBytes];
        Span<byte> second = stackalloc byte[TraceBufferLayout.SizeInBytes];
        file.Position = one.Offset;
        file.ReadExactly(header);
        file.Position = other.Offset;
        file.ReadExactly(second);
        return header.SequenceEqual(second);
    }
}
