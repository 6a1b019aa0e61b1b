using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>What kind of header a record has.</summary>
public enum RecordFamily : byte
{
    Unknown,

    /// <summary>SYSTEM_TRACE_HEADER: a kernel event.</summary>
    System,

    /// <summary>The same without processor times.</summary>
    Compact,

    /// <summary>PERFINFO_TRACE_HEADER: a kernel event without thread and process.</summary>
    PerfInfo,

    /// <summary>EVENT_TRACE_HEADER: a classic provider's.</summary>
    Full,

    /// <summary>EVENT_INSTANCE_GUID_HEADER.</summary>
    Instance,

    /// <summary>EVENT_HEADER: of a provider with a manifest, or one that describes itself.</summary>
    Event,

    /// <summary>WPP and TraceMessage.</summary>
    Message,

    /// <summary>What the logger leaves where it could not write a record: only its size counts.</summary>
    Error,
}

/// <summary>Where a record's header has what.</summary>
internal readonly record struct RecordShape(RecordFamily Family, TraceRecordType Type, byte HeaderSize, byte SizeAt, byte TimeAt, bool Is32Bit)
{
    private static readonly RecordShape Message = new(RecordFamily.Message, TraceRecordType.Message, MessageHeaderLayout.SizeInBytes, MessageHeaderLayout.Size, 0, false);

    private static readonly RecordShape[] ByType = Table();

    /// <summary>The shape that a record's marker tells; <see cref="RecordFamily.Unknown"/> when none is known.</summary>
    public static RecordShape Of(byte type, byte flags) => flags switch
    {
        TraceRecordLayout.EventTraceFlag => type < ByType.Length ? ByType[type] : default,
        TraceRecordLayout.MessageFlag => Message,
        _ => default,
    };

    public static int Aligned(int size) => (size + TraceBufferLayout.RecordAlignment - 1) & -TraceBufferLayout.RecordAlignment;

    /// <summary>Bytes of a message's header with the fields of these flags.</summary>
    public static int MessageHeader(int flags) => MessageHeaderLayout.SizeInBytes + Fields(flags, MessageHeaderLayout.SystemInfoFlag << 1);

    /// <summary>Where a message with these flags has the field of one of them; 0 when it doesn't.</summary>
    public static int MessageField(int flags, int flag) => (flags & flag) == 0 ? 0 : MessageHeaderLayout.SizeInBytes + Fields(flags, flag);

    /// <summary>Bytes of the fields before that of a flag.</summary>
    private static int Fields(int flags, int before)
    {
        var size = 0;
        if (before > MessageHeaderLayout.SequenceFlag && (flags & MessageHeaderLayout.SequenceFlag) != 0) size += 4;
        if (before > MessageHeaderLayout.GuidFlag && (flags & MessageHeaderLayout.GuidFlag) != 0) size += 16;
        if (before > MessageHeaderLayout.ComponentIdFlag && (flags & MessageHeaderLayout.ComponentIdFlag) != 0) size += 4;
        if (before > MessageHeaderLayout.TimeStampFlag && (flags & MessageHeaderLayout.TimeStampFlag) != 0) size += 8;
        if (before > MessageHeaderLayout.SystemInfoFlag && (flags & MessageHeaderLayout.SystemInfoFlag) != 0) size += 8;
        return size;
    }

    private static RecordShape[] Table()
    {
        var table = new RecordShape[(int)TraceRecordType.Instance64 + 1];
        Add(TraceRecordType.System32, TraceRecordType.System64, RecordFamily.System, SystemTraceHeaderLayout.SizeInBytes, SystemTraceHeaderLayout.Size, SystemTraceHeaderLayout.SystemTime);
        Add(TraceRecordType.Compact32, TraceRecordType.Compact64, RecordFamily.Compact, SystemTraceHeaderLayout.CompactSizeInBytes, SystemTraceHeaderLayout.Size, SystemTraceHeaderLayout.SystemTime);
        Add(TraceRecordType.PerfInfo32, TraceRecordType.PerfInfo64, RecordFamily.PerfInfo, PerfInfoHeaderLayout.SizeInBytes, SystemTraceHeaderLayout.Size, PerfInfoHeaderLayout.SystemTime);
        Add(TraceRecordType.FullHeader32, TraceRecordType.FullHeader64, RecordFamily.Full, FullHeaderLayout.SizeInBytes, FullHeaderLayout.Size, FullHeaderLayout.TimeStamp);
        Add(TraceRecordType.Instance32, TraceRecordType.Instance64, RecordFamily.Instance, FullHeaderLayout.InstanceSizeInBytes, FullHeaderLayout.Size, FullHeaderLayout.TimeStamp);
        Add(TraceRecordType.EventHeader32, TraceRecordType.EventHeader64, RecordFamily.Event, EventHeaderLayout.SizeInBytes, EventHeaderLayout.Size, EventHeaderLayout.TimeStamp);
        table[(int)TraceRecordType.Error] = new(RecordFamily.Error, TraceRecordType.Error, TraceBufferLayout.RecordAlignment, 0, 0, false);
        return table;

        void Add(TraceRecordType narrow, TraceRecordType wide, RecordFamily family, int header, int size, int time)
        {
            table[(int)narrow] = new(family, narrow, (byte)header, (byte)size, (byte)time, true);
            table[(int)wide] = new(family, wide, (byte)header, (byte)size, (byte)time, false);
        }
    }
}
