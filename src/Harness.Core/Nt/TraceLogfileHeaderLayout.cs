namespace Harness.Core.Nt;

/// <summary>
/// TRACE_LOGFILE_HEADER (evntrace.h), the payload of the first event of a trace: offsets in bytes where pointers have 64 bits. Two UTF-16
/// names follow, each with its zero: the logger's and the file's.
/// </summary>
public static class TraceLogfileHeaderLayout
{
    public const int SizeInBytes = 0x118;

    /// <summary>Version of the event: group 0, type 0.</summary>
    public const int EventVersion = 2;

    public const int BufferSize = 0;

    /// <summary>u8 major, minor, sub, sub-minor: 0x0501000A is Windows 10.</summary>
    public const int Version = 4;

    /// <summary>The build number.</summary>
    public const int ProviderVersion = 8;
    public const int NumberOfProcessors = 0x0C;

    /// <summary>FILETIME.</summary>
    public const int EndTime = 0x10;

    /// <summary>In 100 ns units.</summary>
    public const int TimerResolution = 0x18;

    /// <summary>In MiB; 0 without limit.</summary>
    public const int MaximumFileSize = 0x1C;

    /// <summary><see cref="LogFileModes"/>.</summary>
    public const int LogFileMode = 0x20;
    public const int BuffersWritten = 0x24;
    public const int StartBuffers = 0x28;
    public const int PointerSize = 0x2C;
    public const int EventsLost = 0x30;

    /// <summary>In MHz.</summary>
    public const int CpuSpeed = 0x34;

    /// <summary>LoggerName and LogFileName: two pointers that mean nothing in a file.</summary>
    public const int LoggerName = 0x38;

    /// <summary>TIME_ZONE_INFORMATION, 172 bytes; the first 32 bits are the bias in minutes.</summary>
    public const int TimeZone = 0x48;

    /// <summary>FILETIME.</summary>
    public const int BootTime = 0xF8;

    /// <summary>Ticks of the performance counter in a second.</summary>
    public const int PerfFreq = 0x100;

    /// <summary>FILETIME; the header event's own time is the same moment on the trace's clock.</summary>
    public const int StartTime = 0x108;

    /// <summary>ReservedFlags: a <see cref="TraceClock"/>.</summary>
    public const int ClockType = 0x110;
    public const int BuffersLost = 0x114;

    /// <summary>Where the logger's name begins.</summary>
    public const int Names = 0x118;

    /// <summary>How much earlier everything from TimeZone on is where pointers have 32 bits.</summary>
    public const int Shift32 = 8;
}

/// <summary>EVENT_TRACE_*_MODE.</summary>
[Flags]
public enum LogFileModes : uint
{
    None = 0,
    Sequential = 1,
    Circular = 2,
    Append = 4,
    NewFile = 8,

    /// <summary>EVENT_TRACE_RELOG_MODE: several files merged.</summary>
    Relog = 0x10000,
    SystemLogger = 0x02000000,
    Compressed = 0x04000000,
}

/// <summary>What the times of a trace's events count.</summary>
public enum TraceClock : uint
{
    Unknown = 0,

    /// <summary>Ticks of PerfFreq.</summary>
    QueryPerformanceCounter = 1,

    /// <summary>FILETIME.</summary>
    SystemTime = 2,

    /// <summary>Cycles of CpuSpeed.</summary>
    CpuCycles = 3,
}
