using System.Buffers.Binary;
using Harness.Core.Nt;
using Harness.Core.Traces;

namespace Harness.Tracing;

/// <summary>
/// EVENT_RECORD as BTL has it: EVENT_HEADER, ETW_BUFFER_CONTEXT, two counts and room for three pointers, then the user data, the extended items and
/// their data, each at a multiple of 8, the whole at one of 16. Sources: evntcons.h, and TraceEvent's description of BTL.
/// </summary>
internal static class EventRecordImage
{
    private const int BufferContext = 80, ExtendedDataCount = 84, UserDataLength = 86, UserData = 112;

    /// <summary>EVENT_HEADER_EXTENDED_DATA_ITEM: u16 reserved, u16 type, u16 linkage, u16 size, u64 pointer.</summary>
    private const int ItemSize = 16;

    /// <summary>EVENT_HEADER_EXT_TYPE_*.</summary>
    private const ushort InstanceInfo = 4, PebsIndex = 7, PmcCounters = 8;

    /// <summary>EVENT_HEADER_FLAG_TRACE_MESSAGE, _PROCESSOR_INDEX.</summary>
    private const ushort TraceMessageFlag = 2, ProcessorIndexFlag = 0x200;

    /// <summary>The most that the image of a record takes; extended items without data grow most.</summary>
    public static int Most(TraceRecord record) => UserData + 64 + (record.Bytes.Length * 3);

    /// <summary>Writes a record's image, and tells its length. The destination holds <see cref="Most"/> bytes.</summary>
    public static int Write(TraceRecord record, Span<byte> to)
    {
        to[..UserData].Clear();
        switch (record.Family)
        {
            case RecordFamily.Event:
                record.Bytes[..EventHeaderLayout.SizeInBytes].CopyTo(to);
                WriteFlags(to, BinaryPrimitives.ReadUInt16LittleEndian(to[EventHeaderLayout.Flags..]), record);
                break;
            case RecordFamily.Message:
                WriteIdentity(to, record);
                WriteFlags(to, TraceMessageFlag, record);
                BinaryPrimitives.WriteUInt16LittleEndian(to[EventHeaderLayout.EventDescriptor..], record.Id);
                break;
            default:
                WriteIdentity(to, record);
                WriteFlags(to, EventHeaderLayout.ClassicHeaderFlag, record);
                to[EventHeaderLayout.EventDescriptor + 2] = record.Version;
                to[EventHeaderLayout.EventDescriptor + 5] = record.Opcode;
                if (record.Family is RecordFamily.Full or RecordFamily.Instance) to[EventHeaderLayout.EventDescriptor + 4] = record.Bytes[FullHeaderLayout.Level];
                break;
        }

        to[BufferContext] = (byte)record.Processor;
        to[BufferContext + 1] = record.Processor <= byte.MaxValue ? (byte)8 : (byte)(record.Processor >> 8);
        var payload = record.Payload;
        BinaryPrimitives.WriteUInt16LittleEndian(to[UserDataLength..], (ushort)payload.Length);
        payload.CopyTo(to[UserData..]);
        var at = Padded(to, UserData + payload.Length, 8);
        return record.Family is RecordFamily.Event or RecordFamily.Instance or RecordFamily.PerfInfo ? WriteItems(record, to, at) : Padded(to, at, 16);
    }

    /// <summary>
    /// Lengthens the last image to the end of the destination, by extended items of a type that means nothing. What is added is a multiple of 16.
    /// </summary>
    public static void Stretch(Span<byte> image, int length)
    {
        var missing = image.Length - length;
        if (missing == 0) return;
        int count = BinaryPrimitives.ReadUInt16LittleEndian(image[ExtendedDataCount..]);
        var items = (UserData + BinaryPrimitives.ReadUInt16LittleEndian(image[UserDataLength..]) + 7 & ~7) + (count * ItemSize);
        const int MostOfItem = ItemSize + 0xFFF0;
        var more = (missing + MostOfItem - 1) / MostOfItem;
        // The data of the items that are there already make room for the new items before them.
        image[items..length].CopyTo(image[(items + (more * ItemSize))..]);
        image[(length + (more * ItemSize))..].Clear();
        missing -= more * ItemSize;
        for (var i = 0; i < more; i++)
        {
            var item = image.Slice(items + (i * ItemSize), ItemSize);
            var size = Math.Min(missing, MostOfItem - ItemSize);
            item.Clear();
            BinaryPrimitives.WriteUInt16LittleEndian(item[6..], (ushort)size);
            missing -= size;
        }

        BinaryPrimitives.WriteUInt16LittleEndian(image[ExtendedDataCount..], (ushort)(count + more));
    }

    /// <summary>The EventTrace/Header event of a trace whose own is missing: a clock and nothing else.</summary>
    public static byte[] OfHeader(TraceHeader header)
    {
        const int Payload = TraceLogfileHeaderLayout.Names + 8;
        var image = new byte[UserData + Payload];
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(EventHeaderLayout.Flags), EventHeaderLayout.ClassicHeaderFlag | EventHeaderLayout.Header64Flag);
        BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(EventHeaderLayout.TimeStamp), header.Start);
        KernelTraceGroups.EventTrace.TryWriteBytes(image.AsSpan(EventHeaderLayout.ProviderId));
        image[EventHeaderLayout.EventDescriptor + 2] = TraceLogfileHeaderLayout.EventVersion;
        image[BufferContext + 1] = 8;
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(UserDataLength), Payload);
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(UserData + TraceLogfileHeaderLayout.PointerSize), header.PointerSize);
        BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(UserData + TraceLogfileHeaderLayout.PerfFreq), header.Frequency);
        BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(UserData + TraceLogfileHeaderLayout.StartTime), header.StartTime);
        return image;
    }

    /// <summary>Puts the clock where a header with 32-bit pointers has it, whatever the size of the pointers is.</summary>
    /// <param name="start">Ticks.</param>
    /// <param name="startTime">FILETIME.</param>
    public static void WriteClock(Span<byte> image, long start, long startTime, TraceHeader header)
    {
        const int Shift = TraceLogfileHeaderLayout.Shift32;
        var payload = image[UserData..];
        BinaryPrimitives.WriteInt64LittleEndian(image[EventHeaderLayout.TimeStamp..], start);
        if (header.PointerSize == 8) payload.Slice(TraceLogfileHeaderLayout.TimeZone, 4).CopyTo(payload[(TraceLogfileHeaderLayout.TimeZone - Shift + 4)..]);
        BinaryPrimitives.WriteInt64LittleEndian(payload[(TraceLogfileHeaderLayout.PerfFreq - Shift)..], header.Frequency);
        BinaryPrimitives.WriteInt64LittleEndian(payload[(TraceLogfileHeaderLayout.StartTime - Shift)..], startTime);
    }

    private static void WriteIdentity(Span<byte> to, TraceRecord record)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to[EventHeaderLayout.ThreadId..], record.ThreadId);
        BinaryPrimitives.WriteInt32LittleEndian(to[EventHeaderLayout.ProcessId..], record.ProcessId);
        BinaryPrimitives.WriteInt64LittleEndian(to[EventHeaderLayout.TimeStamp..], record.Time);
        record.Provider.TryWriteBytes(to[EventHeaderLayout.ProviderId..]);
        BinaryPrimitives.WriteUInt64LittleEndian(to[EventHeaderLayout.ProcessorTime..], record.ProcessorTime);
    }

    private static void WriteFlags(Span<byte> to, int flags, TraceRecord record)
    {
        flags &= ~(EventHeaderLayout.Header32Flag | EventHeaderLayout.Header64Flag | ProcessorIndexFlag);
        flags |= record.Is32Bit ? EventHeaderLayout.Header32Flag : EventHeaderLayout.Header64Flag;
        if (record.Processor > byte.MaxValue) flags |= ProcessorIndexFlag;
        BinaryPrimitives.WriteUInt16LittleEndian(to[EventHeaderLayout.Flags..], (ushort)flags);
    }

    private static int WriteItems(TraceRecord record, Span<byte> to, int at)
    {
        // First the items, then their data in the same order.
        var items = at;
        var (count, data) = Items(record, to, at, 0);
        data = items + (count * ItemSize);
        if (count > 0) (_, data) = Items(record, to, items, data);
        BinaryPrimitives.WriteUInt16LittleEndian(to[ExtendedDataCount..], (ushort)count);
        return Padded(to, data, 16);
    }

    /// <param name="data">Where the data go; 0: the items are only counted.</param>
    private static (int Count, int End) Items(TraceRecord record, Span<byte> to, int items, int data)
    {
        var count = 0;
        switch (record.Family)
        {
            case RecordFamily.Event:
                var rest = record.ExtendedItems;
                while (TraceRecord.NextItem(ref rest, out var type, out var bytes)) Add(to, type, bytes);
                break;
            case RecordFamily.Instance:
                Add(to, InstanceInfo, record.Bytes[FullHeaderLayout.InstanceId..FullHeaderLayout.InstanceSizeInBytes]);
                break;
            case RecordFamily.PerfInfo when record.Counters is { Length: > 0 } counters:
                var pebs = (BinaryPrimitives.ReadUInt16LittleEndian(record.Bytes) & PerfInfoHeaderLayout.PebsFlag) != 0 ? 8 : 0;
                if (pebs > 0) Add(to, PebsIndex, counters[..pebs]);
                if (counters.Length > pebs) Add(to, PmcCounters, counters[pebs..]);
                break;
        }

        return (count, data);

        void Add(Span<byte> to, ushort type, ReadOnlySpan<byte> bytes)
        {
            if (data > 0)
            {
                var item = to.Slice(items + (count * ItemSize), ItemSize);
                item.Clear();
                BinaryPrimitives.WriteUInt16LittleEndian(item[2..], type);
                BinaryPrimitives.WriteUInt16LittleEndian(item[6..], (ushort)bytes.Length);
                bytes.CopyTo(to[data..]);
                data = Padded(to, data + bytes.Length, 8);
            }

            count++;
        }
    }

    private static int Padded(Span<byte> to, int at, int alignment)
    {
        var end = at + alignment - 1 & -alignment;
        to[at..end].Clear();
        return end;
    }
}
