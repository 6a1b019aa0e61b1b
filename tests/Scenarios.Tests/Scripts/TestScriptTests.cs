using System.Runtime.Versioning;
using FluentAssertions;
using Xunit;

namespace Scenarios.Tests.Scripts;

/// <summary>./test never ends with a green line over something that was not tested.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class TestScriptTests
{
    private const string Green = """<testsuites tests="2" failures="0" errors="0" disabled="0"><testsuite tests="2"><testcase name="a" classname="A" time="0.1" /><testcase name="b" classname="A" time="0.1" /></testsuite></testsuites>""";

    private const string Mixed = """<testsuites tests="4" failures="1" errors="1" disabled="1"><testsuite tests="4"><testcase name="a" classname="A" time="0.1" /><testcase name="b &lt;failure" classname="A"><failure type="T" message="&lt;testcase ">   at X</failure></testcase><testcase name="c" classname="A"><error type="T">x</error></testcase><testcase name="d" classname="A"><skipped message="no compiler" /></testcase></testsuite></testsuites>""";

    private const string Nothing = """<testsuites name="Test results" tests="0" failures="0" errors="0" disabled="0" />""";

    [Theory]
    [InlineData(Green, Green, 0, "4 passed, 0 failed", 0)]
    [InlineData(Green, Mixed, 2, "3 passed, 2 failed, 1 skipped", 1)]
    [InlineData(Green, Mixed, 0, "3 passed, 2 failed, 1 skipped", 1)]
    [InlineData(Green, null, 134, "2 passed, 1 failed", 1)]
    [InlineData(Green, null, 0, "2 passed, 1 failed", 1)]
    [InlineData(Green, "<testsuites tests=\"2\"><testsuite><testcase name=\"a\" />", 0, "2 passed, 1 failed", 1)]
    [InlineData(Green, "", 0, "2 passed, 1 failed", 1)]
    [InlineData(Green, Green, 3, "4 passed, 1 failed", 1)]
    [InlineData(Green, Nothing, 8, "2 passed, 1 failed", 1)]
    [InlineData(Nothing, Nothing, 0, "0 passed, 1 failed", 1)]
    [InlineData(null, null, 1, "0 passed, 2 failed", 1)]
    public async Task Ends_with_the_count_of_what_the_reports_say(string? first, string? second, int dotnet, string count, int code)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository($"""
            while [ "$1" != --results-directory ]; do shift; done
            [ ! -f "{"$PWD"}/first" ] || cp first "$2/A.Tests.junit.xml"
            [ ! -f "{"$PWD"}/second" ] || cp second "$2/B.Tests.junit.xml"
            exit {dotnet}
            """);
        if (first is not null) repository.Write("first", first);
        if (second is not null) repository.Write("second", second);
        // Left from an earlier run: must not be counted.
        repository.Write("results/tests/B.Tests.junit.xml", Green);

        var run = await repository.Run("test");

        run.LastLine.Should().Be(count, run.Error);
        run.Code.Should().Be(code);
        if (second is null || second.Length == 0) run.Error.Should().Contain("B.Tests left no whole report");
    }

    [Fact]
    public async Task Passes_arguments_on_and_then_a_project_may_be_left_without_a_test()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var repository = new FakeRepository("""printf '%s\n' "$@" > arguments; exit 1""");

        var run = await repository.Run("test", "--filter-method", "*a name*");

        repository.Read("arguments").Split('\n').Should().ContainInOrder("--ignore-exit-code", "8", "--filter-method", "*a name*");
        run.LastLine.Should().Be("0 passed, 2 failed");
    }
}
