using System.Text.Json;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Reports;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary>The command end to end on the emulated target: what it leaves is enough to judge again, and the same each time.</summary>
public sealed class EmulatedRunTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public static TheoryData<string> EveryScenario => [.. ScenarioCatalogue.All.Select(scenario => scenario.Name)];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(EveryScenario))]
    public void Judge_reproduces_the_verdict_from_the_folder_alone(string scenario)
    {
        var run = CommandRun.Of("run", scenario, "--results", _scratch.Folder, "--format", "json");
        var folder = Directory.EnumerateDirectories(_scratch.Folder).Should().ContainSingle().Which;
        var verdict = File.ReadAllBytes(Path.Combine(folder, RunFolder.VerdictFile));
        foreach (var file in Directory.EnumerateFiles(folder).Where(file => Path.GetFileName(file) is not (RunFolder.RunFile or RunFolder.EvidenceFileName))) File.Delete(file);

        var judged = CommandRun.Of("judge", folder, "--format", "json");

        run.Code.Should().Be(ExitCode.Pass, run.Out + run.Error);
        judged.Should().Be(run);
        File.ReadAllBytes(Path.Combine(folder, RunFolder.VerdictFile)).Should().Equal(verdict);
    }

    [Theory]
    [MemberData(nameof(EveryScenario))]
    public void Two_runs_with_one_seed_leave_the_same_bytes_of_evidence(string scenario)
    {
        CommandRun.Of("run", scenario, "--results", _scratch["one"], "--seed", "42");
        CommandRun.Of("run", scenario, "--results", _scratch["two"], "--seed", "42");

        Evidence("two").Should().Equal(Evidence("one"));
    }

    [Fact]
    public void Replay_sees_the_same_again()
    {
        CommandRun.Of("run", "hang-irp", "--results", _scratch["one"], "--ioctl", "pend", "--settle", "15s");

        var replayed = CommandRun.Of("replay", Directory.EnumerateDirectories(_scratch["one"]).Single(), "--results", _scratch["two"]);

        replayed.Code.Should().Be(ExitCode.Pass);
        replayed.Error.Should().Contain("the evidence is the same");
        Evidence("two").Should().Equal(Evidence("one"));
    }

    [Fact]
    public void Json_tells_the_zombie_as_a_debugger_would()
    {
        var json = JsonDocument.Parse(CommandRun.Of("run", "hang-irp", "--results", _scratch.Folder, "--format", "json").Lines.Should().ContainSingle().Which).RootElement;

        var thread = json.GetProperty("thread");
        (thread.GetProperty("state").GetString(), thread.GetProperty("waitReason").GetString(), thread.GetProperty("waitMode").GetString(), thread.GetProperty("alertable").GetBoolean())
            .Should().Be(("Waiting", "Executive", "KernelMode", false));
        var irp = json.GetProperty("irps").EnumerateArray().Should().ContainSingle().Which;
        (irp.GetProperty("list").GetString(), irp.GetProperty("cancel").GetBoolean(), irp.GetProperty("cancelRoutine").ValueKind, irp.GetProperty("driver").GetString(), irp.GetProperty("device").GetString(), irp.GetProperty("ioctl").GetString())
            .Should().Be(("thread", true, JsonValueKind.Null, "myfault.sys", @"\Device\MyFault", "0x222008"));
        thread.GetProperty("kernelStack").EnumerateArray().Select(frame => frame.GetString()!.Split('+')[0]).Should().ContainInOrder(
            "nt!KeWaitForSingleObject", "nt!IopCancelAlertedRequest", "nt!IopSynchronousServiceTail", "nt!IopXxxControlFile", "nt!NtDeviceIoControlFile");
    }

    [Fact]
    public void A_file_that_is_no_driver_is_one_line_and_exit_code_2()
    {
        var run = CommandRun.Of("run", "hang-irp", "--driver", _scratch.File("text.sys", "This is no driver.\n"u8.ToArray()), "--device", "X", "--results", _scratch["results"]);

        run.Code.Should().Be(ExitCode.Unusable);
        run.Out.Should().BeEmpty();
        run.Error.Should().StartWith("driverfault: ").And.Contain("text.sys");
        run.Error.TrimEnd('\n').Should().NotContain("\n");
        Directory.Exists(_scratch["results"]).Should().BeFalse("nothing was begun");
    }

    private byte[] Evidence(string results)
    {
        var evidence = File.ReadAllBytes(Path.Combine(Directory.EnumerateDirectories(_scratch[results]).Single(), RunFolder.EvidenceFileName));
        evidence.Should().NotBeEmpty();
        return evidence;
    }
}
