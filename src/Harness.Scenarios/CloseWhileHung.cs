using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// While a request hangs on a synchronous handle, a second thread closes the handle: it waits in kernel mode for the file object's lock, which
/// the first thread has. The client is killed, and both stay.
/// </summary>
public sealed class CloseWhileHung : Scenario
{
    /// <summary>The closer goes when the request waits, as the harness does, and needs a moment to get to its own wait.</summary>
    private static readonly TimeSpan ToClose = TimeSpan.FromMilliseconds(1);

    public override string Name => "close-while-hung";

    public override string Summary => "as hang-irp, while a second thread of the client is in CloseHandle on the same handle: both threads stay";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            new ClientProcess(Cast.Victim,
            [
                new ClientThread("main", [new OpenDevice(Cast.Handle), choices.Send(Cast.Handle, Cast.Request)]),
                new ClientThread("closer", [new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience), new Close(Cast.Handle)]),
            ]),
            Cast.Process(Story.Controller,
                new UntilWaiting(Cast.Victim, Cast.Request, Cast.Patience),
                new Sleep(ToClose),
                new Observe("waiting"),
                new Terminate(Cast.Victim, Cast.KilledStatus),
                new Sleep(choices.Settle),
                new Observe("settled")),
        ],
        Cast.Victim, Cast.Request,
        [new OutcomePromise("settled", choices.Expected)]);
}
