using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// As <see cref="HangIrpOverlapped"/>, but the file has a completion port. The request belongs to the file and to no thread: who waits for it
/// is the dying process's last thread, closing its handles, and nobody gives up.
/// </summary>
public sealed class HangIrpCompletionPort : Scenario
{
    public override string Name => "hang-irp-completion-port";

    public override string Summary => "as hang-irp-overlapped, on a handle with a completion port: the process waits in handle rundown";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            Cast.Process(Cast.Victim,
                new OpenDevice(Cast.Handle, Overlapped: true),
                new AssociateCompletionPort(Cast.Handle),
                choices.Send(Cast.Handle, Cast.Request),
                new DequeueCompletion(Cast.Handle, Cast.Request)),
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
