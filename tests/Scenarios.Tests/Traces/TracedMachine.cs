namespace Scenarios.Tests.Traces;

/// <summary>
/// Follows a machine through its trace, event by event, and holds each to what the ones before have told: who exists, who runs where, who was
/// made ready, what was called and has not returned. What contradicts itself is told.
/// </summary>
internal sealed class TracedMachine
{
    private const int Ready = 1, Terminated = 4, Waiting = 5;

    private readonly TraceRecords _trace;
    private readonly HashSet<uint> _processes = [], _gone = [];
    private readonly Dictionary<uint, ThreadSeen> _threads = [];
    private readonly HashSet<(uint Process, ulong Base, ulong Size)> _images = [];
    private readonly Dictionary<int, uint> _running = [];
    private readonly Dictionary<uint, (LoggedEvent Call, uint Thread)> _calls = [], _completions = [];
    private readonly Dictionary<int, LoggedEvent> _wantsStack = [];
    private readonly HashSet<uint> _numbers = [];
    private readonly HashSet<object> _listed = [];
    private int _rundown;

    public TracedMachine(TraceRecords trace)
    {
        _trace = trace;
        foreach (var e in trace.Events) Follow(e);
        Rule(_rundown == 4, "the session", "it has not two whole rundowns");
        Rule(_wantsStack.Count == 0, "the session", "an event has no stack");
    }

    public List<string> Broken { get; } = [];

    private void Follow(LoggedEvent e)
    {
        if (_wantsStack.Remove(e.Processor, out var of))
        {
            Rule(e.Kind == (24, 32) && (long)e.U64(0) == of.Time, e, $"the stack of {of.Name} does not follow it");
        }
        else
        {
            Rule(e.Kind != (24, 32), e, "a stack of no event");
        }
        if (e.Thread >= 0 && !(e.Thread == 0 && e.Process == 0)) Rule(_threads.TryGetValue((uint)e.Thread, out var logs) && logs.Process == e.Process && !logs.Terminated, e, $"logged by thread {e.Thread} of process {e.Process}, which is not there");
        if (e.Thread >= 0 && _rundown is 2) Rule(_running.GetValueOrDefault(e.Processor) == e.Thread, e, $"logged by thread {e.Thread}, but {_running.GetValueOrDefault(e.Processor)} runs there");
        Rule(_rundown is 2 || e.Kind is (0, 5) or (0, 32) || _rundown is 1 or 3, e, "outside of a session");
        switch (e.Kind)
        {
            case (0, 5):
                Rule(_rundown++ == 0, e, "a second beginning");
                break;
            case (0, 32):
                Rule(_rundown++ == 2, e, "an end before its time");
                break;
            case (0, 8):
                if (++_rundown == 4) AllListed(e);
                break;
            case (20, 33):
                Rule(_rundown == 1, e, "the kernel's base, not in the rundown");
                break;
            case (3, 1) or (3, 3):
                Rule(e.Type == 1 == (_rundown == 2), e, "in or out of the rundown");
                Rule(_processes.Add(e.U32(8)), e, $"process {e.U32(8)} is there already");
                break;
            case (3, 2):
                Rule(_processes.Remove(e.U32(8)) && _gone.Add(e.U32(8)), e, $"process {e.U32(8)} is not there");
                Rule(_threads.Values.All(thread => thread.Process != e.U32(8) || thread.Ended), e, $"process {e.U32(8)} ends before its threads");
                break;
            case (3, 4):
                Rule(_processes.Contains(e.U32(8)) && _listed.Add(("process", e.U32(8))), e, $"process {e.U32(8)} is not there, or listed twice");
                break;
            case (3, 39):
                Rule(_rundown == 3 && _gone.Contains(e.U32(8)), e, $"process {e.U32(8)} is not one that has ended");
                break;
            case (3, 11):
                Rule(_processes.Contains(e.U32(0)), e, $"process {e.U32(0)} is not there");
                break;
            case (5, 1) or (5, 3):
                Rule(e.Type == 1 == (_rundown == 2), e, "in or out of the rundown");
                Rule(_processes.Contains(e.U32(0)), e, $"a thread of process {e.U32(0)}, which is not there");
                if (e.U32(4) != 0) Rule(_threads.TryAdd(e.U32(4), new ThreadSeen(e.U32(0))), e, $"thread {e.U32(4)} is there already");
                break;
            case (5, 2):
                Rule(Known(e, e.U32(4)) is { Ended: false } ends && (ends.Ended = true) && e.Thread == e.U32(4), e, $"thread {e.U32(4)} ends twice, or another tells it");
                break;
            case (5, 4):
                if (e.U32(4) != 0) Rule(Known(e, e.U32(4)) is { Terminated: false } && _listed.Add(("thread", e.U32(4))), e, $"thread {e.U32(4)} is gone, or listed twice");
                break;
            case (3, 10) or (20, 3):
                Rule(_images.Add((e.U32(16), e.U64(0), e.U64(8))), e, "an image that is there already");
                Rule(e.U32(16) == 0 || _processes.Contains(e.U32(16)), e, $"an image of process {e.U32(16)}, which is not there");
                break;
            case (20, 2):
                Rule(_images.Remove((e.U32(16), e.U64(0), e.U64(8))), e, "an image that is not there");
                break;
            case (20, 4):
                Rule(_images.Contains((e.U32(16), e.U64(0), e.U64(8))) && _listed.Add(("image", e.U64(0))), e, "an image that is not there, or listed twice");
                break;
            case (5, 36):
                Switch(e);
                break;
            case (5, 50):
                if (Known(e, e.U32(0)) is { } readied) readied.Runnable = true;
                Rule(e.U8(4) <= 1 && e.U8(6) <= 1, e, "reason or flags");
                _wantsStack[e.Processor] = e;
                break;
            case (24, 32):
                Stack(e);
                break;
            case (1, _):
                Driver(e);
                break;
            default:
                break;
        }
    }

    private void Switch(LoggedEvent e)
    {
        var (next, old, reason, state) = (e.U32(0), e.U32(4), e.U8(12), e.U8(14));
        Rule(next != old, e, "from a thread to itself");
        Rule(_running.GetValueOrDefault(e.Processor) == old, e, $"old thread {old}, but {_running.GetValueOrDefault(e.Processor)} ran there");
        Rule(next == 0 || !_running.Any(other => other.Value == next), e, $"thread {next} runs elsewhere");
        Rule(state is Ready or Terminated or Waiting && reason < 40, e, $"state {state}, reason {reason}");
        if (old != 0 && Known(e, old) is { } left)
        {
            left.Runnable |= state == Ready;
            left.Terminated |= state == Terminated;
            Rule(!left.Terminated || left.Ended, e, $"thread {old} is terminated without having ended");
        }
        if (next != 0)
        {
            Rule(Known(e, next) is { Runnable: true, Terminated: false }, e, $"thread {next} runs, and nobody made it ready");
            if (_threads.TryGetValue(next, out var runs)) runs.Runnable = false;
            _wantsStack[e.Processor] = e;
        }
        _running[e.Processor] = next;
    }

    private void Stack(LoggedEvent e)
    {
        var (process, thread) = (e.U32(8), e.U32(12));
        Rule(thread == _running.GetValueOrDefault(e.Processor), e, $"a stack of thread {thread}, but {_running.GetValueOrDefault(e.Processor)} runs there");
        Rule(thread == 0 ? process == 0 : Known(e, thread)?.Process == process, e, $"thread {thread} is not of process {process}");
        for (var i = 16; i < e.Payload.Length; i += 8)
        {
            var user = e.U64(i) < 0x8000_0000_0000_0000;
            Rule(_images.Any(image => image.Process == (user ? process : 0) && e.U64(i) - image.Base < image.Size), e, $"0x{e.U64(i):x} on its stack is in no image");
            Rule(!user || i == e.Payload.Length - 8, e, "kernel frames above a user frame");
        }
    }

    private void Driver(LoggedEvent e)
    {
        var running = _running.GetValueOrDefault(e.Processor);
        switch (e.Type)
        {
            case 34:
                Rule(_numbers.Add(e.U32(32)) && _calls.TryAdd(e.U32(32), (e, running)), e, $"number {e.U32(32)} is not its own");
                Rule(e.U32(0) < 28 && InKernel(e.U64(8)), e, "major function or routine");
                break;
            case 35:
                Rule(_calls.Remove(e.U32(8), out var call) && call.Call.U64(24) == e.U64(0) && call.Thread == running, e, $"number {e.U32(8)} was not called, or for another IRP, or by another thread");
                break;
            case 52:
                Rule(_numbers.Add(e.U32(16)) && _completions.TryAdd(e.U32(16), (e, running)), e, $"number {e.U32(16)} is not its own");
                Rule(e.U64(0) == 0 || InKernel(e.U64(0)), e, "routine");
                break;
            case 37:
                Rule(_completions.TryGetValue(e.U32(16), out var under) && under.Call.U64(8) == e.U64(8) && under.Thread == running && InKernel(e.U64(0)), e, $"number {e.U32(16)} is not being completed, or is another IRP");
                break;
            case 53:
                Rule(_completions.Remove(e.U32(8), out var done) && done.Call.U64(8) == e.U64(0) && done.Thread == running, e, $"number {e.U32(8)} was not being completed, or is another IRP");
                break;
            default:
                break;
        }
    }

    private bool InKernel(ulong address) => _images.Any(image => image.Process == 0 && address - image.Base < image.Size);

    private void AllListed(LoggedEvent e)
    {
        foreach (var process in _processes) Rule(_listed.Contains(("process", process)), e, $"process {process} is not listed");
        foreach (var (id, _) in _threads.Where(thread => !thread.Value.Terminated)) Rule(_listed.Contains(("thread", id)), e, $"thread {id} is not listed");
        foreach (var image in _images) Rule(_listed.Contains(("image", image.Base)), e, $"the image at 0x{image.Base:x} is not listed");
    }

    private ThreadSeen? Known(LoggedEvent e, uint thread)
    {
        Rule(_threads.TryGetValue(thread, out var known), e, $"thread {thread} is not known");
        return known;
    }

    private void Rule(bool holds, LoggedEvent e, string otherwise) => Rule(holds, e.Name, $"{otherwise} (event {e.Group}/{e.Type} at {e.Time})");

    private void Rule(bool holds, string where, string otherwise)
    {
        if (!holds) Broken.Add($"{where}: {otherwise}");
    }

    private sealed class ThreadSeen(uint process)
    {
        public uint Process { get; } = process;

        /// <summary>It can run, or was made ready while it had not stopped yet.</summary>
        public bool Runnable { get; set; }

        /// <summary>Its end was logged; it still has things to let go.</summary>
        public bool Ended { get; set; }

        public bool Terminated { get; set; }
    }
}
