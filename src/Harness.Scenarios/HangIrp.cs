using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>A client sends a request on a synchronous handle, is killed while it waits, and time passes: does it go?</summary>
public sealed class HangIrp : Scenario
{
    public override string Name => "hang-irp";

    public override string Summary => "kill a client whose request the driver holds, let time pass, and see whether it goes";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            Cast.BlockedVictim(choices),
            Cast.Process(Story.Controller,
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new Sleep(choices.Settle),
                new Observe("settled")),
        ],
        Cast.Victim, Cast.Request,
        [new OutcomePromise("settled", choices.Expected)]);
}
