using System.Buffers.Binary;
using Harness.Core.Nt;
using Harness.Core.Traces;

namespace Core.Tests.Traces;

/// <summary>
/// A trace of any size, made of a real one of a machine that shuts down: its buffers over and over, each time later on the clock and in the
/// sequence than before.
/// </summary>
internal static class RepeatedTrace
{
    /// <summary>Writes a trace of at least so many bytes; returns the number of events in it.</summary>
    public static long Write(Stream file, long size)
    {
        var original = RealTrace.Shutdown;
        // The header's buffer is there once.
        var first = (int)BinaryPrimitives.ReadUInt32LittleEndian(original);
        var (header, events, span, sequences) = Measure(original, first);
        file.Write(original, 0, first);
        var total = header;
        for (long written = first; written < size; written += original.Length - first)
        {
            if (written > first)
                for (var at = first; at < original.Length; at += first) Later(original.AsSpan(at, first), span, sequences);
            file.Write(original, first, original.Length - first);
            total += events;
        }

        return total;
    }

    /// <summary>Events of the header's buffer and of the others, the time they take, and how many sequence numbers.</summary>
    private static (long Header, long Events, long Span, long Sequences) Measure(byte[] original, int first)
    {
        long all = 0, header = 0, last = 0, sequences = 0;
        for (var at = first; at < original.Length; at += first)
            sequences = Math.Max(sequences, BinaryPrimitives.ReadInt64LittleEndian(original.AsSpan(at + TraceBufferLayout.SequenceNumber)));
        using var trace = TraceFile.Read(new MemoryStream(original));
        for (var reader = trace.Events(); reader.Next(); all++) last = reader.Record.Time;
        using var start = TraceFile.Read(new MemoryStream(original, 0, first));
        for (var reader = start.Events(); reader.Next();) header++;
        return (header, all - header, last - trace.Header.Start + 1, sequences + 1);
    }

    /// <summary>Moves a buffer and its records on. The trace has records of the kernel's logger only.</summary>
    private static void Later(Span<byte> buffer, long time, long sequences)
    {
        Add(buffer[TraceBufferLayout.SequenceNumber..], sequences);
        var end = (int)BinaryPrimitives.ReadUInt32LittleEndian(buffer[TraceBufferLayout.SavedOffset..]);
        for (var at = TraceBufferLayout.SizeInBytes; at < end;)
        {
            var record = buffer[at..];
            var isShort = (TraceRecordType)record[TraceRecordLayout.Type] is TraceRecordType.PerfInfo64;
            Add(record[(isShort ? PerfInfoHeaderLayout.SystemTime : SystemTraceHeaderLayout.SystemTime)..], time);
            at += BinaryPrimitives.ReadUInt16LittleEndian(record[SystemTraceHeaderLayout.Size..]) + 7 & ~7;
        }

        static void Add(Span<byte> at, long more) => BinaryPrimitives.WriteInt64LittleEndian(at, BinaryPrimitives.ReadInt64LittleEndian(at) + more);
    }
}
