using System.Text.Json.Serialization;
using Harness.Core.Nt;

namespace Harness.Core.Stories;

/// <summary>A story with a name. It is told anew for each driver under test and cannot know on which target it will run.</summary>
public abstract class Scenario
{
    /// <summary>The name on the command line: "hang-irp".</summary>
    public abstract string Name { get; }

    /// <summary>One sentence for <c>driverfault list</c>.</summary>
    public abstract string Summary { get; }

    /// <summary>The I/O control code sent when the user names none.</summary>
    public abstract uint DefaultIoctl { get; }

    /// <summary>
    /// What should become of the victim when the user doesn't say, given what the driver's author says of the request. A scenario about
    /// sound requests expects <see cref="Outcome.Ended"/> whatever the request.
    /// </summary>
    public virtual Outcome ExpectedOutcome(Outcome ofTheRequest) => ofTheRequest;

    /// <summary>Tells the story for these choices.</summary>
    public abstract Story Tell(Choices choices);
}

/// <summary>What a run may choose.</summary>
/// <param name="Ioctl">The I/O control code of the request.</param>
/// <param name="Input">Its input bytes.</param>
/// <param name="OutputLength">Its output buffer's length in bytes.</param>
/// <param name="Expected">What should become of the victim.</param>
/// <param name="Settle">How long the story waits after the kill before it looks.</param>
public sealed record Choices(
    [property: JsonConverter(typeof(HexUInt32Json))] uint Ioctl,
    [property: JsonConverter(typeof(HexBytesJson))] byte[] Input, int OutputLength, Outcome Expected, TimeSpan Settle);
