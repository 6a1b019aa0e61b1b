using Harness.Core.Stories;
using Harness.Scenarios;

namespace Scenarios.Tests.RandomScripts;

/// <summary>
/// Writes clients that do anything with a driver that Windows programs do: several processes and threads, synchronous and overlapped handles,
/// requests, cancels of all kinds, closes, exits, and killing each other. In the end the controller releases what waits and kills whoever is left.
/// </summary>
internal sealed class ScriptWriter(int seed)
{
    // The sound requests, and one that the driver refuses.
    private static readonly uint[] Codes = [MyFault.Echo.Code, MyFault.Pend.Code, MyFault.Pend.Code, MyFault.Pend.Code, MyFault.Query.Code, MyFault.Release.Code, 0x22FFFC];

    private readonly Random _chance = new(seed);
    private int _names;

    public Story Write()
    {
        var names = Enumerable.Range(1, 1 + _chance.Next(3)).Select(number => $"client{number}").ToList();
        return Told([.. names.Select(name => Process(name, names))]);
    }

    /// <summary>The same clients with the harness's own process behind them.</summary>
    public static Story Told(IReadOnlyList<ClientProcess> clients)
    {
        Act[] acts =
        [
            new OpenDevice("c"),
            new Sleep(TimeSpan.FromMilliseconds(20)),
            new DeviceControl("c", "release", MyFault.Release.Code, [], MyFault.Release.OutputLength),
            new Sleep(TimeSpan.FromMilliseconds(20)),
            .. clients.Select(client => new Terminate(client.Name, 0x77)),
            .. clients.Select(client => new UntilGone(client.Name, TimeSpan.FromMinutes(1))),
            new Observe("end"),
        ];
        return new Story([.. clients, new ClientProcess(Story.Controller, [new ClientThread("main", acts)])], Story.Controller, "release", []);
    }

    private ClientProcess Process(string name, IReadOnlyList<string> all)
    {
        List<(string Name, bool Overlapped)> handles = [.. Enumerable.Range(1, 1 + _chance.Next(2)).Select(number => ($"h{number}", _chance.Next(2) == 0))];
        List<string> requests = [];
        List<string> threads = [.. Enumerable.Range(1, 1 + _chance.Next(3)).Select(number => $"t{number}")];
        return new ClientProcess(name, [.. threads.Select((thread, index) => new ClientThread(thread,
        [
            // The first thread opens what all of them use.
            .. index == 0 ? handles.Select(Act (handle) => new OpenDevice(handle.Name, Overlapped: handle.Overlapped)) : [],
            .. Enumerable.Range(0, 1 + _chance.Next(6)).Select(_ => Any(name, all, handles, requests, threads)),
        ]))]);
    }

    private Act Any(string process, IReadOnlyList<string> all, List<(string Name, bool Overlapped)> handles, List<string> requests, List<string> threads)
    {
        var handle = handles[_chance.Next(handles.Count)];
        switch (_chance.Next(20))
        {
            case < 9:
                var name = $"r{++_names}";
                requests.Add(name);
                return _chance.Next(8) switch
                {
                    0 => new ReadFile(handle.Name, name, _chance.Next(3) * 100),
                    1 => new WriteFile(handle.Name, name, new byte[_chance.Next(3) * 100]),
                    _ => new DeviceControl(handle.Name, name, Codes[_chance.Next(Codes.Length)], new byte[_chance.Next(4) * 4], _chance.Next(4) * 12),
                };
            case 9:
                return new CancelIo(handle.Name);
            case 10 or 11:
                return new CancelIoEx(handle.Name, requests.Count > 0 && _chance.Next(2) == 0 ? requests[_chance.Next(requests.Count)] : null);
            case 12:
                return new CancelSynchronousIo(threads[_chance.Next(threads.Count)]);
            case 13:
                return new Close(handle.Name);
            case 14:
                return new OpenDevice(handle.Name, Overlapped: handle.Overlapped);
            case 15 when requests.Count > 0 && handle.Overlapped:
                return new AwaitRequest(requests[_chance.Next(requests.Count)]);
            case 16 when _chance.Next(3) == 0:
                return new Exit(1);
            case 17 when all.Count > 1:
                var other = all[_chance.Next(all.Count)];
                return other == process ? new Sleep(TimeSpan.Zero) : new Terminate(other, 2);
            default:
                return new Sleep(TimeSpan.FromMilliseconds(_chance.Next(4)));
        }
    }
}
