using BenchmarkDotNet.Attributes;
using Core.Tests.Traces;
using Harness.Core.Traces;
using Harness.Tracing;

namespace Harness.Benchmarks;

/// <summary>Event traces on disk: a gigabyte of a shutdown's events, and a compressed one of a profiler. Each method returns the number of events.</summary>
public sealed class TraceReading : IDisposable
{
    private const long Gigabyte = 1L << 30;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("driverfault-benchmark-");
    private readonly long _events;

    public TraceReading()
    {
        using (var large = File.Create(Large)) _events = RepeatedTrace.Write(large, Gigabyte);
        File.WriteAllBytes(Compressed, RealTrace.Net);
    }

    private string Large => Path.Combine(_folder.FullName, "large.etl");

    private string Compressed => Path.Combine(_folder.FullName, "compressed.etl");

    [Benchmark]
    public long Read() => Read(Large) is var events && events == _events ? events : throw new InvalidOperationException($"{events} of {_events} events");

    [Benchmark]
    public long Inflate() => Read(Compressed);

    /// <summary>With what a look for processes that don't end subscribes to.</summary>
    [Benchmark]
    public long ThroughTraceEvent()
    {
        using var trace = EventTrace.Open(Large);
        var (events, seen) = (0L, 0L);
        trace.Kernel.ProcessStop += data => seen += data.ProcessID;
        trace.Kernel.ThreadStop += data => seen += data.ThreadID;
        trace.Kernel.ThreadCSwitch += data => seen += data.NewThreadID;
        trace.Kernel.StackWalkStack += data => seen += data.FrameCount;
        trace.Kernel.DiskIODriverMajorFunctionCall += data => seen += (long)data.Irp;
        trace.Terminations.ProcessTerminate += data => seen += data.VictimProcessID;
        trace.Source.AllEvents += _ => events++;
        return trace.Process() && events == _events && seen != 0 ? events : throw new InvalidOperationException($"{events} of {_events} events");
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static long Read(string path)
    {
        using var trace = TraceFile.Open(path);
        var (events, seen) = (0L, 0L);
        var reader = trace.Events();
        while (reader.Next())
        {
            var record = reader.Record;
            events++;
            seen += record.HookId + record.Payload.Length;
        }

        return seen != 0 ? events : 0;
    }
}
