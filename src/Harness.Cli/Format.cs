using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Verdicts;

namespace Harness.Cli;

/// <summary>How standard output tells a run.</summary>
internal enum Format
{
    /// <summary>The story.</summary>
    Text,

    /// <summary>JSON Lines: one object for each run and nothing else.</summary>
    Json,
}

internal static class Formats
{
    /// <summary>The value of --format.</summary>
    public static Format Parse(string? text) => text?.ToLowerInvariant() switch
    {
        null or "text" => Format.Text,
        "json" => Format.Json,
        _ => throw new UsageException($"--format: there is no format '{text}'; text or json"),
    };

    /// <summary>Tells one run.</summary>
    public static void Tell(this Format format, Surroundings around, RunDescription run, IReadOnlyList<Observation> evidence, Judgement judgement, string runFolder)
    {
        try
        {
            if (format == Format.Json) around.Out.WriteLine(JsonLine.Of(run, evidence, judgement, runFolder));
            else ConsoleStory.Write(around.Out, run, evidence, judgement, runFolder, around.Color);
            around.Out.Flush();
        }
        catch (IOException e)
        {
            throw new UnwritableResultsException($"cannot write to standard output: {Fault.Of(e)}; the run is kept in {runFolder}", e);
        }
    }
}
