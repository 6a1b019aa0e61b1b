using BenchmarkDotNet.Attributes;
using Core.Tests.Traces;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Core.Traces;
using Harness.Emulation;
using Harness.Scenarios;
using Harness.Tracing;

namespace Harness.Benchmarks;

/// <summary>Event traces on disk: a gigabyte of a shutdown's events, and a compressed one of a profiler. Each method returns the number of events.</summary>
public class TraceReading : IDisposable
{
    private const long Gigabyte = 1L << 30;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("driverfault-benchmark-");
    private readonly long _events, _polls;

    public TraceReading()
    {
        using (var large = File.Create(Large)) _events = RepeatedTrace.Write(large, Gigabyte);
        File.WriteAllBytes(Compressed, RealTrace.Net);
        WritePolling(Polling);
        _polls = Read(Polling);
    }

    private string Large => Path.Combine(_folder.FullName, "large.etl");

    /// <summary>Ten minutes of a thread that looks for its request every 10 ms: context switches, stacks, who made whom ready.</summary>
    private string Polling => Path.Combine(_folder.FullName, "polling.etl");

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

    /// <summary>The whole look for processes that don't end.</summary>
    [Benchmark]
    public long Analyse() => Analyse(Large, "none", _events);

    [Benchmark]
    public long AnalysePolling() => Analyse(Polling, "zombie", _polls);

    public void Dispose()
    {
        _folder.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }

    private static long Analyse(string path, string verdict, long events)
    {
        using var trace = EventTrace.Open(path);
        return TraceAnalysis.Of(trace) is { Gaps.Count: 0 } seen && seen.Verdict == verdict ? events : throw new InvalidOperationException("the trace is told wrongly");
    }

    private static void WritePolling(string path)
    {
        var scenario = ScenarioCatalogue.Named("hang-irp-noop-cancel")!;
        var choices = new Choices(scenario.DefaultIoctl, [], 0, Outcome.Zombie, TimeSpan.FromMinutes(10));
        new EmulatedTarget().Play(scenario.Tell(choices), new DriverUnderTest(MyFault.FileName, MyFault.Image(), MyFault.Device), new Conditions(1, 1), new EvidenceLog(), new Recording(null, Trace: true, (name, pieces) =>
        {
            if (name != Recording.TraceFileName) return;
            using var file = File.Create(path);
            foreach (var piece in pieces) file.Write(piece.Span);
        }));
    }

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
