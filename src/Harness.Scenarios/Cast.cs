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

    /// <summary>A process with one thread.</summary>
    public static ClientProcess Process(string name, params Act[] acts) => new(name, [new ClientThread("main", acts)]);

    /// <summary>A victim that opens the device for synchronous I/O and sends the request, which blocks it in its system call.</summary>
    public static ClientProcess BlockedVictim(Choices choices) => Process(Victim,
        new OpenDevice(Handle),
        new DeviceControl(Handle, Request, choices.Ioctl, choices.Input, choices.OutputLength));
}
