using FluentAssertions;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests.Scripts;

/// <summary>driver/toolchain builds drivers that nobody had in mind when it was written.</summary>
public sealed class ToolchainTests
{
    // 77: a compiler is not here.
    private const string Build = """. "$1/driver/toolchain/toolchain.sh"; "build_with_$2" O2 x64 "$3/float.sys" "$3/float.c" """;

    private const string Source = """
        #include "compat.h"

        DRIVER_INITIALIZE DriverEntry;
        static volatile double Half = 0.5;

        NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
        {
            UNREFERENCED_PARAMETER(DriverObject);
            UNREFERENCED_PARAMETER(RegistryPath);

            Half = Half * 3.0;
            DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "half is %d\n", (int)(Half * 100.0));
            return STATUS_NOT_SUPPORTED;
        }
        """;

    [Theory]
    [InlineData("clang")]
    [InlineData("gcc")]
    public async Task A_driver_that_computes_with_floating_point_links_and_runs(string compiler)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        using var scratch = new Scratch();
        File.WriteAllText(scratch["float.c"], Source.Replace("compat.h", Repository.File("driver", "toolchain", "compat.h"), StringComparison.Ordinal));

        var build = await ScriptRun.Of("bash", ["-c", Build, "build", Repository.Root, compiler, scratch.Folder], scratch.Folder);

        Assert.SkipWhen(build.Code == 77, $"a compiler is not here: {build.Error.Trim()}");
        build.Code.Should().Be(0, build.Error);
        var run = CommandRun.Of("run", "hang-irp", "--driver", scratch["float.sys"], "--device", "X", "--ioctl", "0x222000", "--results", scratch["results"]);
        run.Out.Should().Contain("half is 150").And.Contain("STATUS_NOT_SUPPORTED").And.NotContain("fltused");
    }
}
