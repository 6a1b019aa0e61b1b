using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Emulation.Traces;

/// <summary>
/// The buffers of a session: every processor fills its own, and one that is full is flushed and followed by another. What was logged can be
/// taken back, as evidence can, when a machine goes back to a saved state.
/// </summary>
internal sealed class TraceBuffers
{
    /// <summary>Bytes of a buffer.</summary>
    public const int BufferSize = 0x10000;

    /// <summary>
    /// Ticks of the session's clock in a second. Code takes no virtual time, so that much happens in one instant of the machine's clock, which
    /// counts 100 ns: each record is a nanosecond later than the one before, on whatever processor, and the order survives that consumers
    /// sort by time.
    /// </summary>
    public const long Frequency = 1_000_000_000;

    private const long TicksOfInterruptTime = Frequency / 10_000_000;

    /// <summary>Any but the numbers of the two kernel loggers that are always there.</summary>
    private const ushort LoggerId = 2;

    private readonly List<Buffer>[] _buffers;
    private long _time, _sequence;

    public TraceBuffers(int processors) => _buffers = [.. Enumerable.Range(0, processors).Select(_ => new List<Buffer>())];

    /// <summary>Of all buffers, the header's included.</summary>
    public int Count => 1 + _buffers.Sum(list => list.Count);

    /// <summary>How far the session is; valid until an older state of it is restored.</summary>
    /// <param name="matchId">The last of the numbers by which pairs of events are known.</param>
    public TraceMark Mark(uint matchId) => new(_time, _sequence, matchId, [.. _buffers.Select(list => (list.Count, list.Count == 0 ? 0 : list[^1].Used))]);

    /// <summary>Forgets what was logged after a mark.</summary>
    public void CutBackTo(TraceMark mark)
    {
        (_time, _sequence) = (mark.Time, mark.Sequence);
        for (var i = 0; i < _buffers.Length; i++)
        {
            var (count, used) = mark.Filled[i];
            _buffers[i].RemoveRange(count, _buffers[i].Count - count);
            if (count > 0) _buffers[i][^1].Used = used;
        }
    }

    /// <summary>The time of the next record.</summary>
    /// <param name="interruptTime">The machine's clock, in 100 ns units.</param>
    public long Tick(ulong interruptTime) => _time = Math.Max(_time + 1, (long)interruptTime * TicksOfInterruptTime);

    /// <summary>Appends a record to a processor's buffer.</summary>
    public void Add(int processor, long time, ReadOnlySpan<byte> record)
    {
        var list = _buffers[processor];
        var size = Aligned(record.Length);
        if (list.Count == 0 || list[^1].Used + size > BufferSize)
        {
            if (list.Count > 0) list[^1].Flushed = time;
            list.Add(new Buffer(++_sequence));
        }
        var buffer = list[^1];
        record.CopyTo(buffer.Bytes.AsSpan(buffer.Used));
        buffer.Used += size;
    }

    /// <summary>The file: the header's buffer, then the others in the order in which they were flushed. Pieces, each valid until the next is asked for.</summary>
    /// <param name="header">Records of the first buffer, each padded.</param>
    /// <param name="stopped">When the session ends and what is not full is flushed.</param>
    public IEnumerable<ReadOnlyMemory<byte>> File(byte[] header, long stopped)
    {
        var first = new Buffer(0);
        header.CopyTo(first.Bytes, first.Used);
        first.Used += header.Length;
        yield return Finish(first, 0, TraceBufferType.Header, last: true);
        var all = new List<(int Processor, Buffer Buffer)>();
        for (var i = 0; i < _buffers.Length; i++)
            foreach (var buffer in _buffers[i])
            {
                if (buffer == _buffers[i][^1]) buffer.Flushed = stopped;
                all.Add((i, buffer));
            }
        all.Sort((one, other) => (one.Buffer.Flushed, one.Buffer.Sequence).CompareTo((other.Buffer.Flushed, other.Buffer.Sequence)));
        foreach (var (processor, buffer) in all) yield return Finish(buffer, processor, TraceBufferType.Generic, last: buffer == all[^1].Buffer);
    }

    private static byte[] Finish(Buffer buffer, int processor, TraceBufferType type, bool last)
    {
        var b = buffer.Bytes.AsSpan();
        b[buffer.Used..].Fill(0xFF);
        BinaryPrimitives.WriteInt32LittleEndian(b[TraceBufferLayout.BufferSize..], BufferSize);
        BinaryPrimitives.WriteInt32LittleEndian(b[TraceBufferLayout.SavedOffset..], buffer.Used);
        BinaryPrimitives.WriteInt32LittleEndian(b[TraceBufferLayout.CurrentOffset..], buffer.Used);
        BinaryPrimitives.WriteInt64LittleEndian(b[TraceBufferLayout.TimeStamp..], buffer.Flushed);
        BinaryPrimitives.WriteInt64LittleEndian(b[TraceBufferLayout.SequenceNumber..], buffer.Sequence);
        BinaryPrimitives.WriteUInt16LittleEndian(b[TraceBufferLayout.ProcessorIndex..], (ushort)processor);
        BinaryPrimitives.WriteUInt16LittleEndian(b[TraceBufferLayout.LoggerId..], LoggerId);
        BinaryPrimitives.WriteUInt32LittleEndian(b[TraceBufferLayout.State..], TraceBufferLayout.StateFlush);
        BinaryPrimitives.WriteInt32LittleEndian(b[TraceBufferLayout.Offset..], buffer.Used);
        var flags = TraceBufferFlags.ProcessorIndex | (last ? TraceBufferFlags.FlushMarker : TraceBufferFlags.None);
        BinaryPrimitives.WriteUInt16LittleEndian(b[TraceBufferLayout.BufferFlag..], (ushort)flags);
        BinaryPrimitives.WriteUInt16LittleEndian(b[TraceBufferLayout.BufferType..], (ushort)type);
        return buffer.Bytes;
    }

    /// <summary>What a record takes in a buffer.</summary>
    public static int Aligned(int size) => (size + TraceBufferLayout.RecordAlignment - 1) & -TraceBufferLayout.RecordAlignment;

    private sealed class Buffer(long sequence)
    {
        public byte[] Bytes { get; } = new byte[BufferSize];

        public int Used { get; set; } = TraceBufferLayout.SizeInBytes;

        /// <summary>Of all buffers of the session, in the order in which they were begun.</summary>
        public long Sequence { get; } = sequence;

        public long Flushed { get; set; }
    }
}

/// <summary>How far a session was.</summary>
/// <param name="Time">Of the last record.</param>
/// <param name="Sequence">Of the last buffer.</param>
/// <param name="MatchId">Of the last pair of events.</param>
/// <param name="Filled">Of each processor: its buffers, and the bytes used of the last one.</param>
internal sealed record TraceMark(long Time, long Sequence, uint MatchId, IReadOnlyList<(int Buffers, int Used)> Filled);
