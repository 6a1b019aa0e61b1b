using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>What keeps a run from being judged at all, whatever became of the victim. One sentence each, in the order it happened.</summary>
internal static class Obstacles
{
    internal static IEnumerable<string> In(Testimony testimony) =>
        testimony.Evidence.Select(o => Sentence(testimony, o)).OfType<string>();

    private static string? Sentence(Testimony testimony, Observation observation) => observation switch
    {
        Unmodelled o => $"{o.Caller} needed {o.What}, which this target does not model: {o.Detail} ({Citation.Of(o)}).",
        RunStopped o => $"The target stopped the run at {Spelled.Clock(o.At)}: {o.Why} ({Citation.Of(o)}).",
        DriverEntryReturned { Status.IsSuccess: false } o => $"DriverEntry of {o.Module} failed with {Named(o.Status)} ({Citation.Of(o)}).",
        // A create that is the story's own request, and that the driver refused, has had its answer.
        CallReturned { Status.IsError: true } o when Opens(o.Call) && NeedsItsHandle(testimony.Story, o.Process) && !(o.Request == testimony.Story.Request && testimony.Sent is not null) =>
            $"'{o.Process}' could not open the device: {o.Call} returned {o.Status} ({Citation.Of(o)}){Made(testimony)}.",
        _ => null,
    };

    private static string Named(NtStatus status) => status.ToString() == status.Hex ? status.Hex : $"{status.Hex} {status}";

    // What it could have opened: a mistyped device name and a driver that makes none look alike from outside.
    private static string Made(Testimony testimony) => testimony.Evidence.OfType<DriverEntryReturned>().LastOrDefault() switch
    {
        null => "",
        { Devices: [] } o => $"; DriverEntry of {o.Module} left no device",
        var o => $"; DriverEntry of {o.Module} left {string.Join(", ", o.Devices)}",
    };

    private static bool Opens(string call) =>
        call.StartsWith("CreateFile", StringComparison.Ordinal) || call.StartsWith("NtCreateFile", StringComparison.Ordinal)
        || call.StartsWith("NtOpenFile", StringComparison.Ordinal);

    // A handle nobody sends anything through decides nothing.
    private static bool NeedsItsHandle(Story story, string process) =>
        process == story.Victim || story.Processes.Where(p => p.Name == process).SelectMany(p => p.Threads).SelectMany(t => t.Acts).OfType<IRequestAct>().Any();
}
