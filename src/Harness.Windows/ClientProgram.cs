using System.Runtime.Versioning;
using System.Text.Json;
using System.Threading;
using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Windows;

/// <summary>
/// A client process of a story: this program in a hidden mode. It plays its acts on real threads and tells every call before and after, so that what it says last is true even
/// when it is killed. When the harness goes away, it goes too.
/// </summary>
public static class ClientProgram
{
    /// <summary>The hidden command.</summary>
    public const string Command = "client-of-a-story";

    /// <summary>Plays what standard input says.</summary>
    [SupportedOSPlatform("windows")]
    public static int Run(TextReader orders, TextWriter says, TimeProvider clock)
    {
        if (orders.ReadLine() is not { } line || JsonSerializer.Deserialize(line, WindowsJson.Default.ClientOrders) is not { } told) return 2;
        var client = new Client(told, says, clock);
        client.Say(new ClientReady());
        if (orders.ReadLine() is null) return 2;
        var listener = new Thread(() => client.Listen(orders)) { IsBackground = true };
        listener.Start();
        var threads = told.Process.Threads.Select(thread => new Thread(() => client.Play(thread))).ToList();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        return 0;
    }

    [SupportedOSPlatform("windows")]
    private sealed class Client
    {
        private readonly TextWriter _says;
        private readonly TimeProvider _clock;
        private readonly Caller _caller;
        private readonly Lock _speaking = new();
        private readonly Dictionary<int, ManualResetEventSlim> _questions = [];

        public Client(ClientOrders orders, TextWriter says, TimeProvider clock)
        {
            (_says, _clock) = (says, clock);
            _caller = new Caller(orders.Device,
                (tid, call, request) => Say(new ClientCalls(_clock.GetTimestamp(), tid, call, request)),
                (tid, call, request, status, information) => Say(new ClientCameBack(_clock.GetTimestamp(), tid, call, request, status, information)));
        }

        public void Say(ClientMessage message)
        {
            var line = JsonSerializer.Serialize(message, WindowsJson.Default.ClientMessage);
            lock (_speaking)
            {
                _says.WriteLine(line);
                _says.Flush();
            }
        }

        public void Play(ClientThread thread)
        {
            _caller.Enter(thread.Name);
            foreach (var act in thread.Acts)
            {
                if (_caller.Play(act) is { } status)
                {
                    // A client that cannot open its device has nothing left to do.
                    if (act is OpenDevice && status.IsError) return;
                }
                else if (!PlayWithoutDevice(act)) return;
            }
        }

        private bool PlayWithoutDevice(Act act)
        {
            switch (act)
            {
                case Sleep sleep:
                    Task.Delay(sleep.For, _clock).GetAwaiter().GetResult();
                    return true;
                case UntilWaiting or UntilGone:
                    Ask(act);
                    return true;
                case Exit exit:
                    Say(new ClientCalls(_clock.GetTimestamp(), Native.ThreadHandle.CurrentId, $"ExitProcess(0x{exit.ExitStatus:x})", null));
                    Environment.Exit((int)exit.ExitStatus);
                    return false;
                default:
                    Say(new ClientRefuses($"a client process of the local target cannot play '{act.GetType().Name}'"));
                    return false;
            }
        }

        private void Ask(Act condition)
        {
            using var passed = new ManualResetEventSlim();
            int question;
            lock (_questions) _questions.Add(question = _questions.Count, passed);
            Say(new ClientAsks(question, condition));
            passed.Wait();
        }

        public void Listen(TextReader orders)
        {
            while (orders.ReadLine() is { } line)
                lock (_questions) _questions[int.Parse(line, System.Globalization.CultureInfo.InvariantCulture)].Set();
            // The harness is gone.
            Environment.Exit(3);
        }
    }
}
