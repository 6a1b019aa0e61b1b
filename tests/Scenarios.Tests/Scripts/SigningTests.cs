using FluentAssertions;
using Harness.Windows;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests.Scripts;

/// <summary>driver/myfault/sign/sign.sh makes a test certificate and signs drivers with it.</summary>
public sealed class SigningTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private Task<ScriptRun> Sign(params string[] args) =>
        ScriptRun.Of(Repository.File("driver", "myfault", "sign", "sign.sh"), args, _scratch.Folder, ("DRIVERFAULT_SIGNING", _scratch["keys"]));

    private static void NeedTools()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a POSIX shell runs it");
        foreach (var tool in new[] { "openssl", "osslsigncode" })
            Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, tool))), $"{tool} is not installed");
    }

    [Fact]
    public async Task A_signed_driver_is_the_driver_with_a_signature_behind_it()
    {
        NeedTools();
        var driver = Repository.File("driver", "myfault", "bin", "x64", "myfault.sys");

        var run = await Sign(driver, _scratch["signed", "myfault.sys"]);

        run.Code.Should().Be(0, run.Error);
        run.LastLine.Should().Be(_scratch["signed", "myfault.sys"]);
        var (plain, signed) = (File.ReadAllBytes(driver), File.ReadAllBytes(_scratch["signed", "myfault.sys"]));
        signed.Length.Should().BeGreaterThan(plain.Length);
        signed.AsSpan(0x400, plain.Length - 0x400).SequenceEqual(plain.AsSpan(0x400)).Should().BeTrue("only headers change");
        new LocalTarget(TimeProvider.System, [], null, _ => { }).Invoking(target => target.Check("myfault.sys", signed)).Should().NotThrow();
    }

    [Fact]
    public async Task A_second_driver_is_signed_with_the_same_certificate()
    {
        NeedTools();
        var driver = Repository.File("driver", "myfault", "bin", "x64", "myfault.sys");
        (await Sign(driver, _scratch["one.sys"])).Error.Should().Contain("made the certificate");
        var certificate = File.ReadAllBytes(_scratch["keys", "test.cer"]);

        (await Sign(driver, _scratch["two.sys"])).Error.Should().NotContain("made the certificate");
        File.ReadAllBytes(_scratch["keys", "test.cer"]).Should().Equal(certificate);
    }

    [Fact]
    public async Task What_is_no_driver_is_not_signed()
    {
        NeedTools();
        (await Sign(_scratch["nowhere.sys"])).Error.Should().Contain("there is no file");
        var run = await Sign(_scratch.File("text.sys", 1, 2, 3), _scratch["signed.sys"]);
        run.Code.Should().Be(1);
        File.Exists(_scratch["signed.sys"]).Should().BeFalse();
    }
}
