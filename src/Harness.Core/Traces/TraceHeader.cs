using System.Buffers.Binary;
using System.Text;
using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>What a trace tells of itself, in the first event of its first buffer (TRACE_LOGFILE_HEADER).</summary>
public sealed record TraceHeader
{
    /// <summary>Units of FILETIME in a second.</summary>
    private const long FileTimeFrequency = 10_000_000;

    /// <summary>The session's, in bytes.</summary>
    public uint BufferSize { get; private init; }

    /// <summary>The build of the machine's Windows.</summary>
    public uint Build { get; private init; }

    public uint Processors { get; private init; }

    /// <summary>Bytes of a pointer in the events of the kernel: 4 or 8.</summary>
    public int PointerSize { get; private init; } = 8;

    public LogFileModes Mode { get; private init; }

    public uint BuffersWritten { get; private init; }

    /// <summary>Events that found no room in a buffer; some sessions only know it when they end.</summary>
    public uint EventsLost { get; private init; }

    /// <summary>Buffers that could not be written.</summary>
    public uint BuffersLost { get; private init; }

    public TraceClock Clock { get; private init; }

    /// <summary>The header tells a clock that there is, and how fast it goes.</summary>
    public bool IsTimed { get; private init; }

    /// <summary>Ticks of the events' times in a second.</summary>
    public long Frequency { get; private init; } = FileTimeFrequency;

    /// <summary>The time of the header's event: the moment of <see cref="StartTime"/> on the clock of the events.</summary>
    public long Start { get; private init; }

    /// <summary>FILETIME; <see cref="BootTime"/> and <see cref="EndTime"/> too.</summary>
    public long StartTime { get; private init; }

    public long EndTime { get; private init; }

    public long BootTime { get; private init; }

    /// <summary>Empty when the file doesn't tell.</summary>
    public string LoggerName { get; private init; } = "";

    public string LogFileName { get; private init; } = "";

    /// <summary>The payload as it is in the file; empty when the file has no header.</summary>
    public ReadOnlyMemory<byte> Payload { get; private init; }

    /// <summary>Of a file that has none.</summary>
    internal static TraceHeader None { get; } = new();

    /// <summary>Whether the file has one. Without it times are taken for units of 100 ns.</summary>
    public bool IsThere => !Payload.IsEmpty;

    /// <summary>An event's time as FILETIME, saturated.</summary>
    public long FileTime(long time)
    {
        var file = StartTime + (((Int128)time - Start) * FileTimeFrequency / Frequency);
        return (long)Int128.Clamp(file, 0, long.MaxValue);
    }

    /// <summary>Null when this is not the header's event, or is too short for one.</summary>
    internal static TraceHeader? Read(TraceRecord record)
    {
        if (!record.IsKernel || record.HookId != KernelTraceEvents.Header) return null;
        var bytes = record.Payload;
        if (bytes.Length < TraceLogfileHeaderLayout.SizeInBytes - TraceLogfileHeaderLayout.Shift32) return null;
        var shift = UInt32(bytes, TraceLogfileHeaderLayout.PointerSize) == 4 ? TraceLogfileHeaderLayout.Shift32 : 0;
        if (bytes.Length < TraceLogfileHeaderLayout.SizeInBytes - shift) return null;
        var clock = (TraceClock)UInt32(bytes, TraceLogfileHeaderLayout.ClockType - shift);
        var perf = Int64(bytes, TraceLogfileHeaderLayout.PerfFreq - shift);
        long frequency = clock switch
        {
            TraceClock.SystemTime => FileTimeFrequency,
            TraceClock.CpuCycles => UInt32(bytes, TraceLogfileHeaderLayout.CpuSpeed) * 1_000_000L,
            _ => perf,
        };
        var (logger, next) = Text(bytes, TraceLogfileHeaderLayout.Names - shift);
        return new TraceHeader
        {
            BufferSize = UInt32(bytes, TraceLogfileHeaderLayout.BufferSize),
            Build = UInt32(bytes, TraceLogfileHeaderLayout.ProviderVersion),
            Processors = UInt32(bytes, TraceLogfileHeaderLayout.NumberOfProcessors),
            PointerSize = shift == 0 ? 8 : 4,
            Mode = (LogFileModes)UInt32(bytes, TraceLogfileHeaderLayout.LogFileMode),
            BuffersWritten = UInt32(bytes, TraceLogfileHeaderLayout.BuffersWritten),
            EventsLost = UInt32(bytes, TraceLogfileHeaderLayout.EventsLost),
            BuffersLost = UInt32(bytes, TraceLogfileHeaderLayout.BuffersLost - shift),
            Clock = clock,
            IsTimed = clock <= TraceClock.CpuCycles && frequency > 0,
            Frequency = frequency > 0 ? frequency : FileTimeFrequency,
            Start = record.Time,
            StartTime = Int64(bytes, TraceLogfileHeaderLayout.StartTime - shift),
            EndTime = Int64(bytes, TraceLogfileHeaderLayout.EndTime),
            BootTime = Int64(bytes, TraceLogfileHeaderLayout.BootTime - shift),
            LoggerName = logger,
            LogFileName = Text(bytes, next).Text,
            Payload = bytes.ToArray(),
        };
    }

    private static uint UInt32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long Int64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);

    /// <summary>UTF-16 up to its zero, and where the next begins.</summary>
    private static (string Text, int Next) Text(ReadOnlySpan<byte> bytes, int at)
    {
        if (at >= bytes.Length) return ("", at);
        var end = at;
        while (end + 1 < bytes.Length && (bytes[end] | bytes[end + 1]) != 0) end += 2;
        return (Encoding.Unicode.GetString(bytes[at..end]), end + 2);
    }
}
