using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>The names all stories share, and the two processes they begin with.</summary>
internal static class Cast
{
    /// <summary>The process that dies, or whose request is cancelled.</summary>
    public const string Victim = "victim";

    /// <summary>The victim's request, whose fate is judged.</summary>
    public const string Request = "request";

    /// <summary>Every process calls its handle of the device so.</summary>
    public const string Handle = "h";

    /// <summary>How long a story waits for the request to reach the driver and be waited for. A driver that takes longer is killed all the same.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>What TerminateProcess is given.</summary>
    public const uint KilledStatus = 0x77;

    /// <summary>Within the five minutes after which a dying thread gives up its IRPs (learn.microsoft.com, "Canceling IRPs").</summary>
    public static readonly TimeSpan InRundown = TimeSpan.FromMinutes(4);

    /// <summary>A process with one thread.</summary>
    public static ClientProcess Process(string name, params Act[] acts) => new(name, [new ClientThread("main", acts)]);

    /// <summary>A victim that opens the device for synchronous I/O and sends the request, which blocks it in its system call.</summary>
    public static ClientProcess BlockedVictim(Choices choices) => Process(Victim,
        new OpenDevice(Handle),
        choices.Send(Handle, Request));

    /// <summary>A victim that opens the device for overlapped I/O, sends the request and waits for it in user mode.</summary>
    public static ClientProcess OverlappedVictim(Choices choices) => Process(Victim,
        new OpenDevice(Handle, Overlapped: true),
        choices.Send(Handle, Request),
        new AwaitRequest(Request));

    /// <summary>How long a story waits for a victim that goes when its rundown is over: longer than the I/O manager does, whatever the user chose.</summary>
    public static TimeSpan PastRundown(Choices choices) => choices.Settle > TimeSpan.FromMinutes(6) ? choices.Settle : TimeSpan.FromMinutes(6);

    /// <summary>
    /// MyFault's RELEASE. The handle is overlapped, so that a driver which pends RELEASE too cannot hang the harness, and was opened before the
    /// kill: a zombie may keep new ones from being opened.
    /// </summary>
    public static Act Release => new DeviceControl(Handle, "release", MyFault.Release.Code, [], MyFault.Release.OutputLength);}
