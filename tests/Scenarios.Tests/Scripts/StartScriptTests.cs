using System.Runtime.Versioning;
using System.Text.Json;
using FluentAssertions;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests.Scripts;

/// <summary>./driverfault builds what is missing and then runs it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class StartScriptTests
{
    // Publishing makes a file; running it tells how it was called. Each publish is counted.
    private const string Dotnet = """
        if [ "$1" != publish ]; then shift; printf '%s|' "$PWD" "$@"; exit 3; fi
        while [ "$1" != -o ]; do shift; done
        echo x >> "$(dirname "$0")/builds"
        mkdir -p "$2" && touch "$2/driverfault.dll" && echo chatter && echo chatter >&2
        """;

    [Fact]
    public async Task The_first_start_builds_in_one_line_and_the_next_says_nothing()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository(Dotnet);

        var first = await repository.Run("driverfault", "run", "a b");
        var second = await repository.Run("driverfault", "run", "a b");

        first.Error.Should().Be("driverfault: building (once)…\n");
        second.Error.Should().BeEmpty();
        foreach (var run in new[] { first, second }) run.Out.Should().Be($"{repository.Root}|run|a b|");
        foreach (var run in new[] { first, second }) run.Code.Should().Be(3, "the command's own exit code is passed on");
        repository.Read("bin/builds").Should().Be("x\n");
    }

    [Theory]
    [InlineData("src/Harness.Cli/Program.cs", true)]
    [InlineData("src/Harness.Cli/New.cs", true)]
    [InlineData("driver/myfault/bin/x64/myfault.sys", true)]
    [InlineData("Directory.Packages.props", true)]
    [InlineData("global.json", true)]
    [InlineData("driverfault", true)]
    [InlineData("README.md", false)]
    [InlineData("results/x", false)]
    public async Task A_changed_source_is_built_again_and_nothing_else(string file, bool builds)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository(Dotnet);
        await repository.Run("driverfault");

        var path = repository.Write(file, File.Exists(Path.Combine(repository.Root, file)) ? repository.Read(file) : "");
        if (builds) File.SetLastWriteTimeUtc(path, File.GetLastWriteTimeUtc(Path.Combine(repository.Root, "artifacts/command/current")).AddSeconds(10));
        var again = await repository.Run("driverfault");

        again.Code.Should().Be(3);
        repository.Read("bin/builds").Should().Be(builds ? "x\nx\n" : "x\n");
    }

    [Fact]
    public async Task Called_through_a_link_from_elsewhere_it_stays_in_the_user_s_folder()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository(Dotnet);
        var link = repository.Link("driverfault");
        var folder = Path.GetDirectoryName(link)!;

        var run = await ScriptRun.Of(link, ["list"], folder, ("PATH", Path.Combine(repository.Root, "bin") + ":" + Environment.GetEnvironmentVariable("PATH")));

        run.Out.Should().Be($"{folder}|list|", run.Error);
    }

    [Fact]
    public async Task Two_started_at_once_build_once()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository("sleep 0.3\n" + Dotnet);

        var both = await Task.WhenAll(repository.Run("driverfault"), repository.Run("driverfault"));

        both.Select(run => run.Code).Should().AllBeEquivalentTo(3);
        repository.Read("bin/builds").Should().Be("x\n");
    }

    [Fact]
    public async Task The_lock_of_a_build_that_was_killed_is_taken_over()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository(Dotnet);
        repository.Write("artifacts/command/lock/pid", "999999999\n");

        (await repository.Run("driverfault")).Code.Should().Be(3);
        Directory.Exists(Path.Combine(repository.Root, "artifacts/command/lock")).Should().BeFalse();
    }

    [Fact]
    public async Task A_build_that_fails_tells_its_errors_and_is_tried_again()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository("""echo "Program.cs(1,1): error CS1002: ; expected [x]"; echo "chatter"; exit 1""");

        foreach (var run in new[] { await repository.Run("driverfault", "list"), await repository.Run("driverfault", "list") })
        {
            run.Code.Should().Be(4);
            run.Out.Should().BeEmpty();
            run.Error.Should().Contain("error CS1002").And.Contain("driverfault: the build failed").And.NotContain("chatter");
        }
    }

    [Fact]
    public async Task Without_the_ahead_of_time_compiler_it_is_built_without()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository("""case "$*" in *ReadyToRun*) echo "error NU1101: Unable to find package microsoft.netcore.app.crossgen2"; exit 1;; esac""" + "\n" + Dotnet);

        var run = await repository.Run("driverfault");

        run.Code.Should().Be(3);
        run.Error.Should().Contain("each start is slower");
    }

    [Fact]
    public async Task Without_a_home_that_can_be_written_it_makes_its_own()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository("echo \"$HOME\" > \"$(dirname \"$0\")/home\"\n" + Dotnet);

        await ScriptRun.Of(Path.Combine(repository.Root, "driverfault"), [], repository.Root,
            ("HOME", Path.Combine(repository.Root, "nowhere")), ("PATH", Path.Combine(repository.Root, "bin") + ":" + Environment.GetEnvironmentVariable("PATH")));

        repository.Read("bin/home").Trim().Should().Be(Path.Combine(repository.Root, "artifacts/home"));
    }

    [Fact]
    public async Task The_real_command_runs_from_another_folder_and_starts_at_once_the_second_time()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var scratch = new Scratch();

        var first = await ScriptRun.Of(Repository.File("driverfault"), ["list"], scratch.Folder);
        var second = await ScriptRun.Of(Repository.File("driverfault"), ["run", "hang-irp", "--results", "here", "--format", "json"], scratch.Folder);
        var third = await ScriptRun.Of(Repository.File("driverfault"), ["judge", "nowhere"], scratch.Folder);

        first.Code.Should().Be(0, first.Error);
        first.Out.Should().ContainAll("hang-irp", "emulated");
        second.Code.Should().Be(0, second.Error);
        second.Error.Should().BeEmpty("nothing is built and nothing is amiss");
        var run = JsonDocument.Parse(second.Out.TrimEnd('\n')).RootElement;
        run.GetProperty("outcome").GetString().Should().Be("zombie");
        Path.GetDirectoryName(run.GetProperty("runFolder").GetString()).Should().EndWith("/here", "relative paths are the user's");
        Directory.EnumerateDirectories(scratch["here"]).Should().ContainSingle();
        var again = await ScriptRun.Of("sh", ["-c", run.GetProperty("replay").GetString()! + " --results there --format json"], scratch.Folder);
        again.Code.Should().Be(0, "the line that runs it again can be pasted: " + again.Error);
        Directory.EnumerateDirectories(scratch["there"]).Should().ContainSingle();
        third.Code.Should().Be(2);
        third.Error.Should().Be("driverfault: nowhere: no such run folder\n");
    }
}
