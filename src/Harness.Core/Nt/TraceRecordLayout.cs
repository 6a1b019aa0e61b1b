namespace Harness.Core.Nt;

/// <summary>
/// The headers of the records of an event trace log: sizes and offsets in bytes. The first 32 bits are a marker: flags in the highest byte, a
/// <see cref="TraceRecordType"/> below it. Sources: as <see cref="TraceBufferLayout"/>.
/// </summary>
public static class TraceRecordLayout
{
    /// <summary>The marker's byte that is a <see cref="TraceRecordType"/>.</summary>
    public const int Type = 2;

    /// <summary>The marker's byte that is one of the flags below.</summary>
    public const int Flags = 3;

    /// <summary>TRACE_HEADER_FLAG | TRACE_HEADER_EVENT_TRACE: every record but messages.</summary>
    public const byte EventTraceFlag = 0xC0;

    /// <summary>TRACE_HEADER_FLAG | TRACE_MESSAGE: what WPP and TraceMessage write.</summary>
    public const byte MessageFlag = 0x90;

    /// <summary>TRACE_HEADER_FLAG with a 32-bit time.</summary>
    public const byte ShortTimeFlag = 0xB0;
}

/// <summary>TRACE_HEADER_TYPE_*: those of 32-bit systems and of 64-bit ones differ in the pointers of the payload only.</summary>
public enum TraceRecordType : byte
{
    /// <summary>What a message has here.</summary>
    Message = 0,
    System32 = 1,
    System64 = 2,
    Compact32 = 3,
    Compact64 = 4,
    FullHeader32 = 0x0A,
    Instance32 = 0x0B,
    Timed = 0x0C,
    Error = 0x0D,
    PerfInfo32 = 0x10,
    PerfInfo64 = 0x11,
    EventHeader32 = 0x12,
    EventHeader64 = 0x13,
    FullHeader64 = 0x14,
    Instance64 = 0x15,
}

/// <summary>SYSTEM_TRACE_HEADER; a compact one is its first 24 bytes, PERFINFO_TRACE_HEADER has the first 8 and then the time.</summary>
public static class SystemTraceHeaderLayout
{
    public const int SizeInBytes = 32;
    public const int CompactSizeInBytes = 24;
    public const int Version = 0;

    /// <summary>16 bits: header and payload.</summary>
    public const int Size = 4;
    public const int EventType = 6;
    public const int Group = 7;
    public const int ThreadId = 8;
    public const int ProcessId = 0x0C;
    public const int SystemTime = 0x10;
    public const int KernelTime = 0x18;
    public const int UserTime = 0x1C;
}

/// <summary>PERFINFO_TRACE_HEADER: a system header without thread and process.</summary>
public static class PerfInfoHeaderLayout
{
    public const int SizeInBytes = 16;
    public const int SystemTime = 8;

    /// <summary>Of the version: an 8-byte PEBS index follows the header.</summary>
    public const int PebsFlag = 0x8000;

    /// <summary>Of the version, from bit 8: how many 8-byte performance counters follow the header.</summary>
    public const int CountersShift = 8, CountersMask = 7;

    /// <summary>What of the version is the event's.</summary>
    public const int VersionMask = 0xFF;
}

/// <summary>EVENT_TRACE_HEADER, of classic providers; EVENT_INSTANCE_GUID_HEADER continues it.</summary>
public static class FullHeaderLayout
{
    public const int SizeInBytes = 48;
    public const int InstanceSizeInBytes = 72;

    /// <summary>16 bits: header and payload.</summary>
    public const int Size = 0;
    public const int EventType = 4;
    public const int Level = 5;
    public const int Version = 6;
    public const int ThreadId = 8;
    public const int ProcessId = 0x0C;
    public const int TimeStamp = 0x10;
    public const int Guid = 0x18;
    public const int ProcessorTime = 0x28;
    public const int InstanceId = 0x30;
    public const int ParentInstanceId = 0x34;
    public const int ParentGuid = 0x38;
}

/// <summary>EVENT_HEADER, of providers with a manifest (evntcons.h); extended items follow it where <see cref="ExtendedInfoFlag"/> is set.</summary>
public static class EventHeaderLayout
{
    public const int SizeInBytes = 80;

    /// <summary>16 bits: header, extended items and payload.</summary>
    public const int Size = 0;
    public const int Flags = 4;
    public const int EventProperty = 6;
    public const int ThreadId = 8;
    public const int ProcessId = 0x0C;
    public const int TimeStamp = 0x10;
    public const int ProviderId = 0x18;

    /// <summary>EVENT_DESCRIPTOR: u16 Id, u8 Version, u8 Channel, u8 Level, u8 Opcode, u16 Task, u64 Keyword.</summary>
    public const int EventDescriptor = 0x28;
    public const int ProcessorTime = 0x38;
    public const int ActivityId = 0x40;

    /// <summary>EVENT_HEADER_FLAG_EXTENDED_INFO.</summary>
    public const int ExtendedInfoFlag = 1;

    /// <summary>EVENT_HEADER_FLAG_32_BIT_HEADER, _64_BIT_HEADER, _CLASSIC_HEADER.</summary>
    public const int Header32Flag = 0x20, Header64Flag = 0x40, ClassicHeaderFlag = 0x100;

    /// <summary>An extended item: u16 reserved, u16 type, u16 linkage, u16 size of the data that follow, padded to 8.</summary>
    public const int ItemHeaderSize = 8, ItemType = 2, ItemLinkage = 4, ItemDataSize = 6;

    /// <summary>Of the linkage: another item follows.</summary>
    public const int ItemMore = 1;
}

/// <summary>The header of TraceMessage: the fields that its flags name follow, in the flags' order.</summary>
public static class MessageHeaderLayout
{
    public const int SizeInBytes = 8;

    /// <summary>16 bits: header and payload.</summary>
    public const int Size = 0;
    public const int MessageNumber = 4;
    public const int Flags = 6;

    /// <summary>TRACE_MESSAGE_*: 4, 16, 4, 8 and 8 (thread, process) bytes.</summary>
    public const int SequenceFlag = 1, GuidFlag = 2, ComponentIdFlag = 4, TimeStampFlag = 8, SystemInfoFlag = 0x20;
}
