using System.Text;
using FluentAssertions;
using Harness.Cli;
using Scenarios.Tests.Scripts;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary>driverfault diagnose on files that hold no kernel memory: one line, exit code 2, nothing else.</summary>
public sealed class DiagnoseCommandTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("PAGEDUMP", "is a dump of 32-bit Windows; only x64 is read")]
    [InlineData("PAGEDU64", "is cut off: it should have at least 8192 bytes and has 8")]
    [InlineData("MDMP", "is a minidump of one process")]
    [InlineData("\x1F\x8B", "is compressed (gzip); unpack it first")]
    [InlineData("", "is empty")]
    [InlineData("text", "is no kind of memory dump that is known")]
    public void A_file_without_kernel_memory_is_told_in_one_line(string content, string says)
    {
        var path = _scratch.File("given.dmp", Encoding.Latin1.GetBytes(content));
        var run = CommandRun.Of("diagnose", path);

        run.Error.Should().StartWith($"driverfault: diagnose: {path} {says}");
        run.Error.TrimEnd('\n').Should().NotContain("\n");
        run.Out.Should().BeEmpty();
        run.Code.Should().Be(ExitCode.Unusable);
    }

    [Theory(Timeout = 60_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_pipe_that_nobody_writes_to_is_not_waited_for(bool throughALink)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "there are no pipes in folders");
        var pipe = _scratch["pipe"];
        (await ScriptRun.Of("mkfifo", [pipe], "/")).Code.Should().Be(0);
        if (throughALink) File.CreateSymbolicLink(pipe = _scratch["link"], _scratch["pipe"]);

        var run = await Task.Run(() => CommandRun.Of("diagnose", pipe), TestContext.Current.CancellationToken).WaitAsync(TestContext.Current.CancellationToken);

        run.Error.Should().Be($"driverfault: diagnose: {pipe} is empty, or a pipe or a device\n");
        run.Code.Should().Be(ExitCode.Unusable);
    }
}
