using System.Buffers.Binary;
using FluentAssertions;
using Xunit;

namespace Scenarios.Tests.Traces;

/// <summary>A trace with one thing wrong is found to have just that wrong: the rules can fail.</summary>
public sealed class BrokenTraceTests
{
    private const int BufferSize = 0x10000, FirstRecord = 72;

    // Some seconds of a thread that polls on a machine with two processors: several buffers of each.
    private static readonly Lazy<byte[]> Polling = new(() => TracedRun.Of("hang-irp-noop-cancel", 2, 0, TimeSpan.FromSeconds(15)).File);

    private static readonly Lazy<byte[]> Released = new(() => TracedRun.Of("hang-irp-release").File);

    [Fact]
    public void An_untouched_one_is_sound()
    {
        TracedRun.Broken(Polling.Value).Should().BeEmpty();
        TracedRun.Broken(Released.Value).Should().BeEmpty();
        (Polling.Value.Length / BufferSize).Should().BeGreaterThan(4);
    }

    [Theory]
    [InlineData(0x00, 0x20000, "its size is")]
    [InlineData(0x04, 0x44, "SavedOffset is")]
    [InlineData(0x04, 0x8004, "SavedOffset is")]
    [InlineData(0x08, 0x48, "CurrentOffset, Offset and SavedOffset differ")]
    [InlineData(0x30, 0x48, "CurrentOffset, Offset and SavedOffset differ")]
    [InlineData(0x10, 1, "flushed")]
    [InlineData(0x18, 2, "sequence numbers are missing, or given twice")]
    [InlineData(0x28, 0x2_0003, "processor 3 of 2")]
    [InlineData(0x28, 0x3_0000, "logger 3")]
    [InlineData(0x2C, 0, "reference count, clock type or state")]
    [InlineData(0x34, 0x21, "flags 0x21")]
    [InlineData(0x34, 0x4_0020, "type 4")]
    public void The_head_of_a_buffer(int at, uint value, string says) => Rules(Change(Polling.Value, BufferSize + at, value)).Should().Contain(rule => rule.Contains(says, StringComparison.Ordinal));

    [Fact]
    public void Something_behind_what_a_buffer_holds()
    {
        var file = Polling.Value.ToArray();
        file[^1] = 0;

        Rules(file).Should().ContainSingle().Which.Should().Contain("something is behind SavedOffset");
    }

    [Fact]
    public void A_buffer_that_is_missing()
    {
        var file = Polling.Value;

        Rules([.. file.AsSpan(0, BufferSize), .. file.AsSpan(2 * BufferSize)]).Should().Contain(rule => rule.StartsWith("BuffersWritten is", StringComparison.Ordinal));
    }

    [Fact]
    public void Two_buffers_that_change_places()
    {
        var file = Polling.Value;
        byte[] swapped = [.. file.AsSpan(0, BufferSize), .. file.AsSpan(2 * BufferSize, BufferSize), .. file.AsSpan(BufferSize, BufferSize), .. file.AsSpan(3 * BufferSize)];

        Rules(swapped).Should().Contain("buffers are not in the order in which they were flushed");
    }

    [Fact]
    public void A_file_that_was_cut_off() => Rules(Polling.Value[..^100]).Should().ContainSingle().Which.Should().Contain("are not buffers of 65536");

    [Theory]
    [InlineData(3, 0x90, "no record")]
    [InlineData(2, 0x12, "header type 0x12")]
    [InlineData(2, 0x02, "with header type 0x2")]
    [InlineData(4, 0x08, "size 8")]
    [InlineData(4, 0x30, "with a payload of 32 bytes")]
    [InlineData(6, 0x51, "event 5/81")]
    [InlineData(0, 0x09, "of version 9")]
    public void The_head_of_a_record(int at, byte value, string says) => Rules(ChangeByte(Released.Value, First(5, 36).At + at, value)).Should().Contain(rule => rule.Contains(says, StringComparison.Ordinal));

    [Theory]
    [InlineData(0x24, 9, "BuffersWritten is 9")]
    [InlineData(0x2C, 4, "pointer size, events or buffers lost")]
    [InlineData(0x30, 1, "pointer size, events or buffers lost")]
    [InlineData(0x100, 1, "its times")]
    [InlineData(0x110, 2, "log file mode or clock")]
    public void The_header_of_the_file(int at, uint value, string says) => Rules(Change(Released.Value, FirstRecord + 32 + at, value)).Should().Contain(rule => rule.Contains(says, StringComparison.Ordinal));

    [Theory]
    [InlineData(5, 36, 8, 2u, "time goes back")]
    [InlineData(5, 36, 16, 0xFFFFu, "thread 65535 runs, and nobody made it ready")]
    [InlineData(5, 36, 20, 0xFFFFu, "old thread 65535, but 0 ran there")]
    [InlineData(5, 50, 16, 0xFFFFu, "thread 65535 is not known")]
    [InlineData(24, 32, 16, 0xFFFFu, "does not follow it")]
    [InlineData(24, 32, 24, 0xFFFFu, "is not of process 65535")]
    [InlineData(24, 32, 28, 0xFFFFu, "a stack of thread 65535")]
    [InlineData(24, 32, 32, 0u, "on its stack is in no image")]
    [InlineData(1, 35, 24, 0xFFFFu, "was not called")]
    [InlineData(1, 35, 16, 0xFFFFu, "was not called, or for another IRP")]
    [InlineData(1, 53, 24, 0xFFFFu, "was not being completed")]
    [InlineData(1, 52, 24, 0xFFFFu, "was not being completed, or is another IRP")]
    [InlineData(1, 34, 16, 99u, "major function or routine")]
    [InlineData(3, 11, 32, 0xFFFCu, "process 65532 is not there")]
    [InlineData(3, 11, 8, 0xFFFCu, "logged by thread 65532 of process")]
    [InlineData(5, 1, 32, 0xFFFCu, "a thread of process 65532, which is not there")]
    [InlineData(5, 2, 36, 0xFFFCu, "thread 65532 is not known")]
    [InlineData(3, 2, 40, 0xFFFCu, "process 65532 is not there")]
    [InlineData(20, 4, 16, 1u, "an image that is not there")]
    [InlineData(5, 4, 36, 0xFFFCu, "thread 65532 is not known")]
    public void What_an_event_tells(int group, int type, int at, uint value, string says) =>
        Rules(Change(Released.Value, First(group, type).At + at, value)).Should().Contain(rule => rule.Contains(says, StringComparison.Ordinal));

    [Fact]
    public void A_switch_that_was_left_out() => Rules(LeaveOut(e => e.Kind == (5, 36))).Should().Contain(rule => rule.Contains("ran there", StringComparison.Ordinal));

    [Fact]
    public void Somebody_who_made_a_thread_ready_left_out() => Rules(LeaveOut(e => e.Kind == (5, 50) && e.U8(4) == 1)).Should().Contain(rule => rule.Contains("runs, and nobody made it ready", StringComparison.Ordinal));

    [Fact]
    public void A_stack_that_was_left_out() => Rules(LeaveOut(e => e.Kind == (24, 32), alone: true)).Should().Contain(rule => rule.Contains("does not follow it", StringComparison.Ordinal));

    [Fact]
    public void A_process_that_the_last_rundown_forgot() => Rules(LeaveOut(e => e.Kind == (3, 4) && e.U32(8) != 0)).Should().Contain(rule => rule.EndsWith("is not listed (event 0/8 at " + Last(0, 8).Time + ")", StringComparison.Ordinal));

    /// <summary>The first such event of the released trace.</summary>
    private static LoggedEvent First(int group, int type) => new TraceRecords(Released.Value).Events.First(e => e.Kind == (group, type));

    private static LoggedEvent Last(int group, int type) => new TraceRecords(Released.Value).Events.Last(e => e.Kind == (group, type));

    /// <summary>The released trace without the first event of this kind, and without the stack that goes with it; the buffer is closed over the gap.</summary>
    private static byte[] LeaveOut(Func<LoggedEvent, bool> which, bool alone = false)
    {
        var file = Released.Value.ToArray();
        var events = new TraceRecords(file).Events;
        var index = events.ToList().FindIndex(e => which(e));
        var (at, length) = (events[index].At, events[index].Length);
        if (!alone && events[index + 1].Kind == (24, 32)) length += events[index + 1].Length;
        var buffer = events[index].Buffer;
        var end = buffer.At + buffer.Saved;
        file.AsSpan(at + length, end - at - length).CopyTo(file.AsSpan(at));
        file.AsSpan(end - length, length).Fill(0xFF);
        foreach (var offset in (int[])[4, 8, 0x30]) BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(buffer.At + offset), buffer.Saved - length);
        return file;
    }

    private static byte[] Change(byte[] file, int at, uint value)
    {
        var changed = file.ToArray();
        BinaryPrimitives.WriteUInt32LittleEndian(changed.AsSpan(at), value);
        return changed;
    }

    private static byte[] ChangeByte(byte[] file, int at, byte value)
    {
        var changed = file.ToArray();
        changed[at] = value;
        return changed;
    }

    private static IReadOnlyList<string> Rules(byte[] file) => TracedRun.Broken(file);
}
