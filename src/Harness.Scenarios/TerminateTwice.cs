using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>As <see cref="HangIrp"/>, and then it is killed again: that is accepted, and changes nothing.</summary>
public sealed class TerminateTwice : Scenario
{
    public override string Name => "terminate-twice";

    public override string Summary => "as hang-irp, and then terminate the client once more: it changes nothing";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            Cast.BlockedVictim(choices),
            Cast.Process(Story.Controller,
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new Sleep(choices.Settle),
                new Observe("killed"),
                new Terminate(Cast.Victim, Cast.KilledStatus + 1),
                new Sleep(choices.Settle),
                new Observe("killed again")),
        ],
        Cast.Victim, Cast.Request,
        [new OutcomePromise("killed", choices.Expected), new OutcomePromise("killed again", choices.Expected)]);
}
