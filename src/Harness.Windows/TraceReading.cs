using System.Runtime.Versioning;
using Harness.Core.Evidence;
using Harness.Core.Symbols;
using Harness.Core.Targets;
using Harness.Core.Traces;
using Harness.Tracing;

namespace Harness.Windows;

/// <summary>What the event trace of a run tells of the story's processes, once the run is over.</summary>
/// <param name="collecting">Where the trace is.</param>
/// <param name="timeline">Where it is told.</param>
/// <param name="waits">Whose clock limits the reading.</param>
internal sealed class TraceReading(Collecting collecting, Timeline timeline, Waits waits)
{
    /// <summary>For a thousand million events, many more than a machine has in a run.</summary>
    private static readonly TimeSpan ToRead = TimeSpan.FromMinutes(5);

    private const string What = "what the event trace tells";

    /// <summary>Reads the trace of the run folder.</summary>
    /// <param name="pids">The story's processes.</param>
    [SupportedOSPlatform("windows")]
    public void Read(IReadOnlyCollection<int> pids)
    {
        Read(pids, Environment.SystemDirectory);
        // It writes the file anew: afterwards, so that nothing of the verdict depends on it.
        try
        {
            KernelTrace.Merge(collecting.Folder);
        }
        catch (InvalidOperationException e)
        {
            timeline.Add(Sources.Etw, new NotObserved("which PDBs the images in the trace have", e.Message));
        }
    }

    /// <summary>The same for a trace of another machine.</summary>
    /// <param name="pids">The story's processes.</param>
    /// <param name="images">Where nt's file may be; null: nowhere.</param>
    internal void Read(IReadOnlyCollection<int> pids, string? images)
    {
        try
        {
            using var symbols = string.IsNullOrEmpty(collecting.SymbolPath) ? null : SymbolPath.Parse(collecting.SymbolPath);
            using var limit = waits.Within(ToRead);
            using var trace = EventTrace.Open(Path.Combine(collecting.Folder, Recording.TraceFileName));
            var seen = TraceAnalysis.Of(trace, symbols, ImageFiles.In(images, collecting.SymbolPath), limit.Token);
            timeline.Add(Sources.Etw, new EventTraceSeen(Recording.TraceFileName, [.. seen.Fates.Where(fate => pids.Contains(fate.Pid))], seen.Gaps, seen.Lacks));
            foreach (var note in (symbols?.Notes ?? []).Concat(seen.Notes)) timeline.Add(Sources.Etw, new NotObserved("names of routines in the event trace", note));
        }
        // On Windows TraceEvent reads it, and says what it cannot in exceptions of its own; what ProcessTrace returns comes as whatever Marshal.ThrowExceptionForHR makes of it.
        catch (Exception e) when (e is UnusableTraceException or IOException or UnauthorizedAccessException or InvalidOperationException or ApplicationException or ArgumentException or BadImageFormatException
            or System.ComponentModel.Win32Exception or System.Runtime.InteropServices.COMException)
        {
            timeline.Add(Sources.Etw, new NotObserved(What, e.Message.ReplaceLineEndings(" ")));
        }
    }
}
