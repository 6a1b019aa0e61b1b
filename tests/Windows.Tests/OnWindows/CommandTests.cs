using FluentAssertions;
using Harness.Windows;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>The command itself, a process of its own.</summary>
public sealed class CommandTests : IDisposable
{
    private readonly string _results = Directory.CreateTempSubdirectory("driverfault-").FullName;

    public void Dispose() => Directory.Delete(_results, recursive: true);

    [Fact]
    public void Refuses_a_machine_nobody_vouches_for_and_begins_nothing()
    {
        if (!Machine.IsWine) Assert.Skip("a Windows that is set up for tests is not refused");
        var (code, said) = Command.Run("run", "hang-irp", "--target", "local", "--results", _results);
        code.Should().Be(2);
        said.Should().Contain("'local' is not available here").And.Contain("--i-know-this-machine");
        Directory.EnumerateFileSystemEntries(_results).Should().BeEmpty();
    }

    [Fact]
    public void Lists_the_target_with_what_the_machine_lacks()
    {
        var (code, said) = Command.Run("list");
        code.Should().Be(0);
        said.Should().MatchRegex(@"(?m)^  local ");
    }

    [Fact]
    public void Plays_hang_irp_and_says_that_the_client_ended_where_no_zombie_can_be()
    {
        if (!Machine.IsWine) Assert.Skip("Windows makes a zombie of it");
        var (code, said) = Command.Run("run", "hang-irp", "--target", "local", "--i-know-this-machine", "--settle", "1s", "--results", _results);
        code.Should().Be(1, said);
        said.Should().Contain("on target local").And.Contain("ended").And.Contain("The story promised: a zombie").And.NotContain("zombie-no-cancel-routine");
        said.Should().Contain("DeviceIoControl", "the managed stack is told").And.Contain("the event trace: not observed").And.Contain("myfault.sys is installed as the service");
        DriverService.Exists("DriverFault-myfault").Should().BeFalse();
        var folder = Directory.EnumerateDirectories(_results).Should().ContainSingle().Subject;
        Path.GetFileName(folder).Should().EndWith("-hang-irp-local");
        Directory.EnumerateFiles(folder).Select(Path.GetFileName).Should().Contain(["run.json", "evidence.jsonl", "verdict.json", "junit.xml", "report.html"]);
        Command.Run("judge", folder).Code.Should().Be(1, "a saved run is judged anywhere");
    }

    [Fact]
    public void Refuses_a_file_that_is_no_driver_before_anything_is_begun()
    {
        var file = Path.Combine(_results, "text.sys");
        File.WriteAllText(file, "this is text");
        var (code, said) = Command.Run("run", "hang-irp", "--target", "local", "--i-know-this-machine", "--driver", file, "--device", "X", "--ioctl", "0x222000", "--results", _results);
        code.Should().Be(2);
        said.Should().Contain("text.sys is no driver");
    }

    [Fact]
    public void Facts_writes_what_the_machine_answers_and_why_it_does_not()
    {
        var file = Path.Combine(_results, "windows-facts.json");
        var (code, said) = Command.Run("facts", "--quick", "--i-know-this-machine", "--output", file, "--results", _results);
        code.Should().Be(3, "Wine, or a hurried Windows, cannot answer everything: " + said);
        var text = File.ReadAllText(file);
        text.Should().Contain("\"scenario\": \"hang-irp\"").And.Contain("\"scenario\": \"hang-irp-completion-port\"").And.Contain("\"question\": \"GetExitCodeProcess\"");
        if (Machine.IsWine) text.Should().Contain("\"answer\": \"0x00000077\"").And.Contain("it had ended").And.Contain("not observed: the event trace");
        DriverService.Exists("DriverFault-myfault").Should().BeFalse();
    }
}
