using System.Buffers.Binary;
using System.Text;
using Harness.Core.Nt;
using Harness.Core.Targets;

namespace Harness.Emulation.Traces;

/// <summary>The first event of the file: EventTrace/Header, with a TRACE_LOGFILE_HEADER. The machine's clock is UTC.</summary>
internal sealed class LogfileHeader(SessionFacts facts, int buffers)
{
    private const string LoggerName = "NT Kernel Logger";

    /// <summary>Major and minor version 10.0 of the system, 1.5 of the file.</summary>
    private const uint Version = 0x0501_000A;

    public ReadOnlySpan<byte> Record(Span<byte> bytes, long time)
    {
        var record = TraceRecord.System(bytes, KernelTraceEvents.Header, TraceLogfileHeaderLayout.EventVersion, time, 0, 0);
        var header = record.Room(TraceLogfileHeaderLayout.SizeInBytes);
        header.Clear();
        Put32(header, TraceLogfileHeaderLayout.BufferSize, TraceBuffers.BufferSize);
        Put32(header, TraceLogfileHeaderLayout.Version, Version);
        Put32(header, TraceLogfileHeaderLayout.ProviderVersion, facts.Build);
        Put32(header, TraceLogfileHeaderLayout.NumberOfProcessors, facts.Processors);
        Put64(header, TraceLogfileHeaderLayout.EndTime, facts.BootTime + facts.Stopped);
        Put32(header, TraceLogfileHeaderLayout.TimerResolution, facts.TimerResolution);
        Put32(header, TraceLogfileHeaderLayout.LogFileMode, (uint)(LogFileModes.Sequential | LogFileModes.SystemLogger));
        Put32(header, TraceLogfileHeaderLayout.BuffersWritten, (uint)buffers);
        Put32(header, TraceLogfileHeaderLayout.StartBuffers, 1);
        Put32(header, TraceLogfileHeaderLayout.PointerSize, 8);
        Put32(header, TraceLogfileHeaderLayout.CpuSpeed, facts.MegaHertz);
        PutTimeZone(header[TraceLogfileHeaderLayout.TimeZone..]);
        Put64(header, TraceLogfileHeaderLayout.BootTime, facts.BootTime);
        Put64(header, TraceLogfileHeaderLayout.PerfFreq, TraceBuffers.Frequency);
        Put64(header, TraceLogfileHeaderLayout.StartTime, facts.BootTime + facts.Started);
        Put32(header, TraceLogfileHeaderLayout.ClockType, (uint)TraceClock.QueryPerformanceCounter);
        record.PutUnicode(LoggerName);
        record.PutUnicode(Recording.TraceFileName);
        return record.Bytes;
    }

    /// <summary>TIME_ZONE_INFORMATION (timezoneapi.h): Bias +0, StandardName +4, DaylightName +0x58, 32 characters each.</summary>
    private static void PutTimeZone(Span<byte> zone)
    {
        Encoding.Unicode.GetBytes("UTC", zone[4..]);
        Encoding.Unicode.GetBytes("UTC", zone[0x58..]);
    }

    private static void Put32(Span<byte> bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes[at..], value);

    private static void Put64(Span<byte> bytes, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes[at..], value);
}
