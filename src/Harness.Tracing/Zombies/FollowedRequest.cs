using Harness.Core.Nt;

namespace Harness.Tracing.Zombies;

/// <summary>An IRP from when it enters a driver until it is complete.</summary>
internal sealed class FollowedRequest(ulong address, FollowedThread? owner, IrpMajor major, ulong file, double since)
{
    /// <summary>Drivers of one device stack that are kept; the last always is.</summary>
    private const int MostRoutines = 32;

    private readonly List<ulong> _routines = [];

    public ulong Address { get; } = address;

    /// <summary>The thread that sent it; null: who ran there isn't known.</summary>
    public FollowedThread? Owner { get; } = owner;

    public IrpMajor Major { get; } = major;

    public ulong File { get; } = file;

    public double Since { get; } = since;

    /// <summary>The dispatch routines it was sent to, the first first.</summary>
    public IReadOnlyList<ulong> Routines => _routines;

    public double? Completed { get; private set; }

    public FollowedThread? CompletedBy { get; private set; }

    /// <summary>A completion routine ran as it was completed, and may have stopped that; 0: none did.</summary>
    public ulong CompletionRoutine { get; set; }

    public void SentTo(ulong routine)
    {
        if (_routines.Count == MostRoutines) _routines.RemoveAt(MostRoutines - 2);
        _routines.Add(routine);
    }

    public void Complete(double at, FollowedThread? by) => (Completed, CompletedBy) = (at, by);
}
