using System.Globalization;
using Core.Tests;
using Core.Tests.Traces;
using FluentAssertions;
using Harness.Core.Traces;
using Harness.Tracing;
using Xunit;

namespace Tracing.Tests;

/// <summary>Damaged traces through TraceEvent: every event that our reader finds arrives, and what the zombie analysis reads of it can be read.</summary>
public sealed class BridgeFuzzTests
{
    // A long run: this many files. CONTRIBUTING.md has the command.
    private const string MoreCases = "DRIVERFAULT_BRIDGE_CASES";

    [Fact]
    public void Every_event_of_a_damaged_trace_arrives()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreCases) ?? "400", CultureInfo.InvariantCulture);
        var chance = new Chance(0x9E3779B97F4A7C15);
        var files = Damage.Traces();
        var (read, arrived) = (0, 0L);
        for (var number = 0; number < count; number++)
        {
            var (damaged, heal) = Damage.Wound(files[chance.Below(files.Count)], chance);
            try
            {
                arrived += Read(damaged, number);
                read++;
            }
            catch (UnusableTraceException)
            {
                // The reader's own tests tell when.
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"case {number} escaped: {e.Message}", e);
            }

            heal();
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{count} files: {read} read, {arrived} events");
        read.Should().BeGreaterThan(count / 2);
        arrived.Should().BeGreaterThan(read * 5L);
    }

    private static int Read(byte[] file, int number)
    {
        using var trace = EventTrace.Bridge(TraceFile.Read(new MemoryStream(file)));
        var expected = 0;
        var reader = trace.File.Events();
        while (reader.Next()) expected++;
        var (events, sum) = (0, 0L);
        trace.Kernel.ProcessGroup += data => sum += data.ProcessID + data.ExitStatus + data.KernelImageFileName.Length + data.CommandLine.Length;
        trace.Kernel.ThreadStartGroup += data => sum += data.ThreadID + data.ProcessID;
        trace.Kernel.ThreadEndGroup += data => sum += data.ThreadID + data.ProcessID;
        trace.Kernel.ImageGroup += data => sum += data.ImageSize + (long)data.ImageBase;
        trace.Kernel.ThreadCSwitch += data => sum += data.NewThreadID + data.OldThreadID + (int)data.OldThreadWaitReason + (int)data.OldThreadState;
        trace.Kernel.DispatcherReadyThread += data => sum += data.AwakenedThreadID;
        trace.Kernel.StackWalkStack += data => sum += data.FrameCount;
        trace.Kernel.StackWalkStackKeyKernel += data => sum += trace.StackOf(data).Length;
        trace.Kernel.DiskIODriverMajorFunctionCall += data => sum += data.MajorFunction + (long)data.Irp;
        trace.Terminations.ProcessTerminate += data => sum += data.VictimProcessID;
        trace.Source.AllEvents += _ => events++;
        if (!trace.Process()) Assert.Fail($"case {number}: the processing ended early");
        // A header is made up where there is none, and some are left out.
        var leftOut = trace.Notes.Where(note => note.EndsWith("and is not given", StringComparison.Ordinal)).Sum(note => int.Parse(note.AsSpan(0, note.IndexOf(' ', StringComparison.Ordinal)), CultureInfo.InvariantCulture));
        if (events + leftOut - expected is not (0 or 1)) Assert.Fail($"case {number}: {events} of {expected} events arrived, {leftOut} were left out");
        return events;
    }
}
