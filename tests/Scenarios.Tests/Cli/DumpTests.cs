using FluentAssertions;
using Harness.Cli;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary><c>run --dump</c>: what it leaves, and that nothing else becomes of the run.</summary>
public sealed class DumpTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Without_a_word_it_is_a_full_dump_beside_the_kernel_s_image()
    {
        var said = Files("said", "--dump", "full");
        var unsaid = Files("unsaid", "--dump");

        said.Keys.Except(Files("none").Keys).Should().BeEquivalentTo("MEMORY.DMP", "ntoskrnl.exe");
        unsaid["MEMORY.DMP"].AsSpan().SequenceEqual(said["MEMORY.DMP"]).Should().BeTrue();
        said["MEMORY.DMP"].Should().StartWith("PAGEDU64"u8.ToArray());
        said["ntoskrnl.exe"].Should().StartWith("MZ"u8.ToArray());
    }

    [Theory]
    [InlineData("full", "1", "0")]
    [InlineData("bitmap", "1", "42")]
    [InlineData("full", "4", "42")]
    public void The_evidence_is_the_same_with_a_dump_and_two_runs_leave_the_same_bytes(string kind, string processors, string seed)
    {
        string[] conditions = ["--processors", processors, "--seed", seed];
        var without = Files("without", conditions);
        var once = Files("once", [.. conditions, "--dump", kind]);
        var again = Files("again", [.. conditions, "--dump", kind]);

        once[RunFolder.EvidenceFileName].Should().Equal(without[RunFolder.EvidenceFileName]);
        once[RunFolder.VerdictFile].Should().Equal(without[RunFolder.VerdictFile]);
        again["MEMORY.DMP"].AsSpan().SequenceEqual(once["MEMORY.DMP"]).Should().BeTrue();
        again["ntoskrnl.exe"].AsSpan().SequenceEqual(once["ntoskrnl.exe"]).Should().BeTrue();
    }

    [Fact]
    public void Of_a_target_that_has_no_memory_to_leave_nothing_is_begun()
    {
        var run = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "run", "hang-irp", "--dump", "--results", _scratch["results"]);

        run.Code.Should().Be(ExitCode.Unusable);
        run.Error.Should().Be("driverfault: --dump: target 'emulated' cannot leave its memory\n");
        Directory.Exists(_scratch["results"]).Should().BeFalse();
    }

    [Theory]
    [InlineData("MEMORY.DMP")]
    [InlineData("ntoskrnl.exe")]
    public void A_disk_that_is_full_halfway_through_the_dump_is_one_line_and_leaves_no_run_folder(string file)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "there is no /dev/full");
        var results = _scratch["results"];
        var target = new FullDisk(() => File.CreateSymbolicLink(Path.Combine(Directory.EnumerateDirectories(results).Single(), file + ".unfinished"), "/dev/full"));

        var run = CommandRun.On(target, "run", "hang-irp", "--dump", "--results", results);

        run.Code.Should().Be(ExitCode.HarnessFailure);
        run.Out.Should().BeEmpty();
        run.Error.Should().Match("driverfault: cannot write results to '*': the disk is full\n");
        Directory.EnumerateFileSystemEntries(results).Should().BeEmpty();
    }

    private Dictionary<string, byte[]> Files(string results, params string[] more)
    {
        var run = CommandRun.Of(["run", "hang-irp", "--results", _scratch[results], .. more]);
        run.Code.Should().Be(ExitCode.Pass, run.Error);
        return Directory.EnumerateFiles(Directory.EnumerateDirectories(_scratch[results]).Single()).ToDictionary(file => Path.GetFileName(file), File.ReadAllBytes);
    }

    /// <summary>The emulated target, before whose story something happens to the disk.</summary>
    private sealed class FullDisk(Action before) : IRecordingTarget
    {
        private readonly Harness.Emulation.EmulatedTarget _target = new();

        public string Name => _target.Name;

        public string? Lacks => null;

        public bool LeavesDumps => true;

        public bool LeavesTraces => true;

        public TimeSpan DefaultSettle => _target.DefaultSettle;

        public void Check(string fileName, byte[] image) => _target.Check(fileName, image);

        public void Play(Story story, DriverUnderTest driver, Conditions conditions, Harness.Core.Evidence.EvidenceLog evidence) => _target.Play(story, driver, conditions, evidence);

        public void Play(Story story, DriverUnderTest driver, Conditions conditions, Harness.Core.Evidence.EvidenceLog evidence, Recording recording)
        {
            before();
            _target.Play(story, driver, conditions, evidence, recording);
        }
    }
}
