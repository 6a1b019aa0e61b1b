using FluentAssertions;
using Harness.Cli;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Scenarios.Tests.Traces;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary><c>run --trace</c>: what it leaves, and that nothing else becomes of the run.</summary>
public sealed class TraceTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void It_lies_beside_the_kernel_s_image_and_a_dump_may_be_wanted_too()
    {
        var without = Files("none");

        Files("trace", "--trace").Keys.Except(without.Keys).Should().BeEquivalentTo("trace.etl", "ntoskrnl.exe");
        Files("both", "--trace", "--dump").Keys.Except(without.Keys).Should().BeEquivalentTo("trace.etl", "MEMORY.DMP", "ntoskrnl.exe");
    }

    [Theory]
    [InlineData("1", "0")]
    [InlineData("1", "42")]
    [InlineData("4", "42")]
    public void The_evidence_is_the_same_with_a_trace_and_two_runs_leave_the_same_bytes(string processors, string seed)
    {
        string[] conditions = ["--processors", processors, "--seed", seed];
        var without = Files("without", conditions);
        var once = Files("once", [.. conditions, "--trace"]);
        var again = Files("again", [.. conditions, "--trace", "--dump"]);

        foreach (var file in (string[])[RunFolder.EvidenceFileName, RunFolder.VerdictFile, RunFolder.RunFile]) once[file].Should().Equal(without[file]);
        again["trace.etl"].AsSpan().SequenceEqual(once["trace.etl"]).Should().BeTrue();
        TracedRun.Broken(once["trace.etl"]).Should().BeEmpty();
    }

    [Fact]
    public void A_machine_that_stops_leaves_its_trace_up_to_there()
    {
        var results = _scratch["stopped"];
        var run = CommandRun.Of("run", "hang-irp", "--trace", "--results", results, "--driver", Repository.File("tests", "drivers", "bin", "gcc-O2", "double-complete.sys"), "--device", "DoubleComplete", "--ioctl", "0x222000");
        run.Code.Should().Be(ExitCode.Fail, run.Error + run.Out);
        var file = File.ReadAllBytes(Directory.EnumerateFiles(results, "trace.etl", SearchOption.AllDirectories).Single());

        TracedRun.Broken(file).Should().BeEmpty();
    }

    [Fact]
    public void A_run_folder_with_a_trace_is_judged_and_replayed_as_any_other()
    {
        var results = _scratch["kept"];
        CommandRun.Of("run", "hang-irp", "--trace", "--results", results).Code.Should().Be(ExitCode.Pass);
        var folder = Directory.EnumerateDirectories(results).Single();

        CommandRun.Of("judge", folder).Code.Should().Be(ExitCode.Pass);
        CommandRun.Of("replay", folder).Code.Should().Be(ExitCode.Pass);
        File.Exists(Path.Combine(folder, "trace.etl")).Should().BeTrue();
    }

    [Fact]
    public void Of_a_target_that_cannot_trace_nothing_is_begun()
    {
        var run = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "run", "hang-irp", "--trace", "--results", _scratch["results"]);

        run.Code.Should().Be(ExitCode.Unusable);
        run.Error.Should().Be("driverfault: --trace: target 'emulated' cannot leave an event trace\n");
        Directory.Exists(_scratch["results"]).Should().BeFalse();
    }

    private Dictionary<string, byte[]> Files(string results, params string[] more)
    {
        var run = CommandRun.Of(["run", "hang-irp", "--results", _scratch[results], .. more]);
        run.Code.Should().Be(ExitCode.Pass, run.Error);
        return Directory.EnumerateFiles(Directory.EnumerateDirectories(_scratch[results]).Single()).ToDictionary(file => Path.GetFileName(file), File.ReadAllBytes);
    }
}
