using System.Text.Json;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>One run as <c>--format json</c> prints it: a <see cref="RunLine"/> on one line.</summary>
public static class JsonLine
{
    /// <summary>The line, without a line end.</summary>
    public static string Of(RunDescription run, IReadOnlyList<Observation> evidence, Judgement judgement, string absoluteRunFolder)
    {
        var look = new LastLook(run, evidence);
        var line = new RunLine(run.Scenario, run.Target, judgement.Verdict, judgement.Because, judgement.Outcome,
            judgement.After is { } after ? after.Ticks / (decimal)TimeSpan.TicksPerMillisecond : null,
            [.. judgement.Findings.Select(f => new FindingLine(f.Id, f.Title, f.Code, f.Parameters, f.Driver, f.Says))],
            Process(look),
            look is { IsLast: true, KeepsAlive: { } thread } ? ThreadLine.Of(thread) : null,
            look.IsLast ? [.. look.Threads.Select(ThreadLine.Of)] : [],
            look.IsLast ? [.. look.Irps.Select(IrpLine.Of)] : [],
            absoluteRunFolder, run.Replay);
        return JsonSerializer.Serialize(line, JsonLayout.OneLine.RunLine);
    }

    private static ProcessLine? Process(LastLook look) => look.Testimony.Pid is not { } pid ? null
        : new ProcessLine(pid, look.At?.State?.Image ?? look.At?.Record?.Image ?? look.Testimony.Story.Victim + ".exe",
            look.IsLast ? look.At?.State?.Listed : null, look.IsLast ? look.At?.State?.Signalled : null, look.Testimony.Kill?.Result.Hex);
}
