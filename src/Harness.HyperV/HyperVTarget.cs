using System.Reflection.PortableExecutable;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Threading;
using Harness.Core.Dumps;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;

namespace Harness.HyperV;

/// <summary>
/// The target "hyperv": the kernel of a machine that may be brought down, a Hyper-V guest of this host or another computer. The story goes there as a run folder, the harness in the
/// guest plays it on its target "local", and the evidence comes back. What stops the guest is evidence too: its kernel dump is read here.
/// </summary>
public sealed class HyperVTarget : IMachineTarget
{
    /// <summary>What a run is stopped by, when it is neither driver nor guest.</summary>
    public const string Host = "host";

    private const string ConversationFile = "conversation.jsonl";

    private static readonly string[] Remade = [ConversationFile, RunFolder.RunFile, RunFolder.EvidenceFileName, RunFolder.VerdictFile, RunFolder.JUnitFile, RunFolder.ReportFile];

    private readonly GuestOptions _options;
    private readonly TimeProvider _clock;
    private readonly CancellationToken _cancel;
    private readonly Patience _patience;
    private readonly Func<GuestOptions, Action<string>, IHostScripts>? _scripts;
    private GuestSession? _session;
    private string? _conversation;

    /// <param name="options">Which machine.</param>
    /// <param name="clock">Measures limits.</param>
    /// <param name="patience">Time limits; null: the usual ones.</param>
    /// <param name="scripts">Who plays PowerShell's side, given the machine and where to record; null: Windows PowerShell with the scripts of <paramref name="options"/>.</param>
    /// <param name="cancel">Ends a run, and whatever runs for it; so does an interrupt from the keyboard.</param>
    public HyperVTarget(GuestOptions options, TimeProvider clock, Patience? patience = null, Func<GuestOptions, Action<string>, IHostScripts>? scripts = null, CancellationToken cancel = default)
    {
        (_options, _clock, _cancel, _patience, _scripts) = (options, clock, cancel, patience ?? Patience.Usual, scripts);
    }

    /// <summary>How long each of its steps may take.</summary>
    internal Patience Limits => _patience;

    /// <summary>Where a run has its own folder while it lasts.</summary>
    internal string Scratch { get; init; } = Path.GetTempPath();

    public string Name => "hyperv";

    public string? Lacks => _scripts is null && !OperatingSystem.IsWindows() ? "it needs a Windows host with Hyper-V, or WinRM to another machine (docs/hyperv.md)" : _options.Lacks;

    /// <summary>Real time passes.</summary>
    public TimeSpan DefaultSettle => TimeSpan.FromSeconds(15);

    /// <summary>The target for this machine; the same one for the same machine, whose guest is ready then.</summary>
    public HyperVTarget With(GuestOptions options) => options == _options ? this : new(options, _clock, _patience, _scripts, _cancel) { Scratch = Scratch };

    /// <summary>Which machine.</summary>
    public GuestOptions Options => _options;

    public ITarget With(MachineOptions options) =>
        options.Timeout + _patience.Check is var run && run == _patience.Run ? this : new HyperVTarget(_options, _clock, _patience with { Run = run }, _scripts, _cancel) { Scratch = Scratch };

    public void Check(string fileName, byte[] image)
    {
        try
        {
            using var file = new PEReader(new MemoryStream(image));
            if (file.PEHeaders is not { PEHeader.Subsystem: Subsystem.Native, CoffHeader.Machine: Machine.Amd64 }) throw new UnusableDriverException($"{fileName} is no driver for x64");
        }
        catch (BadImageFormatException)
        {
            throw new UnusableDriverException($"{fileName} is no driver: it is not an executable of Windows");
        }
    }

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence)
    {
        using var nowhere = new Briefly(Scratch);
        Play(story, driver, conditions, evidence, nowhere.Path);
    }

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence, string folder)
    {
        if (Lacks is { } lacks) throw new UnusableDriverException($"target '{Name}': {lacks}");
        using var briefly = new Briefly(Scratch);
        var fetched = briefly.Make("results");
        _conversation = Path.Combine(folder, ConversationFile);
        _session ??= new GuestSession(Scripts(), _patience, _options, _clock);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_cancel);
        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => End(signal, ended));
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => End(signal, ended));

        var run = briefly.Make("run");
        Write(run, _session.NextRun, story, driver, conditions);
        var began = _clock.GetTimestamp();
        var played = _session.Play(run, fetched, folder, ended.Token).GetAwaiter().GetResult();
        if (played.Hopeless) throw new UnusableDriverException($"target '{Name}': {played.Answer.Says ?? played.Answer.Error}");
        var took = played.Fetched ? Take(fetched, folder, evidence) : null;
        Weigh(played, took, evidence, _clock.GetElapsedTime(began));
        // What a driver keeps it from being unloaded for is in the way of the next story.
        if (evidence.Observations.Any(o => o is DriverNotUnloaded or BugChecked or RunStopped)) _session.Spoil();
    }

    // What runs for it on the host is ended first, and then the command ends by itself.
    private static void End(PosixSignalContext signal, CancellationTokenSource ended)
    {
        signal.Cancel = true;
        ended.Cancel();
    }

    private IHostScripts Scripts()
    {
        void Record(string line) => File.AppendAllText(_conversation!, line + "\n");
        return _scripts?.Invoke(_options, Record) ?? new PowerShellScripts("powershell.exe", _options.ScriptArguments, _clock, Record);
    }

    // The guest's harness judges the story too, by whatever it is called; that verdict is not looked at.
    private static void Write(string folder, string inGuest, Story story, DriverUnderTest driver, Conditions conditions)
    {
        File.WriteAllBytes(Path.Combine(folder, driver.FileName), driver.Image);
        var choices = new Choices(0, [], 0, Outcome.Ended, TimeSpan.FromSeconds(15));
        var file = new DriverFile($@"{inGuest}\{driver.FileName}", driver.FileName, Convert.ToHexStringLower(SHA256.HashData(driver.Image)), driver.Device);
        RunFolder.WriteStory(folder, new RunDescription("story", "local", story, file, choices, conditions.Seed, conditions.Processors, "", ""));
    }

    // What is wrong with what the guest left; null: nothing. Whoever lost the connection may have fetched it half written.
    private static string? Take(string fetched, string folder, EvidenceLog evidence)
    {
        var runs = Directory.EnumerateDirectories(fetched).Where(found => File.Exists(Path.Combine(found, RunFolder.EvidenceFileName))).ToList();
        if (runs.Count > 1) return $"it is of {runs.Count} runs, and one was asked for";
        if (runs.Count == 0) return null;
        var run = runs[0];
        foreach (var file in Directory.EnumerateFiles(run).Where(file => !Remade.Contains(Path.GetFileName(file), StringComparer.OrdinalIgnoreCase) && File.ResolveLinkTarget(file, returnFinalTarget: false) is null))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        try
        {
            foreach (var seen in RunFolder.Open(run).Evidence) evidence.Add(seen.At, seen.Source, seen);
            return null;
        }
        catch (UnusableRunFolderException e)
        {
            return e.Message.Replace(run + ": ", "", StringComparison.Ordinal);
        }
    }

    private static void Weigh(GuestStory played, string? unread, EvidenceLog evidence, TimeSpan at)
    {
        void Stopped(string why) => evidence.Add(at, Host, new RunStopped(why));

        if (played.Answer is { Ok: true, ExitCode: 2 } refused) throw new UnusableDriverException($"the harness in the guest cannot run it: {refused.Says ?? "it did not say why"}");
        if (played.Answer is { Ok: true, ExitCode: not (null or 0 or 1 or 3) } failed) throw new InvalidOperationException($"the harness in the guest ended with exit code {failed.ExitCode}{(failed.Says is { } says ? $": {says}" : "")}");
        if (played.Dump is not null) Dumped(played, evidence, at);
        else if (played.NoDump is { } noDump) Stopped($"the guest stopped and left a kernel dump, which could not be fetched: {noDump}");
        else if (played.NotBack is { } notBack) Stopped($"{What(played)} and did not come back: {notBack}");
        else if (played.Restarted) Stopped($"{What(played)} and restarted without leaving a kernel dump");
        else if (!played.Answer.Ok && !played.Fetched) Stopped(played.Answer.Says ?? played.Answer.Error ?? "the guest gave no answer");
        else if (unread is not null) Stopped($"what the guest's run left cannot be read: {unread}");
        else if (played.Fetched && evidence.Observations.Count == 0) Stopped("the guest's run left no evidence");
    }

    private static void Dumped(GuestStory played, EvidenceLog evidence, TimeSpan at)
    {
        void Stopped(string why) => evidence.Add(at, Host, new RunStopped(why));

        try
        {
            var dump = GuestDump.Read(played.Dump!);
            if (dump.Processes.Count > 0) evidence.Add(at, Sources.KernelMemory, new KernelMemorySeen("dump", dump.Processes));
            var seen = dump.Says.Count > 0 ? $" Its dump shows: {string.Join(" ", dump.Says)}" : " Its dump shows no process that was killed and stays.";
            if (played.Hung) Stopped($"{What(played)}.{seen}");
            else if (dump.BugCheck is { } code)
            {
                evidence.Add(at, Sources.KernelMemory, new BugChecked(code, dump.Parameters, dump.By, []));
                Stopped($"the guest stopped with bug check {new BugCheck(code).Hex}");
            }
            else Stopped($"the guest stopped and left a kernel dump that names no bug check.{seen}");
        }
        catch (Exception e) when (e is UnusableDumpException or IOException or UnauthorizedAccessException)
        {
            Stopped($"{What(played)}; its kernel dump cannot be read: it {e.Message}");
        }
    }

    private static string What(GuestStory played) =>
        played.Hung ? $"the guest did not answer any more ({played.Answer.Says ?? "its time was over"}){(played.Interrupted ? " and was stopped by an interrupt" : "")}" : $"the guest was lost ({played.Answer.Says ?? played.Answer.Error})";

    /// <summary>A folder of this run alone.</summary>
    private sealed class Briefly(string scratch) : IDisposable
    {
        internal string Path { get; } = Directory.CreateDirectory(System.IO.Path.Combine(scratch, $"driverfault-{System.IO.Path.GetRandomFileName()}")).FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);

        internal string Make(string name) => Directory.CreateDirectory(System.IO.Path.Combine(Path, name)).FullName;
    }
}
