using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>One event as it lies in a buffer. It is true until the reader moves on.</summary>
public readonly ref struct TraceRecord
{
    private readonly RecordShape _shape;

    internal TraceRecord(ReadOnlySpan<byte> bytes, RecordShape shape, int processor, long time)
    {
        Bytes = bytes;
        _shape = shape;
        Processor = processor;
        Time = time;
    }

    /// <summary>Header and payload, without the padding.</summary>
    public ReadOnlySpan<byte> Bytes { get; }

    public int Processor { get; }

    /// <summary>Ticks of the trace's clock. Of a message without a time: that of the record before it.</summary>
    public long Time { get; }

    public TraceRecordType Type => _shape.Type;

    /// <summary>Whether the kernel's logger wrote it: it has a hook id. Otherwise it has a <see cref="Provider"/>.</summary>
    public bool IsKernel => _shape.Family is RecordFamily.System or RecordFamily.Compact or RecordFamily.PerfInfo;

    /// <summary>Group and type; one of <see cref="KernelTraceEvents"/>. 0 where <see cref="IsKernel"/> is false.</summary>
    public ushort HookId => IsKernel ? (ushort)(Bytes[SystemTraceHeaderLayout.Group] << 8 | Bytes[SystemTraceHeaderLayout.EventType]) : (ushort)0;

    /// <summary>Whether the pointers of the payload have 32 bits.</summary>
    public bool Is32Bit => _shape.Is32Bit;

    /// <summary>The provider, the class of a classic event, or the message's GUID; <see cref="Guid.Empty"/> where there is none.</summary>
    public Guid Provider => _shape.Family switch
    {
        RecordFamily.System or RecordFamily.Compact or RecordFamily.PerfInfo => KernelTraceEvents.Class(HookId),
        RecordFamily.Full or RecordFamily.Instance or RecordFamily.Event => new Guid(Bytes.Slice(FullHeaderLayout.Guid, 16)),
        _ => MessageField(MessageHeaderLayout.GuidFlag) is var at and > 0 ? new Guid(Bytes.Slice(at, 16)) : Guid.Empty,
    };

    /// <summary>The opcode: of a kernel event the low half of its hook id.</summary>
    public byte Opcode => _shape.Family switch
    {
        RecordFamily.System or RecordFamily.Compact or RecordFamily.PerfInfo => Bytes[SystemTraceHeaderLayout.EventType],
        RecordFamily.Full or RecordFamily.Instance => Bytes[FullHeaderLayout.EventType],
        RecordFamily.Event => Bytes[EventHeaderLayout.EventDescriptor + 5],
        _ => 0,
    };

    public byte Version => _shape.Family switch
    {
        RecordFamily.System or RecordFamily.Compact or RecordFamily.PerfInfo => Bytes[SystemTraceHeaderLayout.Version],
        RecordFamily.Full or RecordFamily.Instance => Bytes[FullHeaderLayout.Version],
        RecordFamily.Event => Bytes[EventHeaderLayout.EventDescriptor + 2],
        _ => 0,
    };

    /// <summary>The id of an event with a manifest, or a message's number; 0 for the others.</summary>
    public ushort Id => _shape.Family switch
    {
        RecordFamily.Event => UInt16(EventHeaderLayout.EventDescriptor),
        RecordFamily.Message => UInt16(MessageHeaderLayout.MessageNumber),
        _ => 0,
    };

    /// <summary>The thread that logged it; -1 when the record doesn't tell.</summary>
    public int ThreadId => Identity(0);

    /// <summary>The process that logged it; -1 when the record doesn't tell.</summary>
    public int ProcessId => Identity(4);

    /// <summary>Kernel and user time in one, as the record has it; 0 where it has none.</summary>
    public ulong ProcessorTime => _shape.Family switch
    {
        RecordFamily.System => UInt64(SystemTraceHeaderLayout.KernelTime),
        RecordFamily.Full or RecordFamily.Instance => UInt64(FullHeaderLayout.ProcessorTime),
        RecordFamily.Event => UInt64(EventHeaderLayout.ProcessorTime),
        _ => 0,
    };

    /// <summary>What the provider wrote.</summary>
    public ReadOnlySpan<byte> Payload => Bytes[PayloadAt..];

    /// <summary>PEBS index and performance counters of a kernel event, 8 bytes each; empty for most.</summary>
    public ReadOnlySpan<byte> Counters => _shape.Family == RecordFamily.PerfInfo ? Bytes[PerfInfoHeaderLayout.SizeInBytes..PayloadAt] : [];

    /// <summary>The extended items of an event with a manifest, as they lie in the record; empty for most. See <see cref="ExtendedItem"/>.</summary>
    public ReadOnlySpan<byte> ExtendedItems => _shape.Family == RecordFamily.Event ? Bytes[EventHeaderLayout.SizeInBytes..PayloadAt] : [];

    /// <summary>What kind of header it has.</summary>
    public RecordFamily Family => _shape.Family;

    /// <summary>
    /// Takes the next of <see cref="ExtendedItems"/>: its type (EVENT_HEADER_EXT_TYPE_*) and data. False at the end.
    /// </summary>
    public static bool NextItem(ref ReadOnlySpan<byte> items, out ushort type, out ReadOnlySpan<byte> data)
    {
        type = 0;
        data = [];
        if (items.Length < EventHeaderLayout.ItemHeaderSize) return false;
        type = BinaryPrimitives.ReadUInt16LittleEndian(items[EventHeaderLayout.ItemType..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(items[EventHeaderLayout.ItemDataSize..]);
        if (size > items.Length - EventHeaderLayout.ItemHeaderSize) return false;
        data = items.Slice(EventHeaderLayout.ItemHeaderSize, size);
        items = items[Math.Min(RecordShape.Aligned(EventHeaderLayout.ItemHeaderSize + size), items.Length)..];
        return true;
    }

    private int PayloadAt
    {
        get
        {
            switch (_shape.Family)
            {
                case RecordFamily.PerfInfo:
                    int version = UInt16(SystemTraceHeaderLayout.Version);
                    var counters = (version >> PerfInfoHeaderLayout.CountersShift & PerfInfoHeaderLayout.CountersMask) + ((version & PerfInfoHeaderLayout.PebsFlag) != 0 ? 1 : 0);
                    return Math.Min(PerfInfoHeaderLayout.SizeInBytes + (counters * 8), Bytes.Length);
                case RecordFamily.Event when (UInt16(EventHeaderLayout.Flags) & EventHeaderLayout.ExtendedInfoFlag) != 0:
                    return AfterItems();
                case RecordFamily.Message:
                    return RecordShape.MessageHeader(UInt16(MessageHeaderLayout.Flags));
                default:
                    return _shape.HeaderSize;
            }
        }
    }

    private int AfterItems()
    {
        var at = EventHeaderLayout.SizeInBytes;
        while (Bytes.Length - at >= EventHeaderLayout.ItemHeaderSize)
        {
            int size = UInt16(at + EventHeaderLayout.ItemDataSize);
            var more = (UInt16(at + EventHeaderLayout.ItemLinkage) & EventHeaderLayout.ItemMore) != 0;
            at = Math.Min(at + RecordShape.Aligned(EventHeaderLayout.ItemHeaderSize + size), Bytes.Length);
            if (!more) break;
        }

        return at;
    }

    /// <param name="which">0: the thread; 4: the process, which is right behind it in all headers.</param>
    private int Identity(int which)
    {
        switch (_shape.Family)
        {
            case RecordFamily.PerfInfo:
                return -1;
            case RecordFamily.Message:
                var at = MessageField(MessageHeaderLayout.SystemInfoFlag);
                return at > 0 ? (int)UInt32(at + which) : -1;
            default:
                return (int)UInt32(SystemTraceHeaderLayout.ThreadId + which);
        }
    }

    /// <summary>Where a message has this field; 0 when it doesn't.</summary>
    private int MessageField(int flag) => RecordShape.MessageField(UInt16(MessageHeaderLayout.Flags), flag);

    private ushort UInt16(int at) => BinaryPrimitives.ReadUInt16LittleEndian(Bytes[at..]);

    private uint UInt32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes[at..]);

    private ulong UInt64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(Bytes[at..]);
}
