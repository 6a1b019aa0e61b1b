using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using System.Text;
using System.Text.Json;
using System.Threading;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>A client process from the harness's side: started, listened to, watched. Its handle is ours from its start on, so that its end is seen whenever it comes.</summary>
[SupportedOSPlatform("windows")]
internal sealed class RunningClient : IDisposable
{
    private readonly Process _process;
    private readonly ProcessHandle _handle;
    private readonly Timeline _timeline;
    private readonly Waits _waits;
    private readonly Thread _watcher, _listener;
    private readonly ManualResetEventSlim _ready = new();
    private readonly Lock _telling = new();
    private readonly Dictionary<string, Call> _calls = [];
    private volatile string? _refusal;

    private RunningClient(string name, Process process, ProcessHandle handle, Timeline timeline, Waits waits)
    {
        (Name, _process, _handle, _timeline, _waits) = (name, process, handle, timeline, waits);
        Pid = process.Id;
        _watcher = new Thread(Watch) { IsBackground = true };
        _listener = new Thread(Listen) { IsBackground = true };
    }

    /// <summary>The story's name for it.</summary>
    public string Name { get; }

    public int Pid { get; }

    /// <summary>FILETIME of its start.</summary>
    public long Created { get; private init; }

    public ProcessHandle Handle => _handle;

    /// <summary>An act it could not play; null when it could play all.</summary>
    public string? Refusal => _refusal;

    /// <summary>TerminateProcess was called for it.</summary>
    public bool Killed { get; set; }

    /// <summary>Asked when the process wants to know of a condition; answered by <see cref="Answer"/>.</summary>
    public required Action<RunningClient, ClientAsks> Asked { get; init; }

    /// <summary>Starts the process; it waits for <see cref="Begin"/>.</summary>
    /// <param name="command">This program in its hidden mode: the executable, and its arguments.</param>
    public static RunningClient Start(IReadOnlyList<string> command, ClientProcess told, string device, Timeline timeline, Waits waits, Action<RunningClient, ClientAsks> asked)
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            UseShellExecute = false, CreateNoWindow = true, RedirectStandardInput = true, RedirectStandardOutput = true,
            // Its own, too: one that never ends would keep the harness's open, and whoever reads that would never see its end.
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false), StandardOutputEncoding = new UTF8Encoding(false),
        };
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start");
        var client = new RunningClient(told.Name, process, ProcessHandle.Open(process.Id), timeline, waits) { Asked = asked, Created = process.StartTime.ToFileTimeUtc() };
        process.ErrorDataReceived += (_, said) => client.HearError(said.Data);
        process.BeginErrorReadLine();
        client._watcher.Start();
        client._listener.Start();
        client.Tell(JsonSerializer.Serialize(new ClientOrders(told, device), WindowsJson.Default.ClientOrders));
        return client;
    }

    /// <summary>It has its orders, and its code is loaded.</summary>
    public bool IsReady => _ready.IsSet;

    /// <summary>Lets its threads go.</summary>
    public void Begin() => Tell("");

    /// <summary>The condition of a question has passed.</summary>
    public void Answer(int question) => Tell(question.ToString(CultureInfo.InvariantCulture));

    /// <summary>What is known of the call that makes a request; null before it was made.</summary>
    public Call? CallOf(string request)
    {
        lock (_telling) return _calls.GetValueOrDefault(request);
    }

    /// <summary>The threads that are in a system call.</summary>
    public IReadOnlyCollection<int> CallingThreads
    {
        get
        {
            lock (_telling) return [.. _calls.Values.Where(call => !call.CameBack).Select(call => call.Tid).Distinct()];
        }
    }

    /// <summary>The process object is signalled, and the timeline says so.</summary>
    public bool HasEnded
    {
        get
        {
            if (!_handle.IsSignalled) return false;
            _watcher.Join();
            return true;
        }
    }

    /// <summary>What an ended process said last has been heard.</summary>
    public void HearOut(TimeSpan limit)
    {
        if (HasEnded) _ = _listener.Join(limit);
    }

    public void Dispose()
    {
        _handle.Dispose();
        _process.Dispose();
        _ready.Dispose();
    }

    private void Watch()
    {
        _handle.Wait();
        _timeline.Add(Sources.ProcessState, new ProcessEnded(Name, Pid, _handle.ExitStatus));
    }

    private void Tell(string line)
    {
        try
        {
            lock (_process)
            {
                _process.StandardInput.WriteLine(line);
                _process.StandardInput.Flush();
            }
        }
        catch (IOException)
        {
            // It has ended: the watcher tells.
        }
    }

    // A zombie's end of the pipe stays open, so this thread may wait for ever; it is a background thread.
    private void Listen()
    {
        try
        {
            while (_process.StandardOutput.ReadLine() is { } line) Hear(line);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // It was killed in the middle of a line, or the run is over.
        }
    }

    private void Hear(string line)
    {
        ClientMessage? message;
        try
        {
            message = JsonSerializer.Deserialize(line, WindowsJson.Default.ClientMessage);
        }
        catch (JsonException)
        {
            _refusal ??= $"the client process '{Name}' said what is none of its messages: {line}";
            return;
        }

        switch (message)
        {
            case ClientReady:
                _ready.Set();
                break;
            case ClientCalls said:
                _timeline.Add(said.At, Sources.Client, new CallEntered(Name, Pid, said.Tid, said.Call, said.Request));
                if (said.Request is { } entered && !said.Call.StartsWith("Cancel", StringComparison.Ordinal)) Note(entered, new Call(said.Tid, said.At, CameBack: false, NtStatus.Pending));
                break;
            case ClientCameBack said:
                _timeline.Add(said.At, Sources.Client, new CallReturned(Name, Pid, said.Tid, said.Call, said.Request, said.Status, said.Information));
                if (said.Request is { } returned && !said.Call.StartsWith("Cancel", StringComparison.Ordinal)) Note(returned, new Call(said.Tid, said.At, CameBack: true, said.Status));
                break;
            case ClientAsks asks:
                Asked(this, asks);
                break;
            case ClientRefuses refuses:
                _refusal ??= refuses.Why;
                break;
            default:
                break;
        }
    }

    // The runtime's last words, when the client's program fails.
    private void HearError(string? line)
    {
        if (line is not null && (line.StartsWith("Unhandled exception", StringComparison.Ordinal) || line.StartsWith("Fatal error", StringComparison.Ordinal))) _refusal ??= $"the client process '{Name}' failed: {line}";
    }

    private void Note(string request, Call call)
    {
        lock (_telling) _calls[request] = call;
    }

    /// <summary>The last that is known of a request's call.</summary>
    /// <param name="Tid">The thread.</param>
    /// <param name="At">When.</param>
    /// <param name="CameBack">False: the thread is in it.</param>
    /// <param name="Status">What it came back with; STATUS_PENDING: an overlapped request is under way.</param>
    internal sealed record Call(int Tid, long At, bool CameBack, NtStatus Status);
}
