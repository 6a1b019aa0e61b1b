using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Xunit;
using static Core.Tests.Traces.FakeTrace;

namespace Core.Tests.Traces;

public sealed class TraceFileTests
{
    private static readonly Guid Provider = new("11223344-1111-2222-3333-445566778899");

    private static byte[] At(long time) => Kernel(TraceRecordType.System64, KernelTraceEvents.ProcessEnd, time, [1, 2, 3]);

    [Fact]
    public void Every_kind_of_record_tells_its_fields()
    {
        var told = Told.Of(new FakeTrace().Buffer(0, 0).Buffer(3, 1,
            Kernel(TraceRecordType.System64, KernelTraceEvents.ThreadEnd, 2001, [1], version: 3),
            Kernel(TraceRecordType.Compact32, KernelTraceEvents.ThreadEnd, 2002, [2, 3]),
            Kernel(TraceRecordType.PerfInfo64, KernelTraceEvents.ContextSwitch, 2003, [4], version: 4),
            Kernel(TraceRecordType.PerfInfo64, KernelTraceEvents.ContextSwitch, 2004, [.. Words(0x11, 0x22, 0x33), 5], version: 0x8204),
            Classic(TraceRecordType.FullHeader64, Provider, 36, 2005, [6]),
            Classic(TraceRecordType.Instance32, Provider, 37, 2006, [7]),
            Manifest(TraceRecordType.EventHeader64, Provider, 777, 2007, [8]),
            Manifest(TraceRecordType.EventHeader32, Provider, 778, 2008, [9], (1, new byte[] { 0xAA }), (6, new byte[] { 0xBB, 0xCC })),
            Message(Provider, 42, 2009, [10]),
            Message(Provider, 43, null, [11])).File());

        told.Notes.Should().BeEmpty();
        told.Lines.Skip(1).Should().Equal(
            "2001 cpu 3 System64 0502 id 0 op 2 v3 8.12: 01",
            "2002 cpu 3 Compact32 0502 id 0 op 2 v2 8.12 32: 0203",
            "2003 cpu 3 PerfInfo64 0524 id 0 op 36 v4 -1.-1: 04",
            "2004 cpu 3 PerfInfo64 0524 id 0 op 36 v4 -1.-1 counters 110000000000000022000000000000003300000000000000: 05",
            "2005 cpu 3 FullHeader64 11223344 id 0 op 36 v3 8.12: 06",
            "2006 cpu 3 Instance32 11223344 id 0 op 37 v3 8.12 32: 07",
            "2007 cpu 3 EventHeader64 11223344 id 777 op 1 v5 8.12: 08",
            "2008 cpu 3 EventHeader32 11223344 id 778 op 1 v5 8.12 32 item 1=AA item 6=BBCC: 09",
            "2009 cpu 3 Message 11223344 id 42 op 0 v0 8.12: 0A",
            "2009 cpu 3 Message 11223344 id 43 op 0 v0 -1.-1: 0B");
    }

    [Fact]
    public void A_processors_buffers_are_taken_in_sequence_and_the_processors_by_time()
    {
        var told = Told.Of(new FakeTrace().Buffer(0, 0)
            .Buffer(1, 9, At(50), At(80)).Buffer(0, 4, At(70), At(90)).Buffer(0, 2, At(20), At(60)).Buffer(1, 3, At(10), At(20)).File());

        // The header's time is 1000, and it comes first all the same.
        told.Times.Should().Equal((1000, 0), (10, 1), (20, 0), (20, 1), (50, 1), (60, 0), (70, 0), (80, 1), (90, 0));
    }

    [Fact]
    public void A_compressed_trace_tells_what_the_plain_one_does()
    {
        FakeTrace Write(TraceCompression compression) => new FakeTrace { Compression = compression }.Buffer(0, 0, At(1001)).Buffer(0, 1, At(1002), Manifest(TraceRecordType.EventHeader64, Provider, 7, 1003, new byte[900])).Buffer(1, 2, At(1003));
        var plain = Told.Of(Write(TraceCompression.None).File());
        var compressed = Told.Of(Write(TraceCompression.Xpress).File());

        compressed.Lines.Should().Equal(plain.Lines).And.HaveCount(5);
        compressed.Notes.Should().BeEmpty();
    }

    [Theory]
    [InlineData(4, TraceClock.QueryPerformanceCounter, 10_000_000)]
    [InlineData(8, TraceClock.QueryPerformanceCounter, 3_579_545)]
    [InlineData(8, TraceClock.SystemTime, 10_000_000)]
    [InlineData(8, TraceClock.CpuCycles, 3_000_000_000)]
    public void The_header_tells_the_clock(int pointerSize, TraceClock clock, long frequency)
    {
        var header = Told.Of(new FakeTrace { Header = LogfileHeader(pointerSize, frequency, clock: clock), Start = 5000 }.Buffer(0, 0).File()).Header;

        (header.PointerSize, header.Clock, header.Frequency, header.Start).Should().Be((pointerSize, clock, frequency, 5000));
        header.FileTime(5000 + (frequency * 3)).Should().Be(header.StartTime + 30_000_000);
        header.FileTime(long.MaxValue).Should().BePositive();
        (header.StartTime - header.BootTime, header.EndTime - header.StartTime).Should().Be((77, 1_000_000));
        (header.LoggerName, header.LogFileName).Should().Be(("NT Kernel Logger", @"C:\trace.etl"));
    }

    [Theory]
    [InlineData(0, 0, TraceBufferFlags.None, false)]
    [InlineData(1, 0, TraceBufferFlags.None, true)]
    [InlineData(0, 1, TraceBufferFlags.None, true)]
    [InlineData(0, 0, TraceBufferFlags.EventsLost, true)]
    [InlineData(0, 0, TraceBufferFlags.BufferLost, true)]
    public void What_was_lost_is_told(uint events, uint buffers, TraceBufferFlags flags, bool isIncomplete) =>
        Told.Of(new FakeTrace { Header = LogfileHeader(eventsLost: events, buffersLost: buffers) }.Buffer(0, 0).Buffer(0, 1, flags, At(1001)).File()).IsIncomplete.Should().Be(isIncomplete);

    [Fact]
    public void A_circular_file_begins_where_its_oldest_buffer_is_and_misses_none()
    {
        var told = Told.Of(new FakeTrace { Header = LogfileHeader(buffersWritten: 100, mode: LogFileModes.Circular) }.Buffer(0, 0).Buffer(0, 99, At(1900)).Buffer(0, 100, At(2000)).Buffer(0, 98, At(1800)).File());

        told.Times.Select(at => at.Time).Should().Equal(1000, 1800, 1900, 2000);
        told.Notes.Should().BeEmpty();
    }

    [Fact]
    public void Without_a_header_the_events_are_read_and_the_clock_is_called_unknown()
    {
        var told = Told.Of(new FakeTrace { Header = null }.Buffer(0, 5, At(10)).Buffer(1, 6, At(5)).File());

        told.Times.Should().Equal((5, 1), (10, 0));
        told.Header.IsThere.Should().BeFalse();
        told.Notes.Should().ContainSingle().Which.Should().Contain("headers that are missing");
    }

    [Fact]
    public void A_buffer_that_is_there_twice_is_told()
    {
        static FakeTrace Fake() => new FakeTrace().Buffer(0, 0).Buffer(0, 1, At(1001)).Buffer(1, 2, At(1002));

        Told.Of(Fake().Buffer(0, 1, At(1001)).File()).Notes.Should().ContainSingle().Which.Should().StartWith("1 × buffers that are there twice");
        Told.Of(Fake().Buffer(0, 3, At(1001)).File()).Notes.Should().BeEmpty();
    }

    [Theory]
    [InlineData(4, 10_000_000, "of kind 4")]
    [InlineData(1, 0, "of kind 1")]
    public void A_clock_that_there_is_not_is_told(uint clock, long frequency, string says)
    {
        static byte[] File(uint clock, long frequency) => new FakeTrace { Header = LogfileHeader(clock: (TraceClock)clock, frequency: frequency) }.Buffer(0, 0, At(1001)).File();

        Told.Of(File(clock, frequency)).Notes.Should().ContainSingle().Which.Should().Contain("headers that tell of no clock").And.Contain(says);
        Told.Of(File(1, 10_000_000)).Notes.Should().BeEmpty();
    }

    [Fact]
    public void A_key_of_a_stack_stands_for_the_stack_that_is_forgotten_next()
    {
        static byte[] Forget(ushort hook, long time, params ulong[] words) => Kernel(TraceRecordType.PerfInfo64, hook, time, Words(words));
        using var trace = TraceFile.Read(new MemoryStream(new FakeTrace().Buffer(0, 0)
            .Buffer(0, 1, Forget(KernelTraceEvents.StackWalkKeyDelete, 1100, 77, 0xA, 0xB), Forget(KernelTraceEvents.StackWalkKeyRundown, 1200, 77, 0xC)).File()));
        var stacks = CachedStacks.Of(trace);

        stacks.Find(77, 1050).ToArray().Should().Equal(0xAul, 0xBul);
        stacks.Find(77, 1100).ToArray().Should().Equal(0xAul, 0xBul);
        stacks.Find(77, 1150).ToArray().Should().Equal(0xCul);
        stacks.Find(77, 1201).ToArray().Should().BeEmpty();
        stacks.Find(78, 1050).ToArray().Should().BeEmpty();
    }

    [Fact]
    public void A_file_is_read_from_disk_while_somebody_writes_it()
    {
        var path = Path.GetTempFileName();
        try
        {
            using var writer = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
            writer.Write(RealTrace.LxCore);
            writer.Flush();
            using var trace = TraceFile.Open(path);
            var reader = trace.Events();
            var count = 0;
            while (reader.Next()) count++;
            count.Should().Be(4);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
