using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// A client with an overlapped request is killed. Its thread waits for the request in its own rundown, not in the system call, and the I/O
/// manager gives the IRP up after five minutes: a zombie for that long.
/// </summary>
public sealed class HangIrpOverlapped : Scenario
{
    public override string Name => "hang-irp-overlapped";

    public override string Summary => "kill a client whose overlapped request the driver holds: it stays for five minutes, until the IRP is given up";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            Cast.OverlappedVictim(choices),
            Cast.Process(Story.Controller,
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new Sleep(Cast.InRundown),
                new Observe("rundown"),
                new UntilGone(Cast.Victim, Cast.PastRundown(choices)),
                new Observe("settled")),
        ],
        Cast.Victim, Cast.Request,
        [
            new OutcomePromise("rundown", choices.Expected),
            new OutcomePromise("settled", Outcome.Ended),
            .. choices.Expected == Outcome.Zombie ? [new IrpDisassociatedPromise(Cast.Request)] : Array.Empty<Promise>(),
        ]);
}
