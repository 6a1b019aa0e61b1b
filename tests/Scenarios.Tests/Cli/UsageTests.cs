using FluentAssertions;
using Harness.Cli;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary>What cannot be used is answered with one line on standard error and exit code 2, and nothing is left behind.</summary>
public sealed class UsageTests
{
    [Theory]
    [InlineData("name a command: list, run")]
    [InlineData("there is no command 'lst'; did you mean 'list'?", "lst")]
    [InlineData("there is no scenario 'hang_irp'; did you mean 'hang-irp'?", "run", "hang_irp")]
    [InlineData("there is no scenario 'zzzzzzzzz'", "run", "hang-irp", "zzzzzzzzz")]
    [InlineData("there is no option '--frmat'; did you mean '--format'?", "run", "--frmat")]
    [InlineData("--dump: 'mini' is neither full nor bitmap", "run", "hang-irp", "--dump", "mini")]
    [InlineData("'--seed'", "run", "--seed")]
    [InlineData("'--seed'", "run", "--seed", "1", "--seed", "2")]
    [InlineData("--seed: 'x' is not a number", "run", "--seed", "x")]
    [InlineData("--settle: 'soon' is not a time", "run", "--settle", "soon")]
    [InlineData("--output-length: '-1' is not a number", "run", "--output-length", "-1")]
    [InlineData("--ioctl: 'hang' is neither a number nor a request of myfault.sys's", "run", "--ioctl", "hang")]
    [InlineData("--input: 'xyz' is not bytes", "run", "--input", "xyz")]
    [InlineData("--input: there is no file nowhere.bin", "run", "--input", "@nowhere.bin")]
    [InlineData("--expect: 'maybe' is none of zombie, ended and cancelled", "run", "--expect", "maybe")]
    [InlineData("--format: there is no format 'xml'", "run", "--format", "xml")]
    [InlineData("--target: there is no target 'emulate'; did you mean 'emulated'?", "run", "--target", "emulate")]
    [InlineData("--timeout: 'soon' is not a time", "run", "--timeout", "soon")]
    [InlineData("--timeout: '25h' is not a time up to 24h", "run", "--timeout", "25h")]
    [InlineData("--target: 'hyperv' is not available here", "run", "--target", "hyperv")]
    [InlineData("--driver: there is no file nowhere.sys", "run", "--driver", "nowhere.sys")]
    [InlineData("--settle: 0s leaves the client no time", "run", "--settle", "0s")]
    [InlineData("--settle: 25h is too long", "run", "--settle", "25h")]
    [InlineData("--driver: there is no file nowhere.sys", "run", "--driver", "nowhere.sys", "--device", "X")]
    [InlineData("--results: '' is not a folder's name", "run", "hang-irp", "--results", "")]
    [InlineData("RUN-FOLDER", "judge")]
    [InlineData("no such run folder", "judge", "nowhere")]
    [InlineData("no such run folder", "replay", "nowhere")]
    [InlineData("there is no argument 'more'", "list", "more")]
    [InlineData("there is no argument 'b'", "judge", "a", "b")]
    [InlineData("diagnose: name a FILE", "diagnose")]
    [InlineData("diagnose: there is no file nowhere.dmp", "diagnose", "nowhere.dmp")]
    [InlineData("diagnose: . is a folder", "diagnose", ".")]
    [InlineData("--format: there is no format 'xml'", "diagnose", "nowhere.dmp", "--format", "xml")]
    public void What_cannot_be_used_is_one_line_and_exit_code_2(string says, params string[] args)
    {
        var run = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), args);

        run.Error.Should().StartWith("driverfault: ").And.Contain(says);
        run.Error.TrimEnd('\n').Should().NotContain("\n", "it is one line");
        run.Out.Should().BeEmpty();
        run.Code.Should().Be(ExitCode.Unusable);
    }

    [Theory]
    [InlineData("name the device it makes too, with --device")]
    [InlineData("name the request to send to other.sys too, with --ioctl", "--device", "Other")]
    public void A_driver_of_the_user_s_own_is_only_sent_what_the_user_chose(string says, params string[] more)
    {
        using var scratch = new Scratch();
        var target = ScriptedTarget.Victim(Outcome.Zombie);

        var run = CommandRun.On(target, ["run", "hang-irp", "--driver", scratch.File("other.sys", 1), "--results", scratch["results"], .. more]);

        run.Code.Should().Be(ExitCode.Unusable);
        run.Error.Should().StartWith($"driverfault: --driver: {says}");
        run.Error.TrimEnd('\n').Should().NotContain("\n");
        target.Played.Should().BeEmpty();
        Directory.Exists(scratch["results"]).Should().BeFalse();
    }

    [Theory]
    [InlineData("--target: 'local' is not available here: it is the kernel of a Windows machine", "run", "--target", "local")]
    [InlineData("--target: 'local' is not available here: it is the kernel of a Windows machine", "run", "--target", "local", "--i-know-this-machine")]
    [InlineData("--target: 'local' is not available here", "facts")]
    [InlineData("zombies: it looks at the processes of a Windows machine", "zombies")]
    public void What_needs_Windows_says_so_elsewhere(string says, params string[] args)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "this is Windows");
        var run = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), args);

        run.Code.Should().Be(ExitCode.Unusable);
        run.Error.Should().StartWith("driverfault: " + says);
        run.Error.TrimEnd('\n').Should().NotContain("\n");
    }

    [Fact]
    public void What_is_wrong_with_a_driver_file_is_told_before_what_else_is_missing()
    {
        using var scratch = new Scratch();
        var target = new ScriptedTarget((_, _, _) => { }) { Checks = file => throw new UnusableDriverException($"{file} is not a driver") };

        CommandRun.On(target, "run", "hang-irp", "--driver", scratch.File("text.sys", 1), "--results", scratch["results"])
            .Should().Be(new CommandRun(ExitCode.Unusable, "", "driverfault: text.sys is not a driver\n"));
        Directory.Exists(scratch["results"]).Should().BeFalse("nothing was begun");
    }

    [Fact]
    public void A_driver_that_the_target_refuses_later_leaves_no_run_folder()
    {
        using var scratch = new Scratch();
        var target = new ScriptedTarget((_, driver, _) => throw new UnusableDriverException($"{driver.FileName} is not a driver"));

        var run = CommandRun.On(target, "run", "hang-irp", "--driver", scratch.File("text.sys", 1), "--device", "X", "--ioctl", "0x222000", "--results", scratch["results"]);

        run.Code.Should().Be(ExitCode.Unusable);
        run.Error.Should().Be("driverfault: text.sys is not a driver\n");
        Directory.EnumerateFileSystemEntries(scratch["results"]).Should().BeEmpty();
    }

    [Fact]
    public void Results_that_cannot_be_written_are_the_harness_s_failure()
    {
        using var scratch = new Scratch();
        var target = ScriptedTarget.Victim(Outcome.Zombie);

        var run = CommandRun.On(target, "run", "hang-irp", "--results", Path.Combine(scratch.File("file", 1), "results"));

        run.Code.Should().Be(ExitCode.HarnessFailure);
        run.Error.Should().StartWith("driverfault: cannot write results to ");
        run.Error.TrimEnd('\n').Should().NotContain("\n");
        target.Played.Should().BeEmpty("what cannot be kept is not begun");
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("run", "--help")]
    [InlineData("--version")]
    public void Help_is_not_an_error(params string[] args)
    {
        var run = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), args);

        run.Code.Should().Be(ExitCode.Pass);
        run.Out.Should().NotBeEmpty();
        run.Error.Should().BeEmpty();
    }

    [Fact]
    public void Help_offers_nothing_that_is_not_there()
    {
        var help = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "run", "--help").Out;

        help.Should().ContainAll("--target", "--driver", "--device", "--ioctl", "--input", "--output-length", "--expect", "--settle", "--results", "--seed", "--dump", "--trace", "--format", "local", "hyperv", "--i-know-this-machine", "--timeout");
    }

    [Fact]
    public void List_tells_scenarios_targets_and_requests()
    {
        var run = CommandRun.On(ScriptedTarget.Victim(Outcome.Zombie), "list");

        run.Code.Should().Be(ExitCode.Pass);
        run.Out.Should().ContainAll("hang-irp ", "hang-irp-release", "pend-then-terminate", "pend-then-cancel", "emulated", "ready", "local", "hyperv", "HANG_IRP", "0x222008");
        run.Error.Should().BeEmpty();
    }
}
