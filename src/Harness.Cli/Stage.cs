using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Targets;

namespace Harness.Cli;

/// <summary>Where runs are played one after the other: each gets its folder first, so that what cannot be kept is not begun.</summary>
internal sealed class Stage(Surroundings around, ITarget target, string results, Format format, DumpKind? dump = null, bool trace = false)
{
    private bool _first = true;

    /// <summary>Plays one run, keeps it and tells it.</summary>
    /// <exception cref="UnwritableResultsException">The run folder cannot be written.</exception>
    /// <exception cref="UnusableDriverException">The file is not a driver the target can load.</exception>
    public PlayedRun Play(RunDescription run, DriverUnderTest driver)
    {
        // What a target can do by itself, the files' contracts can be made ready beside.
        if (_first) _ = Task.Run(JsonLayout.Prepare);
        var folder = RunFolder.Create(results, run.Started ?? around.Clock.GetUtcNow(), run);
        PlayedRun played;
        try
        {
            played = PlayedRun.Play(run, target, driver, dump is not null || trace ? new Recording(dump, trace, folder.WriteRecording) : null, folder.FullPath);
            folder.Write(played.Evidence, played.Judgement);
        }
        catch (Exception e) when (e is UnusableDriverException or UnwritableResultsException)
        {
            // Nothing was run, or what was cannot be kept.
            folder.Discard();
            throw;
        }

        if (!_first && format == Format.Text) around.Out.WriteLine();
        _first = false;
        format.Tell(around, run, played.Evidence, played.Judgement, folder.FullPath);
        if (played.Defect is { } defect) DriverFault.Confess(around, defect);
        return played;
    }
}
