using System.Text;
using Core.Tests.Traces;
using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Harness.Tracing;
using Microsoft.Diagnostics.Tracing;
using Xunit;
using static Core.Tests.Traces.FakeTrace;

namespace Tracing.Tests;

public sealed class EventTraceTests
{
    private static readonly Guid Provider = new("11223344-1111-2222-3333-445566778899");

    private static EventTrace Bridge(byte[] file) => EventTrace.Bridge(TraceFile.Read(new MemoryStream(file)));

    [Fact]
    public void A_shutdown_has_its_ends_of_processes_and_threads_and_who_asked_for_them()
    {
        using var trace = Bridge(RealTrace.Shutdown);
        var (events, processes, threads) = (0, new Dictionary<int, double>(), new List<(int Process, double Time)>());
        var asked = new List<(int Victim, int By, double Time)>();
        trace.Kernel.ProcessStop += data => processes.Add(data.ProcessID, data.TimeStampRelativeMSec);
        trace.Kernel.ThreadStop += data => threads.Add((data.ProcessID, data.TimeStampRelativeMSec));
        trace.Terminations.ProcessTerminate += data => asked.Add((data.VictimProcessID, data.ProcessID, data.TimeStampRelativeMSec));
        trace.Source.AllEvents += _ => events++;

        trace.Process().Should().BeTrue();

        (events, processes.Count, threads.Count, asked.Count).Should().Be((17_078, 60, 1_032, 60));
        asked.Count(request => request.Victim != request.By).Should().Be(39);
        // It is logged when it is asked for: before the process's end, and before the ends of most of its threads.
        asked.Should().OnlyContain(request => request.Time <= processes[request.Victim]);
        var others = threads.Where(end => asked.Any(request => request.Victim == end.Process && request.By != request.Victim)).ToList();
        others.Count.Should().Be(476);
        others.Count(end => end.Time > asked.First(request => request.Victim == end.Process).Time).Should().Be(429);
        trace.Notes.Should().BeEmpty();
        (trace.File.Header.EventsLost, trace.Source.EventsLost).Should().Be((0u, 0));
    }

    [Fact]
    public void The_termination_has_a_name_and_a_payload_as_TraceEvents_own_events_do()
    {
        using var trace = Bridge(new FakeTrace().Buffer(0, 0, Kernel(TraceRecordType.System64, KernelTraceEvents.ProcessTerminate, 1001, [0x98, 1, 0, 0], thread: 12, process: 8)).File());
        var seen = new List<string>();
        trace.Terminations.ProcessTerminate += data => seen.Add($"{data.ProviderName}/{data.EventName} {data.ProcessID}.{data.ThreadID} {data.PayloadNames[0]} {data.PayloadValue(0)}");
        trace.Terminations.All += data => seen.Add(data.ToString());

        trace.Process();

        seen.Should().HaveCount(2).And.Contain("Windows Kernel/Process/Terminate 8.12 VictimProcessID 408").And.Contain(text => text.Contains("VictimProcessID=\"408\"", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(8, 1000)]
    [InlineData(4, 1000)]
    [InlineData(8, 0)]
    public void The_session_is_told_by_the_header(int pointerSize, long start)
    {
        using var trace = Bridge(new FakeTrace { Header = LogfileHeader(pointerSize, frequency: 1_000_000, eventsLost: 7), Start = start }.Buffer(0, 0, Kernel(pointerSize == 4 ? TraceRecordType.System32 : TraceRecordType.System64, KernelTraceEvents.Extension, start + 5000, new byte[36])).File());
        var headers = new List<string>();
        var times = new List<double>();
        trace.Kernel.EventTraceHeader += data => headers.Add($"{data.PerfFreq} {data.StartTime.ToFileTimeUtc()} {data.SessionName} {data.LogFileName} {data.EventsLost}");
        trace.Source.AllEvents += data => times.Add(data.TimeStampRelativeMSec);

        trace.Process().Should().BeTrue();

        headers.Should().Equal(@"1000000 132000000000000000 NT Kernel Logger C:\trace.etl 7");
        (trace.Source.EventsLost, trace.Source.NumberOfProcessors, trace.Source.PointerSize).Should().Be((7, 2, pointerSize));
        trace.File.IsIncomplete.Should().BeTrue();
        times[1].Should().BeApproximately(5, start == 0 ? 0.0011 : 1e-9, "a clock that begins at 0 is one tick late");
        trace.Source.SessionStartTime.ToFileTimeUtc().Should().BeCloseTo(132_000_000_000_000_000, 10);
    }

    [Fact]
    public void What_a_record_has_beside_its_payload_reaches_TraceEvent()
    {
        var activity = new Guid("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
        using var trace = Bridge(new FakeTrace().Buffer(0, 0).Buffer(3, 1,
            Manifest(TraceRecordType.EventHeader64, Provider, 777, 1007, [8], (1, activity.ToByteArray())),
            Classic(TraceRecordType.Instance32, Provider, 37, 1008, [7]),
            Kernel(TraceRecordType.PerfInfo64, 0x0F2E, 1009, [.. Words(0x11), .. new byte[16]], version: 0x0102),
            Kernel(TraceRecordType.PerfInfo64, 0x7701, 1010, [1, 2])).File());
        var seen = new List<string>();
        trace.Source.AllEvents += data => seen.Add($"{data.ProviderGuid.ToString()[..8]} {data.TaskGuid.ToString()[..8]} {(int)data.ID} {(int)data.Opcode} v{data.Version} cpu {data.ProcessorNumber} {data.ProcessID}.{data.ThreadID} {data.PointerSize} {data.EventDataLength} {data.RelatedActivityID.ToString()[..4]}");
        trace.Kernel.PerfInfoSample += data => seen.Add($"sample {data.Count}");

        trace.Process().Should().BeTrue();

        seen.Skip(1).Should().Equal(
            "11223344 00000000 777 1 v5 cpu 3 8.12 8 1 aaaa",
            "00000000 11223344 0 37 v3 cpu 3 8.12 4 1 0000",
            "sample 0",
            "9e814aad ce1dbfb4 65535 46 v2 cpu 3 -1.0 8 16 0000",
            "00000000 00000000 0 1 v2 cpu 3 -1.-1 8 2 0000");
    }

    [Fact]
    public void Blocks_end_where_an_event_does()
    {
        // Events of the greatest length and the least, so that blocks end with much room and little.
        var chance = new Core.Tests.Chance(3);
        var trace = new FakeTrace(1 << 20).Buffer(0, 0);
        var expected = new List<(ushort Id, int Length, long Sum)>();
        for (var buffer = 0; buffer < 12; buffer++)
        {
            var records = new List<byte[]>();
            for (var room = 900_000; room > 0; room -= records[^1].Length + 8)
            {
                var payload = new byte[chance.Below(4) == 0 ? chance.Below(65_000) : chance.Below(60)];
                foreach (ref var value in payload.AsSpan()) value = (byte)chance.Next();
                (ushort, byte[])[] items = chance.Below(3) == 0 && payload.Length < 60 ? [.. Enumerable.Range(0, chance.Below(2000)).Select(_ => ((ushort)6, new byte[chance.Below(20)]))] : [];
                expected.Add(((ushort)expected.Count, payload.Length, payload.Sum(value => (long)value)));
                records.Add(Manifest(TraceRecordType.EventHeader64, Provider, expected[^1].Id, 2000 + expected.Count, payload, items));
            }

            trace.Buffer(0, buffer + 1, [.. records]);
        }

        using var bridge = Bridge(trace.File());
        var seen = new List<(ushort Id, int Length, long Sum)>();
        bridge.Source.AllEvents += data =>
        {
            if (data.ProviderGuid == Provider) seen.Add(((ushort)data.ID, data.EventDataLength, data.EventData().Sum(value => (long)value)));
        };

        bridge.Process().Should().BeTrue();

        seen.Should().Equal(expected);
        bridge.Notes.Should().BeEmpty();
    }

    [Fact]
    public void Stacks_that_are_cached_are_found_by_the_key_of_their_event()
    {
        using var trace = Bridge(RealTrace.Net);
        var (found, missed) = (0, 0);
        void See(Microsoft.Diagnostics.Tracing.Parsers.Kernel.StackWalkRefTraceData data)
        {
            if (trace.StackOf(data).IsEmpty) missed++;
            else found++;
        }

        trace.Kernel.StackWalkStackKeyKernel += See;
        trace.Kernel.StackWalkStackKeyUser += See;
        trace.Process();

        (found, missed).Should().Be((2_061 + 7_046, 0));
    }

    [Fact]
    public void Whoever_stops_the_processing_is_told_that_it_was_not_the_end()
    {
        using var trace = Bridge(RealTrace.Shutdown);
        var events = 0;
        trace.Source.AllEvents += _ =>
        {
            if (++events == 100) trace.Source.StopProcessing();
        };

        trace.Process().Should().BeFalse();

        events.Should().Be(100);
    }

    [Fact]
    public void What_a_damaged_trace_lacks_is_in_the_notes()
    {
        var file = new FakeTrace { Header = null }.Buffer(0, 0, Kernel(TraceRecordType.System64, KernelTraceEvents.ProcessEnd, 10, [])).Buffer(0, 1, new byte[] { 1, 2, 3, 4, 5, 6, 7, 8 }).File();
        using var trace = Bridge(file);
        var names = new List<string>();
        trace.Source.AllEvents += data => names.Add(data.EventName);

        trace.Process().Should().BeTrue();

        names.Should().HaveCount(2).And.HaveElementAt(0, "EventTrace", "TraceEvent wants a header, so one is made up");
        trace.Notes.Should().HaveCount(2).And.Contain(note => note.Contains("headers that are missing", StringComparison.Ordinal)).And.Contain(note => note.Contains("records that are damaged", StringComparison.Ordinal));
    }

    [Fact]
    public void Events_that_TraceEvent_would_stumble_over_are_left_out_and_counted()
    {
        // BPerf's own, which names a file to read; a second header too short for what TraceEvent writes into it; a thread without stacks; a time before all.
        using var trace = Bridge(new FakeTrace().Buffer(0, 0)
            .Buffer(0, 1, Manifest(TraceRecordType.EventHeader64, new Guid("79430003-51bf-5f05-ed34-99cf32652c26"), 65533, 1001, Encoding.Unicode.GetBytes("a.1.b\0")), Kernel(TraceRecordType.System64, KernelTraceEvents.Header, 1002, [1]), Kernel(TraceRecordType.System64, KernelTraceEvents.ThreadEnd, 1002, new byte[67], version: 3), Kernel(TraceRecordType.PerfInfo64, KernelTraceEvents.ContextSwitch, -5, new byte[24]), Kernel(TraceRecordType.System64, KernelTraceEvents.ProcessTerminate, 1003, [1, 0, 0, 0])).File());
        var events = 0;
        trace.Source.AllEvents += _ => events++;

        trace.Process().Should().BeTrue();

        events.Should().Be(2);
        trace.Notes.Should().Equal("4 × events that TraceEvent would stumble over, and is not given");
    }

    [Fact]
    public void Nothing_is_left_in_the_folder_for_temporary_files()
    {
        using var trace = TraceFile.Read(new MemoryStream(RealTrace.Shutdown));
        string folder;
        using (var source = new EventRecordSource(trace))
        {
            folder = source.Folder;
            new DirectoryInfo(folder).GetFiles().Should().ContainSingle().Which.Length.Should().BeLessThan(trace.RecordBytes / 1000);
            source.Source.Process();
        }

        Directory.Exists(folder).Should().BeFalse();
    }

    [Fact]
    public void A_file_is_opened_by_whoever_can_on_this_system()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, RealTrace.Shutdown);
            using var trace = EventTrace.Open(path);
            var ends = 0;
            trace.Kernel.ProcessStop += _ => ends++;

            trace.Process().Should().BeTrue();

            ends.Should().Be(60);
            trace.Source.Should().BeAssignableTo(OperatingSystem.IsWindows() ? typeof(ETWTraceEventSource) : typeof(BPerfEventSource));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
