using System.Reflection;
using System.Security.Cryptography;
using Harness.Cli.Arguments;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Core.Verdicts;

namespace Harness.Cli;

/// <summary>One run: what was played, what was seen, what the rules say.</summary>
/// <param name="Description">run.json.</param>
/// <param name="Evidence">The timeline.</param>
/// <param name="Judgement">The verdict.</param>
/// <param name="Defect">What went wrong in the harness itself; the evidence ends there, and the verdict is an error.</param>
internal sealed record PlayedRun(RunDescription Description, IReadOnlyList<Observation> Evidence, Judgement Judgement, Exception? Defect = null)
{
    /// <summary>This build of the harness, as run.json names it.</summary>
    public static string HarnessVersion { get; } =
        typeof(PlayedRun).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>Describes a run before it is played. <paramref name="command"/>: what the user types to run it again.</summary>
    public static RunDescription Describe(string command, Scenario scenario, ITarget target, DriverArgument driver, Choices choices, Conditions conditions, DateTimeOffset? started = null) =>
        new(scenario.Name, target.Name, scenario.Tell(choices),
            new DriverFile(driver.Path, driver.Driver.FileName, Sha256(driver.Driver), driver.Driver.Device),
            choices, conditions.Seed, conditions.Processors, HarnessVersion, ReplayLine.Of(command, scenario, target, driver, choices, conditions), started);

    /// <summary>Plays the story and judges what it left.</summary>
    /// <param name="run">What is played.</param>
    /// <param name="target">Where.</param>
    /// <param name="driver">With which driver.</param>
    /// <param name="recording">What to leave besides; null: nothing.</param>
    /// <param name="folder">Where the collectors of a real machine leave files; null: nowhere.</param>
    /// <exception cref="UnusableDriverException">The file is not a driver the target can load.</exception>
    /// <exception cref="UnwritableResultsException">What is recorded cannot be kept.</exception>
    public static PlayedRun Play(RunDescription run, ITarget target, DriverUnderTest driver, Recording? recording = null, string? folder = null)
    {
        var evidence = new EvidenceLog();
        try
        {
            var conditions = new Conditions(run.Seed, run.Processors);
            if (recording is not null) ((IRecordingTarget)target).Play(run.Story, driver, conditions, evidence, recording);
            else if (target is IMachineTarget machine && folder is not null) machine.Play(run.Story, driver, conditions, evidence, folder);
            else target.Play(run.Story, driver, conditions, evidence);
            return new PlayedRun(run, evidence.Observations, Judge.Of(run, evidence.Observations));
        }
        catch (Exception e) when (e is not UnusableDriverException and not UsageException and not UnwritableResultsException)
        {
            var because = $"The harness itself failed: {e.GetType().Name}: {DriverFault.FirstLine(e.Message)}";
            return new PlayedRun(run, evidence.Observations, new Judgement(Verdict.Error, null, null, because, [], []), e);
        }
    }

    /// <summary>Of the driver's bytes, lower-case hexadecimal.</summary>
    public static string Sha256(DriverUnderTest driver) => Convert.ToHexStringLower(SHA256.HashData(driver.Image));
}
