using Harness.Cli.Arguments;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Scenarios;

namespace Harness.Cli;

/// <summary>What a user asked <c>run</c> for, once every word of it has been understood. What was not said is null.</summary>
internal sealed record RunRequest(IReadOnlyList<Scenario> Scenarios, ITarget Target, DriverArgument Driver, uint? Ioctl, byte[] Input, int? OutputLength, Outcome? Expected, TimeSpan? Settle, Conditions Conditions, RequestKind Kind = RequestKind.Control, bool Cancelled = false)
{
    /// <summary>When the user names none: always the same seed, so that what a run shows can be shown again.</summary>
    public static readonly Conditions Usual = new(1, 1);

    /// <summary>The choices of one of the scenarios.</summary>
    public Choices ChoicesFor(Scenario scenario)
    {
        var ioctl = Ioctl ?? scenario.DefaultIoctl;
        return new Choices(ioctl, Input, OutputLength ?? UsualOutputLength(Driver, ioctl), Expected ?? UsualOutcome(scenario, Driver, ioctl), Settle ?? Target.DefaultSettle,
            Kind, UsualOffset(Driver, Kind, ioctl), Cancelled || Driver.IsMyFault);
    }

    /// <summary>The control codes that a scenario sends without the user's having chosen them.</summary>
    public IEnumerable<uint> NotChosen(Scenario scenario)
    {
        var choices = ChoicesFor(scenario);
        return scenario.Tell(choices).Processes.SelectMany(p => p.Threads).SelectMany(t => t.Acts).OfType<DeviceControl>().Select(act => act.Code).Where(code => code != choices.Ioctl).Distinct();
    }

    /// <summary>Bytes of output buffer when the user says nothing: what MyFault's request needs; of another driver nothing is known.</summary>
    public static int UsualOutputLength(DriverArgument driver, uint ioctl) =>
        driver.IsMyFault ? MyFault.WithCode(ioctl)?.OutputLength ?? 0 : 0;

    /// <summary>Where a read or a write is: MyFault takes the offset for the control code of what it should do. Of another driver nothing is known.</summary>
    public static long UsualOffset(DriverArgument driver, RequestKind kind, uint ioctl) => driver.IsMyFault && kind != RequestKind.Control ? ioctl : 0;

    /// <summary>What is expected when the user says nothing: MyFault.cs speaks for MyFault's requests, every other is expected to be sound.</summary>
    public static Outcome UsualOutcome(Scenario scenario, DriverArgument driver, uint ioctl) =>
        scenario.ExpectedOutcome(driver.IsMyFault ? MyFault.WithCode(ioctl)?.WhenItsCallerDies ?? Outcome.Ended : Outcome.Ended);
}
