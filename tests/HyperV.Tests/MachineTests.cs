using FluentAssertions;
using Harness.Cli;
using Harness.Scenarios;
using Xunit;

namespace HyperV.Tests;

/// <summary>
/// Every scenario with MyFault on the target that DRIVERFAULT_TARGET names, as a user who types <c>dotnet test</c> asks for it: 'hyperv' with DRIVERFAULT_VM or
/// DRIVERFAULT_COMPUTER and DRIVERFAULT_DRIVER, a signed build of MyFault; or 'emulated'. One command after the other in this process, so that a guest is made ready once.
/// </summary>
public sealed class MachineTests
{
    private const string Variable = "DRIVERFAULT_TARGET";

    private static readonly string? Target = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } name ? name : null;

    // The committed driver is not signed; a guest takes one that is.
    private static readonly string? Driver = Environment.GetEnvironmentVariable("DRIVERFAULT_DRIVER") is { Length: > 0 } file ? file : null;

    private static readonly Lazy<Surroundings> Here = new(() => Surroundings.OfThisProcess(Program.Targets()));

    public static TheoryData<string> EveryScenario => [.. ScenarioCatalogue.All.Select(scenario => scenario.Name)];

    [Theory]
    [MemberData(nameof(EveryScenario))]
    public void Myfault_is_judged_on_the_machine_as_its_author_says(string scenario)
    {
        Assert.SkipWhen(Target is null, $"{Variable} is not set; {Variable}=hyperv with DRIVERFAULT_VM=NAME plays this in a virtual machine (docs/hyperv.md)");
        Assert.SkipWhen(Target == "local", "target local: Scenarios.Tests play every scenario there, and know what that machine cannot see");
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };

        var code = DriverFault.Run(["run", scenario, "--target", Target!, .. Driver is null ? Array.Empty<string>() : ["--driver", Driver]], Here.Value with { Out = output, Error = error, Color = false });

        code.Should().Be(ExitCode.Pass, $"{error}{output}");
    }
}
