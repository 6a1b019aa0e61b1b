using Harness.Core.Diagnosis;

namespace Harness.Tracing.Zombies;

/// <summary>A process as its events tell it. Times of everything here are milliseconds from the trace's beginning.</summary>
internal sealed class FollowedProcess(int pid, string image)
{
    /// <summary>Requests that are kept of one process although they are over.</summary>
    private const int MostRequests = 64;

    private readonly List<FollowedRequest> _lateRequests = [];

    public int Pid { get; } = pid;

    public string Image { get; set; } = image;

    /// <summary>When its end was asked for first; null: nobody did.</summary>
    public double? Asked { get; private set; }

    public FollowedThread? AskedBy { get; private set; }

    public double? Ended { get; set; }

    /// <summary>The rundown at the session's end lists it.</summary>
    public bool Listed { get; set; }

    /// <summary>Threads that have not ended, from when its end is asked for or, if it never is, from when the trace ends.</summary>
    public List<FollowedThread> Threads { get; } = [];

    /// <summary>IRPs of its threads that are not complete, and those that were completed late after its end was asked for.</summary>
    public List<FollowedRequest> Requests => _lateRequests;

    /// <summary>File objects for which IRP_MJ_CLEANUP was sent on one of its threads after its end was asked for, and when.</summary>
    public Dictionary<ulong, double> CleanedUp { get; } = [];

    public void Ask(double at, FollowedThread? by)
    {
        if (Asked is not null) return;
        (Asked, AskedBy) = (at, by);
    }

    /// <summary>An IRP of its threads is complete.</summary>
    public void Complete(FollowedRequest request)
    {
        // Of a process that has ended, what is not complete was listed then.
        if (Ended is null && Asked is { } asked && request.Completed - Math.Max(asked, request.Since) >= StuckThread.Soonest.TotalMilliseconds && _lateRequests.Count < MostRequests) _lateRequests.Add(request);
    }
}
