using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// Sixteen threads of one client, each with a handle and a request of its own, are killed together. Another process goes on using the device:
/// a driver that holds sixteen IRPs may not hold everybody.
/// </summary>
public sealed class HangIrpMany : Scenario
{
    private const string Bystander = "bystander";

    /// <summary>The bystander comes again when the victim has been killed.</summary>
    private static readonly TimeSpan Later = TimeSpan.FromSeconds(1);

    private static readonly string[] Requests = [Cast.Request, .. Enumerable.Range(2, 15).Select(i => $"{Cast.Request}-{i}")];

    public override string Name => "hang-irp-many";

    public override string Summary => "kill a client with 16 threads, handles and held requests, while another process goes on using the device";

    public override uint DefaultIoctl => MyFault.HangIrp.Code;

    public override Story Tell(Choices choices) => new(
        [
            new ClientProcess(Cast.Victim, [.. Requests.Select((request, i) => new ClientThread($"thread {i + 1}",
                [new OpenDevice(HandleOf(request)), choices.Send(HandleOf(request), request)]))]),
            Cast.Process(Bystander,
                [.. Visit(), new Sleep(Later), .. Visit(), new Exit(0)]),
            Cast.Process(Story.Controller,
                [
                    .. Requests.Select(request => new UntilWaiting(Cast.Victim, request, Cast.Patience)),
                    new Observe("waiting"),
                    new Terminate(Cast.Victim, Cast.KilledStatus),
                    new UntilGone(Bystander, Cast.Patience),
                    new Sleep(choices.Settle),
                    new Observe("settled"),
                ]),
        ],
        Cast.Victim, Cast.Request,
        [new OutcomePromise("settled", choices.Expected), new ProcessEndedPromise(Bystander)]);

    private static string HandleOf(string request) => Cast.Handle + request[Cast.Request.Length..];

    // What every driver serves, whatever else it does: a create, a cleanup and a close.
    private static Act[] Visit() => [new OpenDevice(Cast.Handle), new Close(Cast.Handle)];
}
