using Harness.Core.Nt;

namespace Harness.Tracing.Zombies;

/// <summary>A thread as its events tell it: on a processor, or in a wait.</summary>
internal sealed class FollowedThread(int tid, FollowedProcess? process)
{
    /// <summary>Different waits that are kept of one dying thread; those beyond are not told apart from the last.</summary>
    private const int MostWaits = 64;

    private const int MostCalls = 32;

    private readonly List<FollowedWait> _waits = [];
    private readonly List<(uint Id, FollowedRequest Request, ulong Routine)> _calls = [];
    private bool _switchedIn;

    public int Tid { get; } = tid;

    public FollowedProcess? Process { get; set; } = process;

    /// <summary>It began in this session, so that all it ever asked of a driver is in the trace.</summary>
    public bool SeenFromStart { get; init; }

    public double? Ended { get; set; }

    public bool Runs { get; private set; }

    /// <summary>It ran after its process's end was asked for.</summary>
    public bool RanAfter { get; private set; }

    public bool Waits { get; private set; }

    /// <summary>Of the wait it is in, or was in last.</summary>
    public double OutAt { get; private set; }

    public WaitReason Reason { get; private set; }

    public FollowedReady? Ready { get; private set; }

    /// <summary>When it last got a processor, and the stack it had then (of the kernel's frames, innermost first; null: not in the trace).</summary>
    public double InAt { get; private set; } = double.NaN;

    public ulong[]? InStack { get; private set; }

    /// <summary>The wait that it had last, and those before if its process's end was asked for.</summary>
    public IReadOnlyList<FollowedWait> Past => _waits;

    /// <summary>The last IRP it sent that was completed.</summary>
    public FollowedRequest? LastCompleted { get; set; }

    /// <summary>The dispatch routine it is in: of the innermost call that has not returned.</summary>
    public (FollowedRequest Request, ulong Routine)? InDispatch => _calls.Count == 0 ? null : (_calls[^1].Request, _calls[^1].Routine);

    /// <summary>From here on waits are kept: its process is to end.</summary>
    public void Dies()
    {
        Settle();
        _waits.Clear();
        RanAfter = Runs;
    }

    public void SwitchOut(double at, bool waits, WaitReason reason)
    {
        Settle();
        Runs = false;
        if (!waits) return;
        (Waits, OutAt, Reason, Ready) = (true, at, reason, null);
    }

    public void SwitchIn(double at)
    {
        _switchedIn = Waits;
        (Runs, Waits, InAt, InStack) = (true, false, at, null);
        RanAfter |= Process?.Asked is not null;
    }

    public void MadeReady(FollowedReady ready)
    {
        if (Waits) Ready ??= ready;
    }

    /// <summary>The stack of its last switch-in.</summary>
    public void SwitchedInWith(ReadOnlySpan<ulong> stack)
    {
        if (InStack is not null) return;
        // The same stack over and over is kept once.
        foreach (var wait in _waits)
        {
            if (wait.Stack is null || !stack.SequenceEqual(wait.Stack)) continue;
            InStack = wait.Stack;
            return;
        }

        InStack = stack.ToArray();
    }

    public void Call(uint id, FollowedRequest request, ulong routine)
    {
        if (_calls.Count < MostCalls) _calls.Add((id, request, routine));
    }

    public void Return(uint id)
    {
        var at = _calls.FindLastIndex(call => call.Id == id);
        if (at >= 0) _calls.RemoveRange(at, _calls.Count - at);
    }

    /// <summary>Files the wait that the last switch-in ended, now that its stack is known or will never be.</summary>
    public void Settle()
    {
        if (!_switchedIn) return;
        _switchedIn = false;
        var keeps = Process?.Asked is not null;
        var from = Math.Max(OutAt, Process?.Asked ?? OutAt);
        if (_waits.Find(wait => wait.Reason == Reason && wait.Stack == InStack) is { } same)
        {
            // Of a thread that doesn't die, what it did in between makes it another wait.
            if (keeps || same == _waits[^1])
            {
                same.Again(OutAt, InAt, InAt - from, Ready);
                return;
            }
        }

        if (!keeps) _waits.Clear();
        else if (_waits.Count == MostWaits) _waits.RemoveAt(ShortestWait());
        _waits.Add(new FollowedWait(Reason, InStack, OutAt, InAt, InAt - from, Ready));
    }

    private int ShortestWait()
    {
        var shortest = 0;
        for (var i = 1; i < _waits.Count; i++)
            if (_waits[i].Total < _waits[shortest].Total) shortest = i;
        return shortest;
    }
}

/// <summary>A wait that ended, or the same one over and over: with one reason and one stack.</summary>
internal sealed class FollowedWait(WaitReason reason, ulong[]? stack, double since, double until, double total, FollowedReady? ready)
{
    public WaitReason Reason { get; } = reason;

    /// <summary>The stack it switched in with; null: not in the trace.</summary>
    public ulong[]? Stack { get; } = stack;

    /// <summary>When it first switched out.</summary>
    public double Since { get; } = since;

    /// <summary>When it last switched out.</summary>
    public double LastOut { get; private set; } = since;

    /// <summary>When it last switched in.</summary>
    public double Until { get; private set; } = until;

    /// <summary>How long it waited in all, after its process's end was asked for.</summary>
    public double Total { get; private set; } = total;

    public int Times { get; private set; } = 1;

    /// <summary>Who ended it last.</summary>
    public FollowedReady? Ready { get; private set; } = ready;

    public void Again(double outAt, double until, double waited, FollowedReady? ready)
    {
        (LastOut, Until, Ready) = (outAt, until, ready);
        Total += waited;
        Times++;
    }
}

/// <summary>ReadyThread.</summary>
internal sealed class FollowedReady(double at, FollowedThread? by, bool inDpc)
{
    public double At { get; } = at;

    /// <summary>Null: who ran there isn't known.</summary>
    public FollowedThread? By { get; } = by;

    public bool InDpc { get; } = inDpc;

    public ulong[]? Stack { get; set; }
}
