using FluentAssertions;
using Harness.Cli;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary>--request: the same stories with a read or a write in place of a control request.</summary>
public sealed class RequestKindTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("read --output-length 8", RequestKind.Read, 0x222008, Outcome.Zombie)]
    [InlineData("WRITE --input 0102", RequestKind.Write, 0x222008, Outcome.Zombie)]
    [InlineData("read --ioctl pend", RequestKind.Read, 0x222004, Outcome.Ended)]
    [InlineData("control", RequestKind.Control, 0, Outcome.Zombie)]
    public void Myfault_is_told_by_the_offset_what_to_do_with_it(string words, RequestKind kind, long offset, Outcome expected)
    {
        Run($"run hang-irp --request {words}").Code.Should().NotBe(ExitCode.Unusable);

        var choices = Saved().Run.Choices;
        choices.Kind.Should().Be(kind);
        choices.Offset.Should().Be(offset);
        choices.Expected.Should().Be(expected);
    }

    [Fact]
    public void A_read_of_another_driver_is_at_its_beginning_and_has_no_control_code()
    {
        var file = Repository.File("tests", "drivers", "bin", "gcc-O2", "read-write.sys");

        Run($"run hang-irp --driver {file} --device ReadWrite --request read --output-length 8").Code.Should().NotBe(ExitCode.Unusable);

        Saved().Run.Choices.Offset.Should().Be(0);
        Saved().Run.Story.Processes[0].Threads[0].Acts[1].Should().Be(new ReadFile("h", "request", 8));
        Run($"run hang-irp --driver {file} --device ReadWrite --request read --ioctl 0x222000").Should()
            .Match<CommandRun>(run => run.Code == ExitCode.Unusable && run.Error == "driverfault: --ioctl: a read has no control code\n");
    }

    [Fact]
    public void The_line_that_runs_it_again_says_so()
    {
        Run("run hang-irp --request read --output-length 8");

        Saved().Run.Replay.Should().Be("driverfault run hang-irp --request read --output-length 8 --seed 1");
    }

    [Fact]
    public void A_mistyped_kind_is_told() =>
        Run("run hang-irp --request raed").Should().Match<CommandRun>(run => run.Code == ExitCode.Unusable && run.Error.Contains("'raed' is none of control, read and write"));

    private CommandRun Run(string line) => CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), [.. line.Split(' '), "--results", _scratch.Folder]);

    private RunFolder Saved() => RunFolder.Open(_scratch["2026-11-22T084312-hang-irp-emulated"]);
}
