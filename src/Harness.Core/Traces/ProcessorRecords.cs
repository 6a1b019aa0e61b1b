using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>The records that one processor wrote, in its order. One buffer of them is in memory.</summary>
internal sealed class ProcessorRecords(ArraySegment<BufferPlace> places, BufferLoader loader)
{
    private byte[] _records = [];
    private int _place = -1;
    private int _at, _size, _end;
    private RecordShape _shape;

    public int Processor { get; } = places[0].Processor;

    public long Time { get; private set; }

    /// <summary>What it is merged by: the time, but nothing comes before the event that is the trace's header.</summary>
    public long Key { get; private set; }

    public TraceRecord Record => new(_records.AsSpan(_at, _size), _shape, Processor, Time);

    /// <summary>Goes to the next record; false at the end.</summary>
    public bool MoveNext()
    {
        _at += RecordShape.Aligned(_size);
        while (true)
        {
            if (_end - _at >= TraceBufferLayout.RecordAlignment)
            {
                if (!Read()) continue;
                return true;
            }

            if (_end > _at) loader.Notes.Add("records that the buffer's end cuts short", Offset);
            if (++_place >= places.Count) return false;
            (_at, _size) = (0, 0);
            _end = loader.Load(places[_place], ref _records);
        }
    }

    /// <summary>In the file, or where it would be if the buffer weren't compressed.</summary>
    private long Offset => places[_place].Offset + TraceBufferLayout.SizeInBytes + _at;

    /// <summary>Takes the record at the cursor; false: it is none, and the cursor has moved.</summary>
    private bool Read()
    {
        var bytes = _records.AsSpan(_at, _end - _at);
        _shape = RecordShape.Of(bytes[TraceRecordLayout.Type], bytes[TraceRecordLayout.Flags]);
        _size = BinaryPrimitives.ReadUInt16LittleEndian(bytes[_shape.SizeAt..]);
        if (_shape.Family == RecordFamily.Unknown || _size < _shape.HeaderSize || _size > bytes.Length) return Skip(bytes);
        if (_shape.TimeAt == 0) return ReadOdd(bytes);
        Key = Time = BinaryPrimitives.ReadInt64LittleEndian(bytes[_shape.TimeAt..]);
        if (_at == 0 && places[_place].Offset == 0 && Record is { IsKernel: true, HookId: KernelTraceEvents.Header }) Key = long.MinValue;
        return true;
    }

    /// <summary>A message, or the trace of an error.</summary>
    private bool ReadOdd(ReadOnlySpan<byte> bytes)
    {
        if (_shape.Family == RecordFamily.Error)
        {
            loader.Notes.Add("records that the logger could not write", Offset);
            _at += RecordShape.Aligned(_size);
            _size = 0;
            return false;
        }

        var flags = BinaryPrimitives.ReadUInt16LittleEndian(bytes[MessageHeaderLayout.Flags..]);
        if (_size < RecordShape.MessageHeader(flags)) return Skip(bytes);
        if (RecordShape.MessageField(flags, MessageHeaderLayout.TimeStampFlag) is var at and > 0) Time = BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
        Key = Time;
        return true;
    }

    /// <summary>Nothing tells where the next record begins, so the rest of the buffer is left out.</summary>
    private bool Skip(ReadOnlySpan<byte> rest)
    {
        // Unused room, which SavedOffset should have left out.
        var unused = rest[..8].IndexOfAnyExcept((byte)0xFF) < 0 || rest[..8].IndexOfAnyExcept((byte)0) < 0;
        if (!unused) loader.Notes.Add(rest[TraceRecordLayout.Flags] == TraceRecordLayout.ShortTimeFlag ? "messages with a 32-bit time, which are not read: the rest of their buffers is left out" : "records that are damaged or of an unknown kind: the rest of their buffers is left out", Offset);
        (_at, _size) = (_end, 0);
        return false;
    }
}
