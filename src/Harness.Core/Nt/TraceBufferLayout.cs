namespace Harness.Core.Nt;

/// <summary>
/// WMI_BUFFER_HEADER, the first 72 bytes of each buffer of an event trace log (.etl): offsets in bytes. Sources: phnt's ntwmi.h, Geoff
/// Chappell's study of tracelog, and real files.
/// </summary>
public static class TraceBufferLayout
{
    public const int SizeInBytes = 0x48;

    /// <summary>Bytes the buffer takes in the file (32 bits); the next begins right after. All the same, unless the file is compressed.</summary>
    public const int BufferSize = 0;

    /// <summary>End of what is valid, from the header's start (32 bits). The rest of the buffer is 0xFF, or stale.</summary>
    public const int SavedOffset = 4;

    /// <summary>What the buffer held when it was flushed (32 bits). Stale in real files: SavedOffset counts.</summary>
    public const int CurrentOffset = 8;

    /// <summary>When it was flushed: ticks of the trace's clock, or FILETIME in a merged file. It orders nothing.</summary>
    public const int TimeStamp = 0x10;

    /// <summary>64 bits: the order of one processor's buffers; 0 for the header's. Buffers lie in the file in any order.</summary>
    public const int SequenceNumber = 0x18;

    /// <summary>16 bits with <see cref="TraceBufferFlags.ProcessorIndex"/>; otherwise one byte, and one for the alignment.</summary>
    public const int ProcessorIndex = 0x28;

    /// <summary>What of ProcessorIndex is the number.</summary>
    public const int ProcessorIndexMask = 0x7FF;

    public const int LoggerId = 0x2A;

    /// <summary>3: flushed (32 bits). In the first buffer of a compressed file, the low half is a <see cref="TraceCompression"/>.</summary>
    public const int State = 0x2C;

    /// <summary>Mostly SavedOffset (32 bits).</summary>
    public const int Offset = 0x30;

    /// <summary><see cref="TraceBufferFlags"/>.</summary>
    public const int BufferFlag = 0x34;

    /// <summary><see cref="TraceBufferType"/>.</summary>
    public const int BufferType = 0x36;

    /// <summary>State of a buffer that was flushed.</summary>
    public const uint StateFlush = 3;

    /// <summary>Records begin at multiples of this, from the buffer's start.</summary>
    public const int RecordAlignment = 8;
}

/// <summary>ETW_BUFFER_FLAG_*.</summary>
[Flags]
public enum TraceBufferFlags : ushort
{
    None = 0,

    /// <summary>The last buffers of a session carry it.</summary>
    FlushMarker = 1,
    EventsLost = 2,
    BufferLost = 4,
    RealTimeBackupCorrupt = 8,
    RealTimeBackup = 0x10,
    ProcessorIndex = 0x20,

    /// <summary>What follows the header is compressed; inflated it ends at SavedOffset.</summary>
    Compressed = 0x40,
}

/// <summary>ETW_BUFFER_TYPE_*.</summary>
public enum TraceBufferType : ushort
{
    Generic = 0,
    Rundown = 1,
    ContextSwap = 2,
    ReferenceTime = 3,

    /// <summary>The first buffer of a file: it begins with the EventTrace/Header event.</summary>
    Header = 4,
    Batched = 5,
    EmptyMarker = 6,
    DebugInfo = 7,
}

/// <summary>COMPRESSION_FORMAT_* (ntifs.h).</summary>
public enum TraceCompression : ushort
{
    None = 0,
    Lznt1 = 2,
    Xpress = 3,
    XpressHuffman = 4,
}
