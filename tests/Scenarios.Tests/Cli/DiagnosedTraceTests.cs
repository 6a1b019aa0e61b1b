using System.Text.Json;
using FluentAssertions;
using Harness.Cli;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary>driverfault diagnose on event traces, by what is in the file and not by its name.</summary>
public sealed class DiagnosedTraceTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_zombie_is_told_with_driver_request_wait_and_who_released_it()
    {
        var run = CommandRun.Of("diagnose", Trace("hang-irp-release"));

        run.Error.Should().BeEmpty();
        run.Code.Should().Be(ExitCode.Fail);
        run.Out.ReplaceLineEndings(" ").Should().Contain("event trace log, NT build 19041, 1 processor");
        run.Out.Should().Contain("PROVEN         'victim.exe'").And.Contain("guilty driver  myfault.sys")
            .And.Contain("finding        zombie-no-cancel-routine:").And.Contain("    wait reason         (Executive)").And.Contain("    time since last     15 s").And.Contain("    ready thread        thread ")
            .And.Contain("    switch-in stack     nt!KiSwapContext").And.Contain("IRP_MJ_DEVICE_CONTROL, myfault.sys+0x").And.EndWith("1 zombie process\n");
    }

    [Fact]
    public void What_is_not_certain_says_why_and_counts_as_a_zombie()
    {
        var run = CommandRun.Of("diagnose", Trace("hang-irp"));

        run.Code.Should().Be(ExitCode.Fail);
        run.Out.Should().Contain("CONSISTENT     'victim.exe'").And.Contain("               ?    the function that waits").And.NotContain("PROVEN");
    }

    [Fact]
    public void A_sound_driver_leaves_none()
    {
        var run = CommandRun.Of("diagnose", Trace("hang-irp", "--ioctl", "PEND"));

        run.Code.Should().Be(ExitCode.Pass);
        run.Out.Should().Contain("no zombie      'victim.exe'").And.EndWith("no zombie process\n");
    }

    [Fact]
    public void A_trace_that_ends_too_soon_cannot_tell()
    {
        var run = CommandRun.Of("diagnose", Trace("hang-irp", "--settle", "900ms"));

        run.Code.Should().Be(ExitCode.Inconclusive);
        run.Out.Should().Contain("CANNOT TELL").And.EndWith("It cannot be told whether there was a zombie process.\n");
    }

    [Fact]
    public void The_object_has_what_the_text_has()
    {
        var run = CommandRun.Of("diagnose", Trace("hang-irp-noop-cancel"), "--format", "json");
        using var json = JsonDocument.Parse(run.Out);
        var root = json.RootElement;
        var fate = root.GetProperty("asked")[0];

        (root.GetProperty("kind").GetString(), root.GetProperty("verdict").GetString()).Should().Be(("event trace log", "zombie"));
        (fate.GetProperty("answer").GetString(), fate.GetProperty("finding").GetString(), fate.GetProperty("driver").GetString()).Should().Be(("proven", "zombie-cancel-routine-did-not-complete", "myfault.sys"));
        fate.GetProperty("wait").GetProperty("waitReason").GetString().Should().Be("DelayExecution");
        fate.GetProperty("wait").GetProperty("timeSinceLast").GetDecimal().Should().BeInRange(9, 11);
        fate.GetProperty("facts").EnumerateArray().Should().OnlyContain(fact => fact.GetProperty("holds").GetBoolean());
        fate.GetProperty("irps")[0].GetProperty("major").GetString().Should().Be("IRP_MJ_DEVICE_CONTROL");
        run.Lines.Should().ContainSingle();
    }

    [Fact]
    public void The_name_of_the_file_says_nothing()
    {
        var other = _scratch["trace.dmp"];
        File.Copy(Trace("hang-irp"), other);

        CommandRun.Of("diagnose", other).Out.Should().Contain("event trace log");
    }

    [Fact]
    public void A_trace_holds_no_kernel_memory_to_show()
    {
        var run = CommandRun.Of("diagnose", Trace("hang-irp"), "--kd");

        (run.Code, run.Error).Should().Be((ExitCode.Unusable, "driverfault: --kd: an event trace holds no kernel memory\n"));
    }

    [Theory]
    [InlineData("Nettrace and more, enough for a header", "is a .nettrace file of the .NET runtime")]
    [InlineData("\x14\0\0\0!FastSerialization.1 and more", "is a trace that TraceEvent has converted (.etlx)")]
    public void Another_kind_of_trace_is_told_in_one_line(string content, string says)
    {
        var path = _scratch.File("given.etl", System.Text.Encoding.Latin1.GetBytes(content));
        var run = CommandRun.Of("diagnose", path);

        run.Error.Should().StartWith($"driverfault: diagnose: {path} {says}");
        run.Code.Should().Be(ExitCode.Unusable);
    }

    [Fact]
    public void A_trace_whose_first_buffer_is_gone_is_called_a_trace_and_not_memory()
    {
        var whole = File.ReadAllBytes(Trace("hang-irp"));
        var path = _scratch.File("given.etl", whole[BitConverter.ToInt32(whole)..]);
        var run = CommandRun.Of("diagnose", path);

        run.Error.Should().StartWith($"driverfault: diagnose: {path} is an event trace without its header");
        run.Code.Should().Be(ExitCode.Unusable);
    }

    [Fact]
    public void A_PDB_that_is_no_image_s_is_told()
    {
        var trace = Trace("hang-irp");
        var pdb = _scratch.File("other.pdb", "Microsoft C/C++ MSF 7.00"u8.ToArray());

        CommandRun.Of("diagnose", trace, "--symbols", pdb).Out.Should().Contain("was not used");
        CommandRun.Of("diagnose", trace).Out.Should().NotContain("was not used");
    }

    private string Trace(string scenario, params string[] more)
    {
        string[] settle = more.Contains("--settle") ? [] : ["--settle", "15s"];
        CommandRun.Of(["run", scenario, "--trace", "--results", _scratch["results"], .. settle, .. more]).Error.Should().BeEmpty();
        return Directory.GetFiles(_scratch["results"], "trace.etl", SearchOption.AllDirectories).Single();
    }
}
