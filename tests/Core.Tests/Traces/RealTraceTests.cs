using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Xunit;

namespace Core.Tests.Traces;

/// <summary>Traces of real machines: the counts are those of other readers (TraceEvent on Windows, airbus-cert's etl-parser).</summary>
public sealed class RealTraceTests
{
    [Fact]
    public void A_shutdown_is_read_whole_and_in_order()
    {
        using var trace = TraceFile.Read(new MemoryStream(RealTrace.Shutdown));
        var counts = Count(trace);

        counts.Values.Sum().Should().Be(17_078);
        counts[KernelTraceEvents.ProcessTerminate].Should().Be(60);
        counts[KernelTraceEvents.ProcessEnd].Should().Be(60);
        counts[KernelTraceEvents.ThreadEnd].Should().Be(1_032);
        counts[KernelTraceEvents.ImageLoad].Should().Be(72);
        trace.Header.Should().BeEquivalentTo(new { Build = 18362u, Processors = 2u, PointerSize = 8, Clock = TraceClock.QueryPerformanceCounter, Frequency = 10_000_000L, EventsLost = 0u, BuffersLost = 0u, BuffersWritten = 49u });
        trace.Header.LoggerName.Should().Be("PerfDiag Logger");
        trace.Header.LogFileName.Should().EndWith(@"\ShutdownPerfDiagLogger.etl");
        DateTime.FromFileTimeUtc(trace.Header.FileTime(trace.Header.Start)).Should().Be(new DateTime(2020, 2, 28, 9, 3, 47, 744, 579, DateTimeKind.Utc));
        trace.Buffers.Should().Be(49);
        trace.IsIncomplete.Should().BeFalse();
        trace.Notes.Should().BeEmpty();
    }

    [Fact]
    public void A_compressed_trace_of_eight_processors_is_read_whole_and_in_order()
    {
        using var trace = TraceFile.Read(new MemoryStream(RealTrace.Net));
        var counts = Count(trace);

        counts.Values.Sum().Should().Be(179_474);
        // Samples of the profiler, of which TraceLog would leave out those of idle processors.
        counts[0x0F2E].Should().Be(79_528);
        counts[KernelTraceEvents.StackWalkKeyKernel].Should().Be(2_061);
        counts[KernelTraceEvents.StackWalkKeyUser].Should().Be(7_046);
        trace.Header.Mode.Should().HaveFlag(LogFileModes.Compressed);
        trace.Buffers.Should().Be(360);
        trace.Notes.Should().BeEmpty();
    }

    [Fact]
    public void Every_key_of_a_cached_stack_leads_to_its_frames()
    {
        using var trace = TraceFile.Read(new MemoryStream(RealTrace.Net));
        var stacks = CachedStacks.Of(trace);
        var (kernel, user) = (0, 0);
        var reader = trace.Events();
        while (reader.Next())
        {
            var record = reader.Record;
            if (!record.IsKernel || record.HookId is not (KernelTraceEvents.StackWalkKeyKernel or KernelTraceEvents.StackWalkKeyUser)) continue;
            var frames = stacks.Find(BitConverter.ToUInt64(record.Payload[16..]), record.Time);
            var isKernel = record.HookId == KernelTraceEvents.StackWalkKeyKernel;
            // Which half of the address space the frames are in tells whether it is the right stack. Below frames of user code there may be some of
            // the kernel, which has called back.
            if (frames.IsEmpty || IsKernel(frames[0]) != isKernel || (isKernel && !frames.ToArray().All(IsKernel))) Assert.Fail($"{record.HookId:x} at {record.Time} has the stack {string.Join(' ', frames.ToArray().Select(frame => $"{frame:x}"))}");
            if (isKernel) kernel++;
            else user++;
        }

        (kernel, user, stacks.Count, stacks.LeftOut).Should().Be((2_061, 7_046, 2_921, 0));
    }

    [Fact]
    public void Events_that_describe_themselves_bring_their_extended_items()
    {
        Told.Of(RealTrace.PrimitiveTypes).Lines.Where(line => line.Contains(" item 12=", StringComparison.Ordinal) && line.Contains(" item 11=", StringComparison.Ordinal)).Should().HaveCount(5);
        Told.Of(RealTrace.LxCore).Lines.Where(line => line.Contains(" item 11=", StringComparison.Ordinal)).Should().HaveCount(2);
    }

    [Fact]
    public void Memory_does_not_grow_with_the_trace()
    {
        var (few, least) = Read(3 << 20);
        var (many, most) = Read(96 << 20);

        few.Should().Be(17_078);
        many.Should().BeGreaterThan(30 * 17_000);
        // The places of buffers do: some hundred bytes for each 64 KiB while they are put in order.
        (most - least).Should().BeLessThan(512 << 10);

        static (long Events, long Allocated) Read(int size)
        {
            using var file = new MemoryStream(size + (4 << 20));
            var expected = RepeatedTrace.Write(file, size);
            var before = GC.GetAllocatedBytesForCurrentThread();
            using var trace = TraceFile.Read(file);
            var (events, last) = (0L, long.MinValue);
            var reader = trace.Events();
            while (reader.Next())
            {
                events++;
                if (reader.Record.Time < last) Assert.Fail($"{reader.Record.Time} comes after {last}");
                last = reader.Record.Time;
            }

            events.Should().Be(expected);
            return (events, GC.GetAllocatedBytesForCurrentThread() - before);
        }
    }

    private static bool IsKernel(ulong frame) => frame >> 63 == 1;

    /// <summary>By hook id; 0x10000 for what the kernel's logger didn't write. Nothing may be before what came before it.</summary>
    private static Dictionary<int, int> Count(TraceFile trace)
    {
        var counts = new Dictionary<int, int>();
        var last = long.MinValue;
        var reader = trace.Events();
        while (reader.Next())
        {
            var record = reader.Record;
            if (record.Time < last) Assert.Fail($"{record.Time} comes after {last}");
            last = record.Time;
            var kind = record.IsKernel ? record.HookId : 0x10000;
            counts[kind] = counts.GetValueOrDefault(kind) + 1;
        }

        reader.Notes.Should().BeEmpty();
        return counts;
    }
}
