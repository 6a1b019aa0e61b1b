using System.Threading;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Harness.Core.Traces;
using Harness.Tracing.Zombies;

namespace Harness.Tracing;

/// <summary>
/// Looks in a trace of the kernel for processes that were asked to end and were held by a driver. It needs the kernel's keywords Process, Thread,
/// ImageLoad, ContextSwitch, Dispatcher and Driver, with stacks of ContextSwitch and Dispatcher; what of that is missing it says.
/// </summary>
public static class TraceAnalysis
{
    /// <summary>Reads the whole trace, once; never throws for what the trace holds.</summary>
    /// <param name="trace">A trace of which nothing was read yet.</param>
    /// <param name="symbols">Names for routines; null: none.</param>
    /// <param name="files">Where the files of images may be, whose exports name routines too; null: nowhere.</param>
    /// <param name="stop">Ends the reading; what was read by then is told, and nothing of it is certain.</param>
    /// <exception cref="IOException">The file could not be read.</exception>
    public static TraceDiagnosis Of(EventTrace trace, ISymbols? symbols = null, ImageFiles? files = null, CancellationToken stop = default)
    {
        var follower = new KernelFollower(trace);
        using (stop.Register(trace.Source.StopProcessing)) trace.Process();
        follower.Finish();
        var gaps = Gaps(trace).ToList();
        if (stop.IsCancellationRequested) gaps.Add("it was not read to its end: that took too long");
        if (follower.RunsBackwards) gaps.Add("times run backwards by a second or more");
        var names = new FrameNames(follower.Images, symbols, files);
        var chain = new Chain(follower, names, gaps);
        var fates = follower.Dying.Select(chain.Weigh).Concat(follower.Others.OrderBy(process => process.Pid).Select(chain.WeighUnasked).OfType<TracedFate>()).ToList();
        return new TraceDiagnosis(Chain.Time(follower.End), fates, follower.EndedUnasked, follower.Forgotten, gaps, [.. Lacks(follower, fates)], [.. names.Exports.Select(image => $"exports of {image}"), .. names.Carried.Select(image => $"{image}, in the trace")], files?.Notes ?? [])
        {
            SawProcesses = follower.SawProcesses,
        };
    }

    /// <summary>What is missing, so that nothing that isn't in the trace is known not to have happened.</summary>
    private static IEnumerable<string> Gaps(EventTrace trace)
    {
        var header = trace.File.Header;
        if (header.EventsLost > 0) yield return $"{header.EventsLost} events were lost";
        if (header.BuffersLost > 0) yield return $"{header.BuffersLost} buffers were lost";
        if (trace.File.BuffersAfterLoss > 0 && header is { EventsLost: 0, BuffersLost: 0 }) yield return "events were lost, as marks on buffers tell";
        if ((header.Mode & LogFileModes.Circular) != 0 && header.BuffersWritten > trace.File.Buffers) yield return "the session overwrote its oldest events";
        foreach (var note in trace.Notes) yield return "the trace is damaged: " + note;
    }

    private static IEnumerable<string> Lacks(KernelFollower follower, List<TracedFate> fates)
    {
        if (!follower.SawProcesses) yield return "events of processes (keyword Process)";
        else if (fates.Count + follower.Forgotten == 0) yield return "a process that is asked to end: one that was asked before the session began may hang unseen";
        if (fates.TrueForAll(fate => fate.Answer == Answer.NotAZombie)) yield break;
        if (!follower.SawSwitches) yield return "context switches (keyword ContextSwitch)";
        if (!follower.SawReadies) yield return "who makes threads ready (keyword Dispatcher)";
        if (!follower.SawStacks) yield return "stacks of context switches";
        if (!follower.SawDrivers) yield return "IRPs (keyword Driver)";
        if (!follower.SawLastRundown) yield return "the list of what there is when the session ends (rundown)";
        if (fates.Exists(fate => fate.Wait is { } wait && wait.SwitchInStack.Any(frame => frame.StartsWith("nt+", StringComparison.Ordinal)))) yield return "names of nt's routines: --symbols with its PDB, or its file beside the trace";
    }
}
