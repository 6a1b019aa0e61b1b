using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Xunit;
using static Core.Tests.Traces.FakeTrace;

namespace Core.Tests.Traces;

/// <summary>Files that are damaged in one place: the rest is read, and a note tells the place.</summary>
public sealed class DamagedTraceTests
{
    private const int Size = 4096;

    private static byte[] At(long time) => Kernel(TraceRecordType.System64, KernelTraceEvents.ProcessEnd, time, []);

    private static FakeTrace Three(TraceCompression compression = TraceCompression.None) =>
        new FakeTrace(Size) { Compression = compression }.Buffer(0, 0).Buffer(0, 1, At(1001), At(1002)).Buffer(1, 2, At(1003), At(1004));

    [Fact]
    public void Before_the_damage_it_is_read_whole() => Told.Of(Three().File()).Should().BeEquivalentTo(new { Times = new[] { (1000L, 0), (1001L, 0), (1002L, 0), (1003L, 1), (1004L, 1) }, Notes = Array.Empty<string>() });

    [Theory]
    [InlineData(0u)]
    [InlineData(71u)]
    [InlineData(0x7FFFFFFFu)]
    public void A_buffer_whose_header_is_damaged_is_passed_over(uint size)
    {
        var file = Three().File();
        BitConverter.GetBytes(size).CopyTo(file, Size);

        Should(Told.Of(file), "1 × buffers whose header is damaged; the first at 0x1000", 1000, 1003, 1004);
    }

    [Fact]
    public void A_buffer_whose_records_are_said_to_end_before_they_begin_is_noted()
    {
        var file = Three().File();
        BitConverter.GetBytes(71).CopyTo(file, Size + TraceBufferLayout.SavedOffset);

        Should(Told.Of(file), "1 × buffers that tell of less than their header; the first at 0x1000", 1000, 1003, 1004);
    }

    [Fact]
    public void Buffers_that_were_never_written_are_passed_over() =>
        Should(Told.Of([.. new FakeTrace(Size).Buffer(0, 0).Raw(new byte[Size]).Raw(new byte[Size]).Buffer(0, 1, At(1001)).File()]), "2 × buffers that were never written; the first at 0x1000", 1000, 1001);

    [Fact]
    public void In_a_compressed_file_nothing_tells_where_the_next_buffer_is()
    {
        var file = Three(TraceCompression.Xpress).File();
        var third = Size + BitConverter.ToInt32(file, Size);
        BitConverter.GetBytes(5).CopyTo(file, third);

        var told = Told.Of(file);

        told.Times.Select(at => at.Time).Should().Equal(1000, 1001, 1002);
        told.Notes.Should().HaveCount(2).And.Contain(note => note.Contains("the file is compressed", StringComparison.Ordinal));
    }

    [Fact]
    public void Compressed_records_that_are_damaged_are_read_up_to_there()
    {
        var file = Three(TraceCompression.Xpress).File();
        // More than there is to inflate.
        BitConverter.GetBytes(3000).CopyTo(file, Size + TraceBufferLayout.SavedOffset);

        Should(Told.Of(file), "1 × buffers whose compressed records are damaged or cut short; the first at 0x1000", 1000, 1001, 1002, 1003, 1004);
    }

    [Fact]
    public void The_last_buffer_is_read_as_far_as_the_file_goes()
    {
        var file = Three().File();

        Should(Told.Of(file[..((2 * Size) + TraceBufferLayout.SizeInBytes + 40)]), ["1 × buffers that the file's end cuts short; the first at 0x2000", "1 × records that are damaged or of an unknown kind: the rest of their buffers is left out; the first at 0x2068"], 1000, 1001, 1002, 1003);
    }

    [Theory]
    [InlineData(TraceRecordLayout.Type, 0x30, "records that are damaged or of an unknown kind")]
    [InlineData(TraceRecordLayout.Flags, 0x42, "records that are damaged or of an unknown kind")]
    [InlineData(TraceRecordLayout.Flags, TraceRecordLayout.ShortTimeFlag, "messages with a 32-bit time")]
    [InlineData(SystemTraceHeaderLayout.Size, 31, "records that are damaged or of an unknown kind")]
    [InlineData(SystemTraceHeaderLayout.Size + 1, 0x0F, "records that are damaged or of an unknown kind")]
    public void After_a_damaged_record_the_rest_of_its_buffer_is_left_out(int at, byte value, string note)
    {
        var file = Three().File();
        file[Size + TraceBufferLayout.SizeInBytes + 32 + at] = value;

        var told = Told.Of(file);

        told.Times.Select(seen => seen.Time).Should().Equal(1000, 1001, 1003, 1004);
        told.Notes.Should().ContainSingle().Which.Should().StartWith("1 × " + note).And.EndWith("the first at 0x1068");
    }

    [Fact]
    public void Room_that_was_never_used_is_no_damage()
    {
        var file = Three().File();
        BitConverter.GetBytes(Size).CopyTo(file, Size + TraceBufferLayout.SavedOffset);

        Should(Told.Of(file), [], 1000, 1001, 1002, 1003, 1004);
    }

    [Fact]
    public void A_buffer_cannot_hold_more_than_its_size()
    {
        var file = Three().File();
        BitConverter.GetBytes(Size + 8).CopyTo(file, Size + TraceBufferLayout.SavedOffset);

        Should(Told.Of(file), "1 × buffers that tell of more than they can hold; the first at 0x1000", 1000, 1001, 1002, 1003, 1004);
    }

    [Fact]
    public void Buffers_that_are_not_there_are_missed() =>
        Told.Of(new FakeTrace { Header = LogfileHeader(buffersWritten: 9) }.Buffer(0, 0).File()).Notes.Should().Equal("1 × headers that tell of 9 buffers, of which 1 are there; the first at 0x0");

    [Fact]
    public void A_small_file_cannot_ask_for_much_memory()
    {
        // A thousand processors, each with a compressed buffer that tells of 16 MiB and inflates to as much as it may.
        var trace = new FakeTrace { Compression = TraceCompression.Xpress }.Buffer(0, 0);
        var zeros = XpressWriter.Compress(new byte[60_000]);
        for (var processor = 0; processor < 1000; processor++)
        {
            var buffer = new byte[TraceBufferLayout.SizeInBytes + 70_000];
            BitConverter.GetBytes(buffer.Length).CopyTo(buffer, TraceBufferLayout.BufferSize);
            BitConverter.GetBytes(16 << 20).CopyTo(buffer, TraceBufferLayout.SavedOffset);
            BitConverter.GetBytes((ushort)processor).CopyTo(buffer, TraceBufferLayout.ProcessorIndex);
            BitConverter.GetBytes((ushort)(TraceBufferFlags.ProcessorIndex | TraceBufferFlags.Compressed)).CopyTo(buffer, TraceBufferLayout.BufferFlag);
            zeros.CopyTo(buffer, TraceBufferLayout.SizeInBytes);
            trace.Raw(buffer);
        }

        var file = trace.File();
        var before = GC.GetAllocatedBytesForCurrentThread();
        var told = Told.Of(file);

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(300L << 20);
        told.Notes.Should().Contain(note => note.Contains("would take more than 256 MiB", StringComparison.Ordinal));
    }

    [Fact]
    public void Cached_stacks_beyond_four_million_frames_are_left_out_and_counted()
    {
        const int FramesOfEach = 8000;
        var trace = new FakeTrace(1 << 20).Buffer(0, 0);
        byte[] Stack(ulong key) => Kernel(TraceRecordType.PerfInfo64, KernelTraceEvents.StackWalkKeyRundown, 1001, [.. BitConverter.GetBytes(key), .. new byte[FramesOfEach * 8]]);
        for (var buffer = 0UL; buffer < 40; buffer++) trace.Buffer(0, (long)buffer + 1, [.. Enumerable.Range(0, 15).Select(i => Stack((buffer * 15) + (ulong)i))]);
        using var file = TraceFile.Read(new MemoryStream(trace.File()));

        var stacks = CachedStacks.Of(file);

        stacks.Count.Should().Be(4 * 1024 * 1024 / FramesOfEach);
        stacks.LeftOut.Should().Be(600 - stacks.Count);
        stacks.Find(3, 1000).Length.Should().Be(FramesOfEach);
        stacks.Find(599, 1000).Length.Should().Be(0);
    }

    [Theory]
    [InlineData("", "too short")]
    [InlineData("504b030400000000000000000000000000000000000000000000", "zip archive")]
    [InlineData("1f8b080000000000000000000000000000000000000000000000", "gzip archive")]
    [InlineData("14000000214661737453657269616c697a6174696f6e2e3100", ".etlx")]
    [InlineData("4e6574747261636514000000214661737453657269616c697a", ".nettrace")]
    [InlineData("0000000000000000000000000000000000000000000000000000", "too short")]
    public void What_is_no_trace_is_refused_by_name(string hex, string reason)
    {
        var read = () => TraceFile.Read(new MemoryStream(Convert.FromHexString(hex)));

        read.Should().Throw<UnusableTraceException>().WithMessage($"*{reason}*");
    }

    [Theory]
    [InlineData(TraceCompression.Lznt1, "LZNT1")]
    [InlineData(TraceCompression.XpressHuffman, "Huffman")]
    public void Compression_that_is_not_read_is_refused_by_name(TraceCompression compression, string reason)
    {
        var read = () => TraceFile.Read(new MemoryStream(Three(compression).File()));

        read.Should().Throw<UnusableTraceException>().WithMessage($"*{reason}*");
    }

    [Fact]
    public void A_file_that_does_not_begin_with_a_buffer_is_refused()
    {
        var read = () => TraceFile.Read(new MemoryStream(new byte[4096]));

        read.Should().Throw<UnusableTraceException>().WithMessage("is no event trace log*");
    }

    private static void Should(Told told, string note, params long[] times) => Should(told, [note], times);

    private static void Should(Told told, string[] notes, params long[] times)
    {
        told.Times.Select(at => at.Time).Should().Equal(times);
        told.Notes.Should().Equal(notes);
    }
}
