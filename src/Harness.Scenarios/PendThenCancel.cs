using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>A client cancels its own overlapped request and waits for it: it comes back cancelled, and the client ends by itself.</summary>
public sealed class PendThenCancel : Scenario
{
    public override string Name => "pend-then-cancel";

    public override string Summary => "a client cancels its overlapped request with CancelIoEx: cancelled, completed, and it ends by itself";

    public override uint DefaultIoctl => MyFault.Pend.Code;

    public override Outcome ExpectedOutcome(Outcome ofTheRequest) => Outcome.Ended;

    public override Story Tell(Choices choices) => new(
        [
            Cast.Process(Cast.Victim,
                new OpenDevice(Cast.Handle, Overlapped: true),
                choices.Send(Cast.Handle, Cast.Request),
                new CancelIoEx(Cast.Handle, Cast.Request),
                new AwaitRequest(Cast.Request),
                new Close(Cast.Handle),
                new Exit(0)),
            Cast.Process(Story.Controller,
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
            : [new OutcomePromise("settled", choices.Expected)]);
}
