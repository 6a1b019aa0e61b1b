using System.Buffers.Binary;
using System.Text;
using Harness.Core.Nt;

namespace Harness.Emulation.Traces;

/// <summary>One record of a trace while it is made: a header, then its payload, field by field.</summary>
internal ref struct TraceRecord
{
    private readonly Span<byte> _bytes;
    private readonly int _size;
    private int _length;

    private TraceRecord(Span<byte> bytes, int header, int size, long time)
    {
        _bytes = bytes;
        (_length, _size, Time) = (header, size, time);
        bytes[..header].Clear();
        bytes[TraceRecordLayout.Flags] = TraceRecordLayout.EventTraceFlag;
    }

    /// <summary>On the session's clock.</summary>
    public long Time { get; }

    /// <summary>A kernel event that tells on which thread it was logged.</summary>
    /// <param name="bytes">Where it is made.</param>
    /// <param name="hookId">One of <see cref="KernelTraceEvents"/>.</param>
    /// <param name="version">The payload's.</param>
    /// <param name="time">On the session's clock.</param>
    /// <param name="thread">The thread's ID.</param>
    /// <param name="process">Its process's.</param>
    public static TraceRecord System(Span<byte> bytes, ushort hookId, ushort version, long time, uint thread, uint process)
    {
        var record = Kernel(bytes, SystemTraceHeaderLayout.SizeInBytes, TraceRecordType.System64, hookId, version, time);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[SystemTraceHeaderLayout.ThreadId..], thread);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[SystemTraceHeaderLayout.ProcessId..], process);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[SystemTraceHeaderLayout.SystemTime..], time);
        return record;
    }

    /// <summary>A kernel event that doesn't.</summary>
    public static TraceRecord PerfInfo(Span<byte> bytes, ushort hookId, ushort version, long time)
    {
        var record = Kernel(bytes, PerfInfoHeaderLayout.SizeInBytes, TraceRecordType.PerfInfo64, hookId, version, time);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[PerfInfoHeaderLayout.SystemTime..], time);
        return record;
    }

    /// <summary>An event of a class with a GUID.</summary>
    public static TraceRecord Full(Span<byte> bytes, Guid eventClass, byte type, ushort version, long time)
    {
        var record = new TraceRecord(bytes, FullHeaderLayout.SizeInBytes, FullHeaderLayout.Size, time);
        bytes[TraceRecordLayout.Type] = (byte)TraceRecordType.FullHeader64;
        bytes[FullHeaderLayout.EventType] = type;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[FullHeaderLayout.Version..], version);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[FullHeaderLayout.TimeStamp..], time);
        eventClass.TryWriteBytes(bytes[FullHeaderLayout.Guid..]);
        return record;
    }

    private static TraceRecord Kernel(Span<byte> bytes, int header, TraceRecordType type, ushort hookId, ushort version, long time)
    {
        var record = new TraceRecord(bytes, header, SystemTraceHeaderLayout.Size, time);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[SystemTraceHeaderLayout.Version..], version);
        bytes[TraceRecordLayout.Type] = (byte)type;
        bytes[SystemTraceHeaderLayout.EventType] = KernelTraceEvents.Type(hookId);
        bytes[SystemTraceHeaderLayout.Group] = KernelTraceEvents.Group(hookId);
        return record;
    }

    /// <summary>All of it, its size included.</summary>
    public readonly ReadOnlySpan<byte> Bytes
    {
        get
        {
            BinaryPrimitives.WriteUInt16LittleEndian(_bytes[_size..], (ushort)_length);
            return _bytes[.._length];
        }
    }

    public void Put8(byte value) => Room(1)[0] = value;

    public void Put16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Room(2), value);

    public void Put32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Room(4), value);

    public void Put64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Room(8), value);

    public void Put(Guid value) => value.TryWriteBytes(Room(16));

    /// <summary>ANSI characters and a zero.</summary>
    public void PutAnsi(string text)
    {
        Encoding.Latin1.GetBytes(text, Room(text.Length));
        Put8(0);
    }

    /// <summary>UTF-16 characters and a zero.</summary>
    public void PutUnicode(string text)
    {
        Encoding.Unicode.GetBytes(text, Room(text.Length * 2));
        Put16(0);
    }

    /// <summary>Bytes that are zero.</summary>
    public void Skip(int count) => Room(count).Clear();

    /// <summary>The next bytes, to be filled.</summary>
    public Span<byte> Room(int count)
    {
        var room = _bytes.Slice(_length, count);
        _length += count;
        return room;
    }
}
