using Harness.Core.Traces;
using Microsoft.Diagnostics.Tracing;
using Microsoft.Diagnostics.Tracing.Parsers;
using Microsoft.Diagnostics.Tracing.Parsers.Kernel;

namespace Harness.Tracing;

/// <summary>
/// An event trace log (.etl) for TraceEvent's parsers, on any system: on Windows TraceEvent reads the file itself, elsewhere our reader gives it the
/// events, one block at a time. Subscribe to <see cref="Kernel"/> and the others, then call <see cref="Process"/>, once.
/// </summary>
public sealed class EventTrace : IDisposable
{
    private readonly EventRecordSource? _bridge;
    private CachedStacks? _stacks;

    private EventTrace(TraceFile file, TraceEventDispatcher? windows)
    {
        File = file;
        _bridge = windows is null ? new EventRecordSource(file) : null;
        Source = windows ?? _bridge!.Source;
        Kernel = new KernelTraceEventParser(Source, KernelTraceEventParser.ParserTrackingOptions.ThreadToProcess);
        Terminations = new ProcessTerminateTraceEventParser(Source);
        Names = new ImageNamesTraceEventParser(Source);
    }

    /// <exception cref="UnusableTraceException">It is no event trace log, or one of a kind that is not read; one line says which.</exception>
    /// <exception cref="IOException">It cannot be opened; also <see cref="UnauthorizedAccessException"/>.</exception>
    public static EventTrace Open(string path)
    {
        var file = TraceFile.Open(path);
        try
        {
            return new EventTrace(file, OperatingSystem.IsWindows() ? new ETWTraceEventSource(path) : null);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The same from a trace that our reader has opened, by the bridge on every system; it is owned from then on.</summary>
    public static EventTrace Bridge(TraceFile file)
    {
        try
        {
            return new EventTrace(file, null);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>What our reader tells of the file: header, losses.</summary>
    public TraceFile File { get; }

    /// <summary>For other parsers.</summary>
    public TraceEventDispatcher Source { get; }

    /// <summary>The kernel's events. It keeps which thread is of which process, and no names of files, registry keys or objects.</summary>
    public KernelTraceEventParser Kernel { get; }

    /// <summary>Process/Terminate, which <see cref="Kernel"/> does not know.</summary>
    public ProcessTerminateTraceEventParser Terminations { get; }

    /// <summary>Names of routines that the trace itself has.</summary>
    public ImageNamesTraceEventParser Names { get; }

    /// <summary>What could not be read so far; on Windows of the file as a whole only.</summary>
    public IReadOnlyList<string> Notes => [.. File.Notes, .. _bridge?.Notes ?? [], .. _stacks is { LeftOut: > 0 and var left } ? (string[])[$"{left} × cached stacks beyond the first four million frames, which are not kept"] : []];

    /// <summary>Reads all events and gives them to whoever has subscribed. False when <see cref="TraceEventDispatcher.StopProcessing"/> ended it.</summary>
    public bool Process()
    {
        var done = Source.Process();
        return _bridge is null ? done : _bridge.IsOver;
    }

    /// <summary>
    /// The frames of a cached stack (StackWalkStackKeyKernel, StackWalkStackKeyUser), the innermost first; empty when the trace doesn't tell. All are read,
    /// in a pass of their own, when the first is asked for.
    /// </summary>
    public ReadOnlySpan<ulong> StackOf(StackWalkRefTraceData data)
    {
        _stacks ??= CachedStacks.Of(File);
#pragma warning disable CS0618 // What TraceEvent prefers is a double, and a key's meaning may change from one tick to the next.
        return _stacks.Find(data.StackKey, data.TimeStampQPC);
#pragma warning restore CS0618
    }

    public void Dispose()
    {
        if (_bridge is not null) _bridge.Dispose();
        else Source.Dispose();
        File.Dispose();
    }
}
