using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// A client is killed while the driver holds its IRP_MJ_CREATE. The I/O manager waits for a create in kernel mode and cancels none, so only
/// the driver can end it. The file that is opened makes MyFault hang; to other drivers its name is like any other.
/// </summary>
public sealed class HangCreate : Scenario
{
    public override string Name => "hang-create";

    public override string Summary => "kill a client whose IRP_MJ_CREATE the driver holds: nobody cancels a create";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            Cast.Process(Cast.Victim, new OpenDevice(Cast.Handle, File: MyFault.HangCreateName, Request: Cast.Request)),
            Cast.Process(Story.Controller,
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new Sleep(choices.Settle),
                new Observe("settled")),
        ],
        Cast.Victim, Cast.Request,
        [new OutcomePromise("settled", choices.Expected, OrNotPending: choices.Expected == Outcome.Ended)]);
}
