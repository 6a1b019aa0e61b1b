using FluentAssertions;
using Harness.Core.Traces;
using Harness.Tracing;
using Microsoft.Diagnostics.Tracing;
using Xunit;

namespace Scenarios.Tests.Traces;

/// <summary>Our reader and TraceEvent read what the emulated machine writes, and count what is there.</summary>
public sealed class TraceEventTests
{
    [Theory]
    [InlineData("hang-irp", 1)]
    [InlineData("hang-irp-release", 2)]
    [InlineData("hang-irp-noop-cancel", 4)]
    public void TraceEvent_counts_what_was_written(string scenario, int processors)
    {
        var run = TracedRun.Of(scenario, processors, settle: TimeSpan.FromSeconds(15));
        var written = run.Trace.Events.CountBy(e => e.Kind).ToDictionary();
        var read = new Dictionary<(int, int), int>();
        using var trace = EventTrace.Bridge(TraceFile.Read(new MemoryStream(run.File)));
        void Count(int group, int type, TraceEvent _) => read[(group, type)] = read.GetValueOrDefault((group, type)) + 1;
        var kernel = trace.Kernel;
        kernel.ThreadCSwitch += data => Count(5, 36, data);
        kernel.DispatcherReadyThread += data => Count(5, 50, data);
        kernel.StackWalkStack += data => Count(24, 32, data);
        kernel.DiskIODriverMajorFunctionCall += data => Count(1, 34, data);
        kernel.DiskIODriverMajorFunctionReturn += data => Count(1, 35, data);
        kernel.DiskIODriverCompletionRoutine += data => Count(1, 37, data);
        kernel.DiskIODriverCompleteRequest += data => Count(1, 52, data);
        kernel.DiskIODriverCompleteRequestReturn += data => Count(1, 53, data);
        kernel.ProcessStart += data => Count(3, 1, data);
        kernel.ProcessStop += data => Count(3, 2, data);
        kernel.ProcessDCStart += data => Count(3, 3, data);
        kernel.ProcessDCStop += data => Count(3, 4, data);
        kernel.ProcessDefunct += data => Count(3, 39, data);
        kernel.ThreadStart += data => Count(5, 1, data);
        kernel.ThreadStop += data => Count(5, 2, data);
        kernel.ThreadDCStart += data => Count(5, 3, data);
        kernel.ThreadDCStop += data => Count(5, 4, data);
        kernel.ImageLoad += data => Count(3, 10, data);
        kernel.ImageUnload += data => Count(20, 2, data);
        kernel.ImageDCStart += data => Count(20, 3, data);
        kernel.ImageDCStop += data => Count(20, 4, data);
        trace.Terminations.ProcessTerminate += data => Count(3, 11, data);
        trace.Names.ImageNames += data => Count(-1, 1, data);

        trace.Process();

        trace.Notes.Should().BeEmpty();
        trace.File.IsIncomplete.Should().BeFalse();
        trace.Source.EventsLost.Should().Be(0);
        foreach (var kind in ((int, int)[])[(0, 5), (0, 8), (0, 32), (20, 33)]) written.Remove(kind);
        read.Should().BeEquivalentTo(written);
    }

    [Fact]
    public void Fields_come_as_they_were_written()
    {
        var run = TracedRun.Of("hang-irp-release");
        var story = new TracedStory(run);
        using var trace = EventTrace.Bridge(TraceFile.Read(new MemoryStream(run.File)));
        var (calls, ends, readied, switches) = (new List<string>(), new List<string>(), new List<string>(), new List<string>());
        trace.Kernel.DiskIODriverMajorFunctionCall += call => calls.Add($"{call.MajorFunction} {call.Irp:x} {call.UniqMatchID}");
        trace.Kernel.ProcessStop += end => ends.Add($"{end.ProcessID} {end.KernelImageFileName} {end.ExitStatus:x} at {end.TimeStamp.ToUniversalTime():O}");
        trace.Kernel.DispatcherReadyThread += ready => readied.Add($"{ready.AwakenedThreadID} on {ready.ProcessorNumber}");
        trace.Kernel.ThreadCSwitch += change => switches.Add($"{change.OldThreadID} {(int)change.OldThreadState} {(int)change.OldThreadWaitReason} -> {change.NewThreadID}");

        trace.Process();

        calls.Should().Equal(story.Of(1, 34).Select(e => $"{e.U32(0)} {e.U64(24):x} {e.U32(32)}"));
        ends.Should().ContainSingle().Which.Should().StartWith($"{story.Process} victim.exe 77 at 2020-01-01T00:10:00.0");
        readied.Should().Equal(story.Of(5, 50).Select(e => $"{e.U32(0)} on {e.Processor}"));
        switches.Should().Equal(story.Of(5, 36).Select(e => $"{e.U32(4)} {e.U8(14)} {e.U8(12)} -> {e.U32(0)}"));
    }
}
