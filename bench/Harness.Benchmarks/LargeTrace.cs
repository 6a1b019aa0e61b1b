using System.Buffers.Binary;
using System.IO.Compression;
using Harness.Core.Nt;
using Harness.Core.Traces;

namespace Harness.Benchmarks;

/// <summary>
/// A trace of any size, made of a real one of a machine that shuts down: its buffers over and over, each time later on the clock and in the
/// sequence than before.
/// </summary>
internal static class LargeTrace
{
    private const string Original = "ShutdownPerfDiagLogger.etl.gz";

    /// <summary>Writes a trace of at least so many bytes; returns the number of events in it.</summary>
    public static long Write(string path, long size)
    {
        var original = Bytes();
        var (events, span, most) = Measure(original);
        using var file = File.Create(path);
        // The header's buffer is there once.
        var first = (int)BinaryPrimitives.ReadUInt32LittleEndian(original);
        file.Write(original, 0, first);
        long total = 1;
        for (var copy = 0; file.Length < size; copy++)
        {
            if (copy > 0)
                for (var at = first; at < original.Length; at += first) Later(original.AsSpan(at, first), span, most);
            file.Write(original, first, original.Length - first);
            total += events;
        }

        return total;
    }

    private static byte[] Bytes()
    {
        using var packed = new GZipStream(typeof(LargeTrace).Assembly.GetManifestResourceStream(Original)!, CompressionMode.Decompress);
        using var bytes = new MemoryStream();
        packed.CopyTo(bytes);
        return bytes.ToArray();
    }

    /// <summary>Events behind the header's buffer, the time they take, and the highest sequence number.</summary>
    private static (long Events, long Span, long Sequences) Measure(byte[] original)
    {
        var first = (int)BinaryPrimitives.ReadUInt32LittleEndian(original);
        long events = 0, last = 0, sequences = 0;
        for (var at = first; at < original.Length; at += first)
            sequences = Math.Max(sequences, BinaryPrimitives.ReadInt64LittleEndian(original.AsSpan(at + TraceBufferLayout.SequenceNumber)));
        using var trace = TraceFile.Read(new MemoryStream(original));
        var reader = trace.Events();
        while (reader.Next()) (events, last) = (events + 1, reader.Record.Time);
        using var header = TraceFile.Read(new MemoryStream(original, 0, first));
        reader = header.Events();
        while (reader.Next()) events--;
        return (events, last - trace.Header.Start + 1, sequences + 1);
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
