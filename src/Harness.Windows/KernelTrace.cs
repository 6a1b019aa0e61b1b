using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Evidence;
using Harness.Core.Targets;
using Microsoft.Diagnostics.Tracing.Parsers;
using Microsoft.Diagnostics.Tracing.Session;
using Keywords = Microsoft.Diagnostics.Tracing.Parsers.KernelTraceEventParser.Keywords;

namespace Harness.Windows;

/// <summary>An event trace of the kernel while a story is played: collected here, read by somebody else.</summary>
[SupportedOSPlatform("windows")]
internal sealed class KernelTrace : IDisposable
{
    /// <summary>The file in the run folder.</summary>
    public const string FileName = Recording.TraceFileName;

    /// <summary>The session's name: what is called so is ours.</summary>
    public const string SessionName = "DriverFaultHarness";

    private const int BufferMegabytes = 128;

    // Requests of drivers, who ends whom, who waits and who wakes them.
    private const Keywords Wanted = Keywords.Process | Keywords.Thread | Keywords.ImageLoad | Keywords.ContextSwitch | Keywords.Dispatcher | Keywords.Driver;
    private const Keywords WithStacks = Keywords.ContextSwitch | Keywords.Dispatcher;

    private readonly TraceEventSession _session;

    private KernelTrace(TraceEventSession session) => _session = session;

    /// <summary>Begins to collect.</summary>
    /// <exception cref="InvalidOperationException">The system will not; the message is its reason.</exception>
    public static KernelTrace Start(string folder)
    {
        TraceEventSession? session = null;
        try
        {
            session = new TraceEventSession(SessionName, Path.Combine(folder, FileName)) { BufferSizeMB = BufferMegabytes, StopOnDispose = true };
            session.EnableKernelProvider(Wanted, WithStacks);
            return new KernelTrace(session);
        }
        catch (Exception e) when (IsRefusal(e))
        {
            End(session);
            throw new InvalidOperationException(Reason(e), e);
        }
    }

    /// <summary>Writes what is still in buffers and ends the session.</summary>
    /// <exception cref="InvalidOperationException">The trace was not written.</exception>
    public TraceKept Stop(string folder)
    {
        try
        {
            _session.Flush();
            var lost = _session.EventsLost;
            _session.Stop();
            return File.Exists(Path.Combine(folder, FileName)) ? new TraceKept(FileName, lost) : throw new InvalidOperationException("the session ended without a file");
        }
        catch (Exception e) when (IsRefusal(e))
        {
            throw new InvalidOperationException(Reason(e), e);
        }
    }

    /// <summary>Adds to a trace that has been written which PDBs its images have, for whoever reads it on another machine (TraceEvent's programmer's guide, "Merging").</summary>
    /// <exception cref="InvalidOperationException">The system will not; the trace is as it was.</exception>
    public static void Merge(string folder)
    {
        try
        {
            TraceEventSession.MergeInPlace(Path.Combine(folder, FileName), TextWriter.Null);
        }
        catch (Exception e) when (IsRefusal(e) || e is ApplicationException)
        {
            throw new InvalidOperationException(Reason(e), e);
        }
    }

    /// <summary>Ends the session that a crashed run has left.</summary>
    public static void EndLeftover()
    {
        try
        {
            using var session = TraceEventSession.GetActiveSession(SessionName);
            session?.Stop(noThrow: true);
        }
        catch (Exception e) when (IsRefusal(e))
        {
            // A system that knows no sessions has none of ours.
        }
    }

    public void Dispose() => End(_session);

    private static void End(TraceEventSession? session)
    {
        try
        {
            session?.Dispose();
        }
        catch (Exception e) when (IsRefusal(e))
        {
            // What was never begun cannot be ended.
        }
    }

    private static bool IsRefusal(Exception e) => e is COMException or System.ComponentModel.Win32Exception or UnauthorizedAccessException or IOException or NotImplementedException or PlatformNotSupportedException or DllNotFoundException or EntryPointNotFoundException or ArgumentException;

    private static string Reason(Exception e) => e.Message.ReplaceLineEndings(" ").Trim() is var text && text.Contains("(0x", StringComparison.OrdinalIgnoreCase) ? text : $"{text.TrimEnd('.')} (0x{e.HResult:x8})";
}
