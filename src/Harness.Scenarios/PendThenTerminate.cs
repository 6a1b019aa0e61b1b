using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>A client is killed while its request waits in a driver that pends soundly: the request is cancelled and the client goes at once.</summary>
public sealed class PendThenTerminate : Scenario
{
    public override string Name => "pend-then-terminate";

    public override string Summary => "kill a client whose request pends soundly: cancelled, completed, gone";

    public override uint DefaultIoctl => MyFault.Pend.Code;

    public override Outcome ExpectedOutcome(Outcome ofTheRequest) => Outcome.Ended;

    public override Story Tell(Choices choices) => new(
        [
            Cast.BlockedVictim(choices),
            Cast.Process(Story.Controller,
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new UntilGone(Cast.Victim, choices.Settle),
                new Observe("settled")),
        ],
        Cast.Victim, Cast.Request,
        choices is { Expected: Outcome.Ended, Cancelled: true }
            ?
            [
                new OutcomePromise("settled", Outcome.Ended),
                new CancelRoutineRanPromise(Cast.Request),
                new RequestStatusPromise(Cast.Request, NtStatus.Cancelled),
            ]
            // Somebody who expects a zombie expects no completion either; and a request that is over soon needs no cancel routine.
            : [new OutcomePromise("settled", choices.Expected)]);
}
