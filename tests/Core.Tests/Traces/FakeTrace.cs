using System.Buffers.Binary;
using System.Text;
using Harness.Core.Nt;

namespace Core.Tests.Traces;

/// <summary>Writes event trace logs, buffer by buffer as it is told: every kind of record, plain and compressed.</summary>
internal sealed class FakeTrace(int bufferSize = 4096)
{
    private readonly List<byte[]> _buffers = [];

    /// <summary>The payload of the header's event; null leaves the event out.</summary>
    public byte[]? Header { get; init; } = LogfileHeader();

    public long Start { get; init; } = 1000;

    public TraceCompression Compression { get; init; }

    /// <summary>Adds a buffer with these records; the first of a file also begins with its header.</summary>
    public FakeTrace Buffer(int processor, long sequence, params byte[][] records) => Buffer(processor, sequence, TraceBufferFlags.ProcessorIndex, records);

    public FakeTrace Buffer(int processor, long sequence, TraceBufferFlags flags, params byte[][] records)
    {
        var first = _buffers.Count == 0 && Header is not null;
        var body = new List<byte>();
        foreach (var record in first ? [Kernel(Header![TraceLogfileHeaderLayout.PointerSize] == 4 ? TraceRecordType.System32 : TraceRecordType.System64, KernelTraceEvents.Header, Start, Header), .. records] : records)
        {
            body.AddRange(record);
            while (body.Count % TraceBufferLayout.RecordAlignment != 0) body.Add(0xFF);
        }

        var saved = TraceBufferLayout.SizeInBytes + body.Count;
        var packed = Compression != TraceCompression.None && !first;
        var bytes = packed ? XpressWriter.Compress([.. body]) : [.. body];
        var buffer = new byte[packed ? TraceBufferLayout.SizeInBytes + bytes.Length : bufferSize];
        if (!packed) buffer.AsSpan(TraceBufferLayout.SizeInBytes).Fill(0xFF);
        bytes.CopyTo(buffer, TraceBufferLayout.SizeInBytes);
        var header = buffer.AsSpan();
        Put32(header, TraceBufferLayout.BufferSize, (uint)buffer.Length);
        Put32(header, TraceBufferLayout.SavedOffset, (uint)saved);
        Put32(header, TraceBufferLayout.CurrentOffset, (uint)saved);
        Put64(header, TraceBufferLayout.SequenceNumber, sequence);
        Put16(header, TraceBufferLayout.ProcessorIndex, (ushort)processor);
        Put32(header, TraceBufferLayout.State, first && Compression != TraceCompression.None ? (uint)Compression : TraceBufferLayout.StateFlush);
        Put32(header, TraceBufferLayout.Offset, (uint)saved);
        Put16(header, TraceBufferLayout.BufferFlag, (ushort)(flags | (packed ? TraceBufferFlags.Compressed : 0)));
        Put16(header, TraceBufferLayout.BufferType, (ushort)(first ? TraceBufferType.Header : TraceBufferType.Generic));
        _buffers.Add(buffer);
        return this;
    }

    /// <summary>A buffer as it is.</summary>
    public FakeTrace Raw(byte[] buffer)
    {
        _buffers.Add(buffer);
        return this;
    }

    public byte[] File() => [.. _buffers.SelectMany(buffer => buffer)];

    public static byte[] LogfileHeader(int pointerSize = 8, long frequency = 10_000_000, long startTime = 132_000_000_000_000_000, TraceClock clock = TraceClock.QueryPerformanceCounter, uint eventsLost = 0, uint buffersLost = 0, uint buffersWritten = 0, LogFileModes mode = LogFileModes.Sequential)
    {
        var shift = pointerSize == 4 ? TraceLogfileHeaderLayout.Shift32 : 0;
        var bytes = new byte[TraceLogfileHeaderLayout.Names - shift];
        Put32(bytes, TraceLogfileHeaderLayout.BufferSize, 4096);
        Put32(bytes, TraceLogfileHeaderLayout.Version, 0x0501000A);
        Put32(bytes, TraceLogfileHeaderLayout.ProviderVersion, 19045);
        Put32(bytes, TraceLogfileHeaderLayout.NumberOfProcessors, 2);
        Put64(bytes, TraceLogfileHeaderLayout.EndTime, startTime + 1_000_000);
        Put32(bytes, TraceLogfileHeaderLayout.LogFileMode, (uint)mode);
        Put32(bytes, TraceLogfileHeaderLayout.BuffersWritten, buffersWritten);
        Put32(bytes, TraceLogfileHeaderLayout.PointerSize, (uint)pointerSize);
        Put32(bytes, TraceLogfileHeaderLayout.EventsLost, eventsLost);
        Put32(bytes, TraceLogfileHeaderLayout.CpuSpeed, 3000);
        Put64(bytes, TraceLogfileHeaderLayout.BootTime - shift, startTime - 77);
        Put64(bytes, TraceLogfileHeaderLayout.PerfFreq - shift, frequency);
        Put64(bytes, TraceLogfileHeaderLayout.StartTime - shift, startTime);
        Put32(bytes, TraceLogfileHeaderLayout.ClockType - shift, (uint)clock);
        Put32(bytes, TraceLogfileHeaderLayout.BuffersLost - shift, buffersLost);
        return [.. bytes, .. Encoding.Unicode.GetBytes("NT Kernel Logger\0C:\\trace.etl\0")];
    }

    /// <summary>A kernel event: with a system, compact or PERFINFO header, as the type says.</summary>
    public static byte[] Kernel(TraceRecordType type, ushort hook, long time, byte[] payload, int thread = 12, int process = 8, ushort version = 2)
    {
        var size = type switch
        {
            TraceRecordType.PerfInfo32 or TraceRecordType.PerfInfo64 => PerfInfoHeaderLayout.SizeInBytes,
            TraceRecordType.Compact32 or TraceRecordType.Compact64 => SystemTraceHeaderLayout.CompactSizeInBytes,
            _ => SystemTraceHeaderLayout.SizeInBytes,
        };
        var header = Marked(size, type);
        Put16(header, SystemTraceHeaderLayout.Version, version);
        Put16(header, SystemTraceHeaderLayout.Size, (ushort)(size + payload.Length));
        header[SystemTraceHeaderLayout.EventType] = KernelTraceEvents.Type(hook);
        header[SystemTraceHeaderLayout.Group] = KernelTraceEvents.Group(hook);
        if (size == PerfInfoHeaderLayout.SizeInBytes)
        {
            Put64(header, PerfInfoHeaderLayout.SystemTime, time);
            return [.. header, .. payload];
        }

        Put32(header, SystemTraceHeaderLayout.ThreadId, (uint)thread);
        Put32(header, SystemTraceHeaderLayout.ProcessId, (uint)process);
        Put64(header, SystemTraceHeaderLayout.SystemTime, time);
        if (size == SystemTraceHeaderLayout.SizeInBytes) Put32(header, SystemTraceHeaderLayout.KernelTime, 7);
        return [.. header, .. payload];
    }

    /// <summary>An event of a classic provider; with an instance header as the type says.</summary>
    public static byte[] Classic(TraceRecordType type, Guid provider, byte opcode, long time, byte[] payload)
    {
        var isInstance = type is TraceRecordType.Instance32 or TraceRecordType.Instance64;
        var header = Marked(isInstance ? FullHeaderLayout.InstanceSizeInBytes : FullHeaderLayout.SizeInBytes, type);
        Put16(header, FullHeaderLayout.Size, (ushort)(header.Length + payload.Length));
        header[FullHeaderLayout.EventType] = opcode;
        header[FullHeaderLayout.Level] = 4;
        Put16(header, FullHeaderLayout.Version, 3);
        Put32(header, FullHeaderLayout.ThreadId, 12);
        Put32(header, FullHeaderLayout.ProcessId, 8);
        Put64(header, FullHeaderLayout.TimeStamp, time);
        provider.TryWriteBytes(header.AsSpan(FullHeaderLayout.Guid));
        if (isInstance) Put32(header, FullHeaderLayout.InstanceId, 99);
        return [.. header, .. payload];
    }

    /// <summary>An event of a provider with a manifest, with extended items of these types and data.</summary>
    public static byte[] Manifest(TraceRecordType type, Guid provider, ushort id, long time, byte[] payload, params (ushort Type, byte[] Data)[] items)
    {
        var header = Marked(EventHeaderLayout.SizeInBytes, type);
        var extended = new List<byte>();
        for (var i = 0; i < items.Length; i++)
        {
            var item = new byte[EventHeaderLayout.ItemHeaderSize + items[i].Data.Length + 7 & ~7];
            Put16(item, EventHeaderLayout.ItemType, items[i].Type);
            Put16(item, EventHeaderLayout.ItemLinkage, (ushort)(i + 1 < items.Length ? EventHeaderLayout.ItemMore : 0));
            Put16(item, EventHeaderLayout.ItemDataSize, (ushort)items[i].Data.Length);
            items[i].Data.CopyTo(item, EventHeaderLayout.ItemHeaderSize);
            extended.AddRange(item);
        }

        Put16(header, EventHeaderLayout.Size, (ushort)(header.Length + extended.Count + payload.Length));
        Put16(header, EventHeaderLayout.Flags, (ushort)(items.Length > 0 ? EventHeaderLayout.ExtendedInfoFlag : 0));
        Put32(header, EventHeaderLayout.ThreadId, 12);
        Put32(header, EventHeaderLayout.ProcessId, 8);
        Put64(header, EventHeaderLayout.TimeStamp, time);
        provider.TryWriteBytes(header.AsSpan(EventHeaderLayout.ProviderId));
        Put16(header, EventHeaderLayout.EventDescriptor, id);
        header[EventHeaderLayout.EventDescriptor + 2] = 5;
        header[EventHeaderLayout.EventDescriptor + 5] = 1;
        return [.. header, .. extended, .. payload];
    }

    /// <summary>A message with a GUID, and a time and its thread and process if it has a time.</summary>
    public static byte[] Message(Guid guid, ushort number, long? time, byte[] payload)
    {
        var flags = MessageHeaderLayout.SequenceFlag | MessageHeaderLayout.GuidFlag | (time is null ? 0 : MessageHeaderLayout.TimeStampFlag | MessageHeaderLayout.SystemInfoFlag);
        var header = new byte[MessageHeaderLayout.SizeInBytes + 20 + (time is null ? 0 : 16)];
        header[TraceRecordLayout.Flags] = TraceRecordLayout.MessageFlag;
        Put16(header, MessageHeaderLayout.Size, (ushort)(header.Length + payload.Length));
        Put16(header, MessageHeaderLayout.MessageNumber, number);
        Put16(header, MessageHeaderLayout.Flags, (ushort)flags);
        guid.TryWriteBytes(header.AsSpan(12));
        if (time is { } at)
        {
            Put64(header, 28, at);
            Put32(header, 36, 12);
            Put32(header, 40, 8);
        }

        return [.. header, .. payload];
    }

    public static byte[] Words(params ulong[] words) => [.. words.SelectMany(BitConverter.GetBytes)];

    private static byte[] Marked(int size, TraceRecordType type)
    {
        var header = new byte[size];
        header[TraceRecordLayout.Type] = (byte)type;
        header[TraceRecordLayout.Flags] = TraceRecordLayout.EventTraceFlag;
        return header;
    }

    private static void Put16(Span<byte> at, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(at[offset..], value);

    private static void Put32(Span<byte> at, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(at[offset..], value);

    private static void Put64(Span<byte> at, int offset, long value) => BinaryPrimitives.WriteInt64LittleEndian(at[offset..], value);
}
