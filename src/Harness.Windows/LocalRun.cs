using System.Runtime.Versioning;
using System.Threading;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>One story on this machine, from the driver's installation to its removal. Each step is in the journal before it is taken.</summary>
[SupportedOSPlatform("windows")]
internal sealed class LocalRun : IDisposable
{
    /// <summary>A process of .NET is there within a second or so; a machine that takes longer is in trouble.</summary>
    private static readonly TimeSpan ToStart = TimeSpan.FromSeconds(60), ToEnd = TimeSpan.FromSeconds(10), ToLog = TimeSpan.FromSeconds(10);

    private readonly Story _story;
    private readonly DriverUnderTest _driver;
    private readonly Collecting _collecting;
    private readonly IReadOnlyList<string> _command;
    private readonly Journal _journal;
    private readonly Timeline _timeline;
    private readonly Waits _waits, _patient;
    private readonly List<RunningClient> _clients = [];
    private readonly DateTimeOffset _began;
    private Leftovers _left;
    private DriverService? _service;
    private bool _loaded;
    private DeviceHandle? _controller;
    private KernelTrace? _trace;

    public LocalRun(Story story, DriverUnderTest driver, Collecting collecting, IReadOnlyList<string> command, Journal journal, Timeline timeline, Waits waits, Waits patient)
    {
        (_story, _driver, _collecting, _command, _journal, _timeline, _waits, _patient) = (story, driver, collecting, command, journal, timeline, waits, patient);
        _began = patient.Today;
        var name = DriverService.NameFor(driver.FileName);
        // Under its own name: so the kernel's list of modules, dumps and traces call it.
        _left = new Leftovers(name, Path.Combine(LocalTarget.Folder, driver.FileName), driver.Device, driver.Release?.Code, driver.Release?.OutputLength ?? 0, null, []);
    }

    /// <summary>Plays it. The machine is clean afterwards, or the timeline says what is left.</summary>
    public void Play(TimeSpan timeout)
    {
        try
        {
            if (!Load()) return;
            StartTrace();
            StartClients();
            Tell();
        }
        catch (OperationCanceledException)
        {
            _timeline.Add(Sources.ProcessState, new RunStopped($"--timeout: {timeout.TotalSeconds:0.###} s have passed"));
        }
        finally
        {
            Clean();
        }
    }

    public void Dispose()
    {
        foreach (var client in _clients) client.Dispose();
        _controller?.Dispose();
        _trace?.Dispose();
        _service?.Dispose();
    }

    private void Step(string name, Func<Leftovers, Leftovers>? change = null) => _journal.Write(name, _left = change is null ? _left : change(_left));

    // The driver.

    private bool Load()
    {
        Step("install");
        // Its driver may be loaded from the file that is about to be written.
        if (DriverService.Remove(_left.Service, _left.Image, _patient) is { } remains)
        {
            _timeline.Add(Sources.ServiceControl, new RunStopped($"a service {_left.Service} of an earlier run cannot be removed: {remains}"));
            return false;
        }

        File.WriteAllBytes(_left.Image, _driver.Image);
        var before = Devices();
        try
        {
            _service = DriverService.Install(_left.Service, _left.Image, _patient);
            Step("start");
            // It comes back when DriverEntry does, which may be never.
            _waits.For(Task.Factory.StartNew(_service.Start, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
        }
        catch (WindowsException e)
        {
            if (_service is not null && !LikelyCause.IsBeforeEntry(e.Code)) _timeline.Add(Sources.ServiceControl, new DriverEntryReturned(_driver.FileName, e.Status, []));
            _timeline.Add(Sources.ServiceControl, new RunStopped(e.Message));
            return false;
        }

        _loaded = true;
        Step("started");
        TellModule();
        _timeline.Add(Sources.ServiceControl, new DriverEntryReturned(_driver.FileName, NtStatus.Success, [.. Devices().Except(before)]));
        if (_driver.Release is null) return true;

        // Before the kill, and kept: once a zombie holds the device, nobody may be able to open it any more.
        var status = DeviceHandle.Open(Caller.NtName(_driver.Device), overlapped: true, out var device);
        if (status.IsSuccess) _controller = device;
        else _timeline.Add(Sources.Client, new NotObserved("the handle for the driver's release", $"it could not be opened: {status}"));
        return true;
    }

    private static HashSet<string> Devices() => [.. (ObjectDirectory.Names(@"\Device") ?? []).Select(name => @"\Device\" + name)];

    private void TellModule()
    {
        var file = Path.GetFileName(_left.Image);
        try
        {
            // Since Windows 11 24H2 addresses of the kernel are told only to who has enabled it.
            Privilege.Enable(Privilege.Debug);
            if (SystemInformation.Modules().FirstOrDefault(module => string.Equals(module.FileName, file, StringComparison.OrdinalIgnoreCase)) is { Base.Value: > 0 } module)
                _timeline.Add(Sources.ServiceControl, new DriverLoaded(_driver.FileName, module.Base, module.Size));
            else _timeline.Add(Sources.ServiceControl, new NotObserved("where the driver was loaded", "the system's list of modules does not tell"));
        }
        catch (WindowsException e)
        {
            _timeline.Add(Sources.ServiceControl, new NotObserved("where the driver was loaded", e.Message));
        }
    }

    // The collectors and the clients.

    private void StartTrace()
    {
        Step("trace", left => left with { Session = KernelTrace.SessionName });
        try
        {
            _trace = KernelTrace.Start(_collecting.Folder);
        }
        catch (InvalidOperationException e)
        {
            _timeline.Add(Sources.Etw, new NotObserved("the event trace", e.Message));
        }
    }

    private void StartClients()
    {
        var conditions = new StoryConditions(_clients, _waits);
        foreach (var told in _story.Processes.Where(process => process.Name != Story.Controller))
        {
            var client = RunningClient.Start(_command, told, _driver.Device, _timeline, _waits, (asker, asks) =>
                Task.Run(() =>
                {
                    conditions.Await(asks.Condition);
                    asker.Answer(asks.Question);
                }));
            lock (_clients) _clients.Add(client);
            Step("client " + told.Name, left => left with { Clients = [.. left.Clients, new LeftProcess(client.Pid, client.Created)] });
        }

        if (_clients.FirstOrDefault(client => !_waits.Until(ToStart, () => client.IsReady)) is { } absent)
            throw new InvalidOperationException($"the client process '{absent.Name}' (pid {absent.Pid}) did not begin within {ToStart.TotalSeconds:0} s");
        Step("begin");
        foreach (var client in _clients) client.Begin();
    }

    // The controller's part of the story. What hangs in the driver hangs this thread; --timeout goes on without it.
    private void Tell()
    {
        var threads = _story.Processes.Where(process => process.Name == Story.Controller).SelectMany(process => process.Threads).ToList();
        if (threads.Count != 1)
        {
            _timeline.Add(Sources.Client, new RunStopped($"the local target plays one thread of the controller, and the story has {threads.Count}"));
            return;
        }

        var controller = new StoryController(threads[0], _driver.Device, _clients, new Collectors(_collecting, _clients, _timeline), _timeline, _waits, step => Step(step));
        _waits.For(Task.Factory.StartNew(controller.Play, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
        foreach (var client in _clients.Where(client => client.Refusal is not null)) _timeline.Add(Sources.Client, new RunStopped(client.Refusal!));
    }

    // The end.

    private void Clean()
    {
        Step("clean");
        foreach (var client in _clients.Where(client => !client.Handle.IsSignalled)) client.Handle.Terminate(1);
        if (_controller is not null && _driver.Release is { } release)
        {
            var call = $"DeviceIoControl(the driver's release, 0x{release.Code:x})";
            _timeline.Add(Sources.Client, new CallEntered(Story.Controller, Environment.ProcessId, ThreadHandle.CurrentId, call, null));
            var status = Cleaner.Release(_controller, release);
            _timeline.Add(Sources.Client, new CallReturned(Story.Controller, Environment.ProcessId, ThreadHandle.CurrentId, call, null, status, 0));
        }

        _patient.Until(ToEnd, () => _clients.TrueForAll(client => client.HasEnded));
        foreach (var client in _clients) client.HearOut(ToEnd);
        var traced = StopTrace();
        _controller?.Dispose();
        Unload();
        ReadLog();
        // It may be long; by now nothing is left in the machine.
        if (traced) new TraceReading(_collecting, _timeline, _patient).Read([.. _clients.Select(client => client.Pid)]);
    }

    private void ReadLog()
    {
        try
        {
            var seen = SystemLog.About(_began, _left.Service, _driver.Device);
            // The I/O manager writes from a thread of its own, some time later.
            if (_story.Promises.Any(promise => promise is IrpDisassociatedPromise))
                _patient.Until(ToLog, () => (seen = SystemLog.About(_began, _left.Service, _driver.Device)).Events.Any(logged => logged.IsCancelTimeout));
            _timeline.Add(Sources.EventLog, seen);
        }
        catch (InvalidOperationException e)
        {
            _timeline.Add(Sources.EventLog, new NotObserved("the log of the system's errors", e.Message));
        }
    }

    private bool StopTrace()
    {
        if (_trace is null) return false;
        try
        {
            _timeline.Add(Sources.Etw, _trace.Stop(_collecting.Folder));
            return true;
        }
        catch (InvalidOperationException e)
        {
            _timeline.Add(Sources.Etw, new NotObserved("the event trace", e.Message));
            return false;
        }
    }

    private void Unload()
    {
        List<string> remains = [];
        if (_service is not null)
        {
            Step("stop");
            if (_service.Stop() is { } why)
            {
                _timeline.Add(Sources.ServiceControl, new DriverNotUnloaded(_driver.FileName, why));
                remains.Add(why);
            }
            else if (_loaded) _timeline.Add(Sources.ServiceControl, new DriverUnloaded(_driver.FileName));

            Step("delete");
            if (_service.Delete() is { } still) remains.Add(still);
        }

        if (Cleaner.DeleteFile(_left.Image, _patient) is { } file) remains.Add(file);
        if (remains.Count == 0) _journal.Clear();
    }
}
