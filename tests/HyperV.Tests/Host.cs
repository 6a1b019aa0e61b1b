using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading;
using Harness.Cli;
using Harness.Cli.Arguments;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.HyperV;
using Harness.Scenarios;

namespace HyperV.Tests;

/// <summary>A host whose PowerShell is the stand-in: it says what the test wrote, and nothing else. What the guest would leave, the emulated target leaves.</summary>
internal sealed class Host : IDisposable
{
    /// <summary>Short enough for a test that lets one pass; a step that answers needs a tenth of a second.</summary>
    public static readonly Patience Short = new(TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), 2, TimeSpan.FromMilliseconds(1));

    private static readonly DateTimeOffset Now = new(2026, 11, 22, 8, 43, 12, TimeSpan.Zero);

    private readonly string _folder = Directory.CreateTempSubdirectory("driverfault-host-").FullName;
    private readonly List<JsonObject> _lines = [];

    public Host()
    {
        foreach (var folder in new[] { "scripts", "harness", "scratch", "kept" }) Directory.CreateDirectory(At(folder));
        File.WriteAllText(At("scripts", "Invoke-GuestScenario.ps1"), "");
        File.WriteAllText(At("harness", "driverfault.exe"), "");
        Target = Make(Short);
    }

    public HyperVTarget Target { get; private set; }

    public string At(params string[] path) => Path.Combine([_folder, .. path]);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The same host with other limits and options, or with somebody who looks on.</summary>
    public Host With(Patience? patience = null, bool isolate = false, string? program = null, Action<HostStep>? looks = null)
    {
        Target = Make(patience ?? Short, isolate, program, looks);
        return this;
    }

    /// <summary>The same host with a way to end its runs.</summary>
    public Host EndedBy(CancellationTokenSource cancel)
    {
        Target = Make(Short, cancel: cancel.Token);
        return this;
    }

    /// <summary>The next step and its answer.</summary>
    public Host Says(string step, HostAnswer? answer = null, Action<JsonObject>? more = null)
    {
        var line = new JsonObject { ["step"] = step };
        if (answer is not null) line["answer"] = JsonSerializer.SerializeToNode(answer, ConversationLine.Json.HostAnswer);
        more?.Invoke(line);
        _lines.Add(line);
        File.WriteAllLines(At("conversation"), _lines.Select(one => one.ToJsonString()));
        return this;
    }

    /// <summary>A guest that is made ready; it booted then.</summary>
    public Host MadeReady(string boot = "1") => Fine("Check").Fine("Restore").Fine("Start").Says("Connect", new HostAnswer(true, Boot: boot)).Fine("Copy");

    /// <summary>A step that just succeeds.</summary>
    public Host Fine(string step) => Says(step, new HostAnswer(true));

    /// <summary>A step that fails for a reason.</summary>
    public Host Fails(string step, string error, string says, bool again = false) => Says(step, new HostAnswer(false, error, says, again));

    /// <summary>A story that is told to its end and fetched.</summary>
    public Host Tells(string scenario, int exitCode = 0) => Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: exitCode)).Collects(scenario);

    /// <summary>What the guest left is fetched.</summary>
    public Host Collects(string scenario) => Says("Collect", new HostAnswer(true), line => line["files"] = Left(scenario));

    /// <summary>What the last step fetches has this file too, beside the others.</summary>
    public Host AlsoLeaves(string name, string file)
    {
        var files = (JsonObject)_lines[^1]["files"]!;
        files[$"{files.First().Key.Split('/')[0]}/{name}"] = file;
        File.WriteAllLines(At("conversation"), _lines.Select(one => one.ToJsonString()));
        return this;
    }

    /// <summary>A dump is fetched, or written, to the host.</summary>
    public Host Dumps(string step, string dump) => Says(step, new HostAnswer(true), line => line["files"] = new JsonObject { [""] = dump });

    /// <summary>Plays a scenario with MyFault on the target, as the command does.</summary>
    public PlayedRun Play(string scenario = "hang-irp") => PlayedRun.Play(Describe(scenario, Target), Target, DriverArgument.Committed(MyFault.Device).Driver, folder: At("kept"));

    /// <summary>What the same scenario is on the emulated target.</summary>
    public static PlayedRun Emulated(string scenario)
    {
        var target = new EmulatedTarget();
        return PlayedRun.Play(Describe(scenario, target), target, DriverArgument.Committed(MyFault.Device).Driver);
    }

    /// <summary>The steps that were asked for, in order.</summary>
    public string[] Asked => [.. Conversation.Select(line => line.GetProperty("step").GetString()!)];

    /// <summary>The steps that are recorded somewhere below this folder.</summary>
    public IEnumerable<string> AskedBelow(string folder) => Directory.EnumerateFiles(At(folder), "conversation.jsonl", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        .SelectMany(File.ReadAllLines).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetString()!);

    /// <summary>conversation.jsonl of the run folder.</summary>
    public IReadOnlyList<JsonElement> Conversation => File.Exists(At("kept", "conversation.jsonl")) ? [.. File.ReadAllLines(At("kept", "conversation.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)] : [];

    /// <summary>What nobody expected: a step out of turn.</summary>
    public string Refused => File.Exists(At("conversation.refused")) ? File.ReadAllText(At("conversation.refused")) : "";

    /// <summary>What a run left where it has its folder while it lasts.</summary>
    public IEnumerable<string> LeftOvers => Directory.EnumerateFileSystemEntries(At("scratch"));

    private HyperVTarget Make(Patience patience, bool isolate = false, string? program = null, Action<HostStep>? looks = null, CancellationToken cancel = default) => new(
        new GuestOptions("TestVm", null, isolate, At("scripts"), At("harness")), TimeProvider.System, patience,
        (options, record) => new Watched(new PowerShellScripts(program ?? StandIn, [At("conversation"), .. options.ScriptArguments], TimeProvider.System, record), looks), cancel) { Scratch = At("scratch") };

    private static string StandIn => Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "HostStandIn.exe" : "HostStandIn");

    public static RunDescription Describe(string scenario, ITarget target)
    {
        var told = ScenarioCatalogue.Named(scenario)!;
        var driver = DriverArgument.Committed(MyFault.Device);
        var request = new RunRequest([told], target, driver, null, [], null, null, TimeSpan.FromMinutes(10), RunRequest.Usual);
        return PlayedRun.Describe("driverfault", told, target, driver, request.ChoicesFor(told), request.Conditions);
    }

    // The guest's results folder: one run folder, here as the emulated target makes one.
    private JsonObject Left(string scenario)
    {
        var run = Emulated(scenario);
        var folder = RunFolder.Create(At("guest"), Now, run.Description with { Target = "local" });
        folder.Write(run.Evidence, run.Judgement);
        File.WriteAllText(Path.Combine(folder.Path, "trace.etl"), "a trace");
        return new JsonObject(Directory.EnumerateFiles(folder.Path).Select(file => KeyValuePair.Create<string, JsonNode?>($"{Path.GetFileName(folder.Path)}/{Path.GetFileName(file)}", JsonValue.Create(file))));
    }

    private sealed class Watched(IHostScripts scripts, Action<HostStep>? looks) : IHostScripts
    {
        public Task<HostAnswer> Ask(HostStep step, TimeSpan limit, CancellationToken cancel)
        {
            looks?.Invoke(step);
            return scripts.Ask(step, limit, cancel);
        }
    }
}
