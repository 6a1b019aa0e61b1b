using System.Globalization;
using System.Text.RegularExpressions;
using Core.Tests.Traces;
using FluentAssertions;
using Harness.Core.Traces;
using Harness.Tracing;
using Microsoft.Diagnostics.Tracing.Parsers;
using Microsoft.Diagnostics.Tracing.Parsers.Clr;
using Xunit;

namespace Tracing.Tests;

/// <summary>
/// What TraceEvent printed on Windows of a trace, against what it makes of the bridge: the first five events of every name, 480 lines, and the
/// count of every name, 152 lines. The baseline went through TraceLog; where that knows more or drops something, the line is named here.
/// </summary>
public sealed partial class BaselineTests
{
    /// <summary>Names that Windows itself knows and TraceEvent doesn't.</summary>
    private static readonly Dictionary<string, string> NamesOfWindows = new()
    {
        ["MSNT_SystemTrace/SystemConfig/Platform"] = "Windows Kernel/SystemConfig/Opcode(25)",
        ["MSNT_SystemTrace/Image/KernelBase"] = "Windows Kernel/Image/Opcode(33)",
    };

    private const string Sample = "Windows Kernel/PerfInfo/Sample";

    private static readonly List<Line> Seen = Read();

    [Fact]
    public void Every_event_of_the_baseline_has_its_name_time_processor_length_process_and_thread()
    {
        var byTime = Seen.ToLookup(line => (long)Math.Round(line.Milliseconds * 1000));
        var (same, unattributed) = (0, 0);
        foreach (var expected in Lines("EVENT ").Select(Expected))
        {
            // The baseline has three digits behind the point: microseconds.
            var near = Enumerable.Range(-1, 3).SelectMany(off => byTime[(long)Math.Round(expected.Milliseconds * 1000) + off]).Where(line => line.Name == expected.Name && line.Processor == expected.Processor && line.Length == expected.Length).ToList();
            if (near.Any(line => (line.ProcessId, line.ThreadId) == (expected.ProcessId, expected.ThreadId))) same++;
            // TraceLog finds a sample's process by its thread; the event's header has neither.
            else if (expected.Name == Sample && near.Any(line => line.ProcessId == -1)) unattributed++;
            else Assert.Fail($"{expected} is not there; near it: {string.Join(", ", near)}");
        }

        (same, unattributed).Should().Be((476, 4));
    }

    [Fact]
    public void Every_name_of_the_baseline_occurs_as_often()
    {
        var counts = Seen.CountBy(line => line.Name).ToDictionary();
        var compared = 0;
        foreach (var line in Lines("COUNT "))
        {
            var colon = line.LastIndexOf(':');
            var name = line[..colon];
            // TraceLog drops the samples of idle processors, and KernelBase shares its event's name with others.
            if (name == Sample) continue;
            counts.GetValueOrDefault(NamesOfWindows.GetValueOrDefault(name, name)).Should().Be(int.Parse(line[(colon + 1)..], CultureInfo.InvariantCulture), name);
            compared++;
        }

        compared.Should().Be(151);
        Seen.Count.Should().Be(179_474);
        counts[Sample].Should().Be(79_528);
    }

    private static List<Line> Read()
    {
        var seen = new List<Line>();
        using var trace = EventTrace.Bridge(TraceFile.Read(new MemoryStream(RealTrace.Net)));
        var source = trace.Source;
        // An event has its name where somebody wants it.
        source.Kernel.All += _ => { };
        source.Clr.All += _ => { };
        new ClrRundownTraceEventParser(source).All += _ => { };
        new ClrPrivateTraceEventParser(source).All += _ => { };
        new TplEtwProviderTraceEventParser(source).All += _ => { };
        new SymbolTraceEventParser(source).All += _ => { };
        source.Dynamic.All += _ => { };
        source.AllEvents += data => seen.Add(new(data.TimeStampRelativeMSec, $"{data.ProviderName}/{data.EventName}", data.ProcessID, data.ThreadID, data.ProcessorNumber, data.EventDataLength));
        trace.Process().Should().BeTrue();
        trace.Notes.Should().BeEmpty();
        return seen;
    }

    private static IEnumerable<string> Lines(string kind)
    {
        using var text = new StreamReader(RealTrace.Resource("net.4.5.2.x64.baseline.txt"));
        while (text.ReadLine() is { } line)
            if (line.StartsWith(kind, StringComparison.Ordinal)) yield return line[kind.Length..];
    }

    private static Line Expected(string line)
    {
        var match = EventLine().Match(line);
        match.Success.Should().BeTrue(line);
        double Number(string group) => double.Parse(match.Groups[group].ValueSpan, NumberStyles.Any, CultureInfo.InvariantCulture);
        var name = match.Groups["name"].Value.TrimEnd();
        return new(Number("time"), NamesOfWindows.GetValueOrDefault(name, name), (int)Number("pid"), (int)Number("tid"), (int)Number("cpu"), (int)Number("length"));
    }

    [GeneratedRegex("^(?<time>[0-9.,]+): (?<name>.*?) PID=(?<pid>-?[0-9]+); TID=(?<tid>-?[0-9]+); PName=[^;]*; ProceNum=(?<cpu>[0-9]+); DataLen=(?<length>[0-9,]+)")]
    private static partial Regex EventLine();

    private sealed record Line(double Milliseconds, string Name, int ProcessId, int ThreadId, int Processor, int Length);
}
