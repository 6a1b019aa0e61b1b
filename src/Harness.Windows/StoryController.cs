using System.Runtime.Versioning;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>The controller's thread of a story: the harness's own calls, the kills, the waits and the looks.</summary>
[SupportedOSPlatform("windows")]
internal sealed class StoryController
{
    private readonly ClientThread _thread;
    private readonly List<RunningClient> _clients;
    private readonly Collectors _collectors;
    private readonly Timeline _timeline;
    private readonly Waits _waits;
    private readonly Action<string> _step;
    private readonly StoryConditions _conditions;
    private readonly Caller _caller;

    public StoryController(ClientThread thread, string device, List<RunningClient> clients, Collectors collectors, Timeline timeline, Waits waits, Action<string> step)
    {
        (_thread, _clients, _collectors, _timeline, _waits, _step) = (thread, clients, collectors, timeline, waits, step);
        _conditions = new StoryConditions(clients, waits);
        _caller = new Caller(device, Entered, Returned);
    }

    /// <summary>Plays its acts in order.</summary>
    /// <exception cref="OperationCanceledException">--timeout has passed.</exception>
    public void Play()
    {
        _caller.Enter(_thread.Name);
        try
        {
            foreach (var act in _thread.Acts)
            {
                // A harness that cannot open its own handle goes on without.
                if (_caller.Play(act) is null && !PlayOwn(act)) return;
            }
        }
        finally
        {
            _caller.CloseHandles();
        }
    }

    private bool PlayOwn(Act act)
    {
        switch (act)
        {
            case Sleep sleep:
                _waits.Pass(sleep.For);
                return true;
            case UntilWaiting until:
                _timeline.Add(Sources.ProcessState, new ConditionPassed(_conditions.Waiting, until.Process, until.Request, _conditions.Await(until)));
                return true;
            case UntilGone until:
                _timeline.Add(Sources.ProcessState, new ConditionPassed("gone", until.Process, null, _conditions.Await(until)));
                return true;
            case Observe observe:
                _collectors.Look(observe.Checkpoint);
                return true;
            case Terminate terminate:
                Kill(_clients.First(client => client.Name == terminate.Process), terminate);
                return true;
            default:
                _timeline.Add(Sources.Client, new RunStopped($"the controller of the local target cannot play '{act.GetType().Name}'"));
                return false;
        }
    }

    private void Kill(RunningClient client, Terminate terminate)
    {
        if (!client.Killed) _collectors.LookAtManagedStacks(client);
        _step("kill " + terminate.Process);
        Entered(ThreadHandle.CurrentId, $"TerminateProcess({terminate.Process}, 0x{terminate.ExitStatus:x})", null);
        // The moment before the call: what comes of it cannot be before it.
        var at = _waits.Now;
        var status = client.Handle.Terminate(terminate.ExitStatus);
        client.Killed = true;
        _timeline.Add(at, Sources.ProcessState, new TerminateRequested(client.Name, client.Pid, status));
        Returned(ThreadHandle.CurrentId, "TerminateProcess", null, status, 0);
    }

    private void Entered(int tid, string call, string? request) => _timeline.Add(Sources.Client, new CallEntered(Story.Controller, Environment.ProcessId, tid, call, request));

    private void Returned(int tid, string call, string? request, NtStatus status, ulong information) =>
        _timeline.Add(Sources.Client, new CallReturned(Story.Controller, Environment.ProcessId, tid, call, request, status, information));
}
