using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>As <see cref="HangIrp"/>; then the harness, on a handle of its own, asks the driver to let everything go: the client must end.</summary>
public sealed class HangIrpRelease : Scenario
{
    public override string Name => "hang-irp-release";

    public override string Summary => "as hang-irp, then RELEASE from another handle: the client must end";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            Cast.BlockedVictim(choices),
            Cast.Process(Story.Controller,
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new OpenDevice(Cast.Handle, Overlapped: true),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new Sleep(choices.Settle),
                new Observe("hung"),
                Cast.Release,
                new UntilGone(Cast.Victim, choices.Settle),
                new Observe("released")),
        ],
        Cast.Victim, Cast.Request,
        [
            new OutcomePromise("hung", choices.Expected),
            new OutcomePromise("released", Outcome.Ended),
        ]);
}
