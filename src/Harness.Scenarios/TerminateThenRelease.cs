using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// An overlapped client is killed and waits in its rundown; the harness asks the driver to let everything go before the five minutes are over.
/// The client ends at the next look its thread takes, and no IRP is given up. (<see cref="HangIrpRelease"/> does so to a synchronous client.)
/// </summary>
public sealed class TerminateThenRelease : Scenario
{
    public override string Name => "terminate-then-release";

    public override string Summary => "as hang-irp-overlapped, then RELEASE within the five minutes: the client must end, and no IRP be given up";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            Cast.OverlappedVictim(choices),
            Cast.Process(Story.Controller,
                new OpenDevice(Cast.Handle, Overlapped: true),
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new Sleep(Cast.InRundown),
                new Observe("rundown"),
                Cast.Release,
                new UntilGone(Cast.Victim, Cast.Patience),
                new Observe("released")),
        ],
        Cast.Victim, Cast.Request,
        [new OutcomePromise("rundown", choices.Expected), new OutcomePromise("released", Outcome.Ended)]);
}
