using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// As <see cref="HangIrpOverlapped"/>; when the IRP has been given up and its client is gone, the harness asks the driver to complete it after
/// all. Nobody is left to tell, and the machine must go on.
/// </summary>
public sealed class OrphanThenComplete : Scenario
{
    /// <summary>What a completion sets off (an APC, a worker that closes the file) has happened by then.</summary>
    private static readonly TimeSpan ToSettle = TimeSpan.FromSeconds(1);

    public override string Name => "orphan-then-complete";

    public override string Summary => "as hang-irp-overlapped, and RELEASE when the IRP has been given up: the late completion must be harmless";

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
                new UntilGone(Cast.Victim, Cast.PastRundown(choices)),
                new Observe("orphaned"),
                Cast.Release,
                new Sleep(ToSettle),
                new Observe("completed")),
        ],
        Cast.Victim, Cast.Request,
        [
            new OutcomePromise("rundown", choices.Expected),
            new OutcomePromise("orphaned", Outcome.Ended),
            // Somebody who expects no zombie expects no orphan either.
            .. choices.Expected == Outcome.Zombie
                ? [new IrpDisassociatedPromise(Cast.Request), new RequestStatusPromise(Cast.Request, NtStatus.Success)]
                : Array.Empty<Promise>(),
        ]);
}
