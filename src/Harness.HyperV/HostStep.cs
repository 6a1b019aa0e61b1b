using System.Globalization;
using System.Threading;

namespace Harness.HyperV;

/// <summary>
/// One thing that PowerShell does on the host: a call of vm-scripts/Invoke-GuestScenario.ps1 with -Step. Each is a process of its own, so that one that hangs can be
/// ended, and nothing is remembered but the machine itself.
/// </summary>
/// <param name="Name">The value of -Step.</param>
/// <param name="Arguments">Parameters of the script with their values, in order; no secret is among them.</param>
public sealed record HostStep(string Name, IReadOnlyList<KeyValuePair<string, string>> Arguments)
{
    /// <summary>Is the host able, is the machine there, does its credential fit?</summary>
    public static HostStep Check => new("Check", []);

    /// <summary>Back to the checkpoint, turned off. A physical machine is restarted instead.</summary>
    public static HostStep Restore => new("Restore", []);

    /// <summary>Turns the machine on; one that is on stays so.</summary>
    public static HostStep Start => new("Start", []);

    /// <summary>Waits until commands can be sent to the guest, and tells when it booted.</summary>
    public static HostStep Connect => new("Connect", []);

    /// <summary>Copies a folder of the host into the guest, over what is there.</summary>
    public static HostStep Copy(string from, string to) => new("Copy", [new("Source", from), new("Destination", to)]);

    /// <summary>Runs the harness in the guest on a run folder, and waits for its end.</summary>
    /// <param name="harness">The harness's folder in the guest.</param>
    /// <param name="run">The run folder in the guest.</param>
    /// <param name="results">Where the guest's results go.</param>
    /// <param name="story">When the harness in the guest stops the story and cleans up.</param>
    /// <param name="limit">How long all of it may take.</param>
    public static HostStep Run(string harness, string run, string results, TimeSpan story, TimeSpan limit) =>
        new("Run", [new("Harness", harness), new("Source", run), new("Destination", results), new("StorySeconds", Seconds(story)), new("TimeoutSeconds", Seconds(limit))]);

    private static string Seconds(TimeSpan time) => Math.Ceiling(time.TotalSeconds).ToString("0", CultureInfo.InvariantCulture);

    /// <summary>Copies a file or a folder of the guest to the host.</summary>
    public static HostStep Collect(string from, string to) => new("Collect", [new("Source", from), new("Destination", to)]);

    /// <summary>The watchdog's first step: a live dump of a guest that still answers, which goes on running.</summary>
    public static HostStep LiveDump(string to) => new("LiveDump", [new("Destination", to)]);

    /// <summary>The watchdog's second: a non-maskable interrupt, on which the guest stops, writes MEMORY.DMP and restarts.</summary>
    public static HostStep Interrupt => new("Interrupt", []);
}

/// <summary>What PowerShell answers, as one object of JSON.</summary>
/// <param name="Ok">It was done.</param>
/// <param name="Error">If not: "noHyperV", "notElevated", "noSuchVm", "noCheckpoint", "noCredential", "wrongCredential", "noIntegrationServices", "guestGone", "timeout", "failed".</param>
/// <param name="Says">One sentence for the user.</param>
/// <param name="Again">The same step may succeed if it is tried again.</param>
/// <param name="ExitCode">Of the harness in the guest, when the step was to run it.</param>
/// <param name="Boot">When the guest booted, as it says; two boots differ.</param>
/// <param name="Dump">The guest has a kernel dump that was written since the checkpoint.</param>
public sealed record HostAnswer(bool Ok, string? Error = null, string? Says = null, bool Again = false, int? ExitCode = null, string? Boot = null, bool Dump = false)
{
    /// <summary>The guest was lost on the way: it stopped, restarted or hangs.</summary>
    public bool GuestIsGone => Error is "guestGone" or "timeout";
}

/// <summary>The PowerShell side of the target: a step is asked for, an answer comes, always.</summary>
public interface IHostScripts
{
    /// <summary>Does one step. A step that fails, hangs past its limit or dies without a word is an answer too.</summary>
    /// <param name="step">What to do.</param>
    /// <param name="limit">After so long it is ended.</param>
    /// <param name="cancel">Ends it at once.</param>
    /// <exception cref="OperationCanceledException">It was cancelled; nothing of it runs any more.</exception>
    Task<HostAnswer> Ask(HostStep step, TimeSpan limit, CancellationToken cancel);
}
