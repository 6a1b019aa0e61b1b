using FluentAssertions;
using Xunit;

namespace Scenarios.Tests.Scripts;

/// <summary>The committed driver is what its sources give. (Of the drivers of tests/drivers, .ci/run asks the same.)</summary>
public sealed class DriverBinaryTests
{
    private const int CompilerIsNotHere = 77;

    [Fact]
    public async Task Myfault_rebuilt_is_the_same_bytes()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");

        var check = await ScriptRun.Of(Repository.File("driver", "myfault", "build.sh"), ["--check"], Repository.Root);

        Assert.SkipWhen(check.Code == CompilerIsNotHere, $"the compiler that built it is not here: {check.Error.Trim()}");
        check.Code.Should().Be(0, check.Out + check.Error);
        check.Out.Should().Contain("same bytes");
    }
}
