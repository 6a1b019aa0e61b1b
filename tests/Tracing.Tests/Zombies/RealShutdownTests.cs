using Core.Tests.Traces;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Xunit;

namespace Tracing.Tests.Zombies;

/// <summary>The shutdown of a real machine: sixty processes are asked to end.</summary>
public sealed class RealShutdownTests
{
    [Fact]
    public void Each_process_is_told_to_have_gone_so_long_after_it_was_asked()
    {
        var diagnosis = KernelStory.Of(RealTrace.Shutdown, stop: TestContext.Current.CancellationToken);
        var expected = Counted(RealTrace.Shutdown);

        expected.Should().HaveCount(60);
        diagnosis.Fates.Select(fate => (fate.Pid, Took: (fate.Ended!.Value - fate.Asked!.Value).TotalMilliseconds)).Should()
            .Equal(expected, (told, counted) => told.Pid == counted.Pid && Math.Abs(told.Took - counted.Took) < 0.001);
        diagnosis.Fates.Should().OnlyContain(fate => fate.Answer == Answer.NotAZombie && fate.Says.EndsWith("after its end was asked for.", StringComparison.Ordinal));
        (diagnosis.Verdict, diagnosis.Gaps.Count, diagnosis.Lacks.Count).Should().Be(("none", 0, 0));
        diagnosis.Fates.Count(fate => fate.AskedBy!.Pid != fate.Pid).Should().Be(39);
    }

    /// <summary>Without TraceEvent, from the records themselves.</summary>
    private static List<(int Pid, double Took)> Counted(byte[] file)
    {
        using var trace = TraceFile.Read(new MemoryStream(file));
        var asked = new List<(int Pid, long Time)>();
        var ended = new Dictionary<int, long>();
        var reader = trace.Events();
        while (reader.Next())
        {
            var record = reader.Record;
            if (!record.IsKernel) continue;
            if (record.HookId == KernelTraceEvents.ProcessTerminate) asked.Add((BitConverter.ToInt32(record.Payload), record.Time));
            if (record.HookId == KernelTraceEvents.ProcessEnd) ended.TryAdd(BitConverter.ToInt32(record.Payload[8..]), record.Time);
        }

        return [.. asked.Select(one => (one.Pid, (ended[one.Pid] - one.Time) * 1000.0 / trace.Header.Frequency))];
    }
}
