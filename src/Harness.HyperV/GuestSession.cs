using System.Threading;
using Polly;
using Polly.CircuitBreaker;
using Polly.Retry;

namespace Harness.HyperV;

/// <summary>One guest over several stories: makes it ready, gives it stories, and brings it back when it was lost.</summary>
internal sealed class GuestSession
{
    /// <summary>Where the guest has what it is given and leaves what it made.</summary>
    internal const string Folder = @"C:\driverfault";

    private const string MemoryDump = @"C:\Windows\MEMORY.DMP";

    // A guest that could not be made ready so often in a row is dead for the rest of the session.
    private const int MostDeaths = 2;

    // Nothing but the user can help against these; a second try would tell the same.
    internal static readonly string[] Hopeless = ["noPowerShell", "noHyperV", "notElevated", "noSuchVm", "noCheckpoint", "noCredential", "wrongCredential", "noIntegrationServices"];

    private readonly IHostScripts _scripts;
    private readonly Patience _patience;
    private readonly GuestOptions _options;
    private readonly CircuitBreakerManualControl _circuit = new();
    private readonly ResiliencePipeline<HostAnswer> _once;
    private readonly ResiliencePipeline<HostAnswer> _patiently;
    private CancellationToken _cancel;
    private bool _ready;
    private int _deaths;
    private int _stories;
    private string? _boot;

    internal GuestSession(IHostScripts scripts, Patience patience, GuestOptions options, TimeProvider clock)
    {
        (_scripts, _patience, _options) = (scripts, patience, options);
        // The circuit is opened by hand: what counts is whether the guest could be made ready, not how many steps failed on the way.
        _once = new ResiliencePipelineBuilder<HostAnswer> { TimeProvider = clock }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<HostAnswer> { ManualControl = _circuit, ShouldHandle = _ => ValueTask.FromResult(false) }).Build();
        _patiently = patience.Tries == 0 ? _once : new ResiliencePipelineBuilder<HostAnswer> { TimeProvider = clock }
            .AddRetry(new RetryStrategyOptions<HostAnswer>
            {
                MaxRetryAttempts = patience.Tries,
                Delay = patience.Pause,
                BackoffType = DelayBackoffType.Exponential,
                ShouldHandle = tried => ValueTask.FromResult(tried.Outcome.Result is { Ok: false, Again: true }),
            }).AddPipeline(_once).Build();
    }

    /// <summary>Where the guest has the next story's run folder, and leaves its results.</summary>
    internal string NextRun => $@"{Folder}\run\{_stories + 1}";

    /// <summary>The guest must go back to its checkpoint before the next story.</summary>
    internal void Spoil() => _ready = false;

    /// <summary>Gives the guest a run folder and fetches what it made of it.</summary>
    /// <param name="run">The run folder, made for <see cref="NextRun"/>.</param>
    /// <param name="fetched">A new folder, for the guest's results.</param>
    /// <param name="kept">Where dumps go.</param>
    /// <param name="cancel">Ends it at once.</param>
    /// <exception cref="OperationCanceledException">It was ended; the guest is in no known state.</exception>
    internal async Task<GuestStory> Play(string run, string fetched, string kept, CancellationToken cancel)
    {
        _cancel = cancel;
        if (_options.Isolate) Spoil();
        if (!_ready && await MakeReady().ConfigureAwait(false) is { Ok: false } unready) return new GuestStory(unready, Hopeless: Hopeless.Contains(unready.Error));

        var there = NextRun;
        var results = $@"{Folder}\results\{++_stories}";
        if (await Ask(HostStep.Copy(run, there), _patience.Copy).ConfigureAwait(false) is { Ok: false } uncopied) return Lost(uncopied);
        var step = HostStep.Run($@"{Folder}\harness", there, results, _patience.Story, _patience.Run);
        // The script ends what it started when its time is over; should it fail to, it is ended a little later.
        var answer = await Ask(step, _patience.Run + _patience.Check, once: true).ConfigureAwait(false);
        if (answer.GuestIsGone) return await BringBack(answer, results, fetched, kept).ConfigureAwait(false);
        if (!answer.Ok) return Lost(answer);
        var collected = await Ask(HostStep.Collect(results, fetched), _patience.Copy).ConfigureAwait(false);
        return collected.Ok ? new GuestStory(answer) { Fetched = true } : Lost(collected);
    }

    private async Task<HostAnswer> MakeReady()
    {
        (HostStep Step, TimeSpan Limit)[] steps =
        [
            (HostStep.Check, _patience.Check), (HostStep.Restore, _patience.Restore), (HostStep.Start, _patience.Restore), (HostStep.Connect, _patience.Connect),
            (HostStep.Copy(_options.Harness, $@"{Folder}\harness"), _patience.Copy),
        ];
        foreach (var (step, limit) in steps)
        {
            var answer = await Ask(step, limit).ConfigureAwait(false);
            if (step.Name == HostStep.Connect.Name) _boot = answer.Boot;
            if (answer.Ok) continue;
            if (++_deaths >= MostDeaths) await _circuit.IsolateAsync(_cancel).ConfigureAwait(false);
            return answer;
        }

        _deaths = 0;
        _ready = true;
        return new HostAnswer(true);
    }

    // It stopped, restarted, hangs, or is only out of reach. The watchdog looks first and interrupts then.
    private async Task<GuestStory> BringBack(HostAnswer lost, string results, string fetched, string kept)
    {
        Spoil();
        var story = new GuestStory(lost);
        if (lost.Error == "timeout")
        {
            var live = Path.Combine(kept, "LIVE.DMP");
            if (await Ask(HostStep.LiveDump(live), _patience.Dump, once: true).ConfigureAwait(false) is { Ok: true }) return story with { Dump = live, Hung = true };
            var interrupted = await Ask(HostStep.Interrupt, _patience.Check, once: true).ConfigureAwait(false);
            story = story with { Hung = true, Interrupted = interrupted.Ok };
        }

        var back = await Ask(HostStep.Connect, _patience.Connect).ConfigureAwait(false);
        if (!back.Ok) return story with { NotBack = back.Says ?? back.Error };
        story = story with { Restarted = back.Boot != _boot };
        if (back.Dump)
        {
            var dump = Path.Combine(kept, "MEMORY.DMP");
            var collected = await Ask(HostStep.Collect(MemoryDump, dump), _patience.Dump).ConfigureAwait(false);
            return collected.Ok ? story with { Dump = dump } : story with { NoDump = collected.Says ?? collected.Error };
        }

        // The same boot: the connection broke, and the story may have been told to its end.
        return !story.Restarted && await Ask(HostStep.Collect(results, fetched), _patience.Copy).ConfigureAwait(false) is { Ok: true } ? story with { Fetched = true } : story;
    }

    private GuestStory Lost(HostAnswer answer)
    {
        Spoil();
        return new GuestStory(answer, Hopeless.Contains(answer.Error));
    }

    private async Task<HostAnswer> Ask(HostStep step, TimeSpan limit, bool once = false)
    {
        try
        {
            return await (once ? _once : _patiently).ExecuteAsync(async cancel => await _scripts.Ask(step, limit, cancel).ConfigureAwait(false), _cancel).ConfigureAwait(false);
        }
        catch (BrokenCircuitException)
        {
            return new HostAnswer(false, "givenUp", $"the guest could not be made ready {MostDeaths} times in a row and is given up");
        }
    }
}

/// <summary>What became of a story in the guest.</summary>
/// <param name="Answer">Of the step that decided: the run, or the one that failed.</param>
/// <param name="Hopeless">The user has to do something first.</param>
internal sealed record GuestStory(HostAnswer Answer, bool Hopeless = false)
{
    /// <summary>The guest's results are on the host.</summary>
    internal bool Fetched { get; init; }

    /// <summary>It did not answer in time.</summary>
    internal bool Hung { get; init; }

    /// <summary>The watchdog stopped it by an interrupt.</summary>
    internal bool Interrupted { get; init; }

    /// <summary>It booted again.</summary>
    internal bool Restarted { get; init; }

    /// <summary>Why it did not come back; null when it did.</summary>
    internal string? NotBack { get; init; }

    /// <summary>Its kernel dump on the host; null when it left none.</summary>
    internal string? Dump { get; init; }

    /// <summary>Why there is no dump although it left one; null when there is one, or it left none.</summary>
    internal string? NoDump { get; init; }
}
