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
/// <param name="Kind">How the request is sent. A read has the output's length and a write the input's bytes; neither has a control code.</param>
/// <param name="Offset">Where in the file a read or a write is, in bytes.</param>
/// <param name="Cancelled">The request has a cancel routine, its author says: it must be called, and the request come back with STATUS_CANCELLED.</param>
public sealed record Choices(
    [property: JsonConverter(typeof(HexUInt32Json))] uint Ioctl,
    [property: JsonConverter(typeof(HexBytesJson))] byte[] Input, int OutputLength, Outcome Expected, TimeSpan Settle,
    RequestKind Kind = RequestKind.Control, long Offset = 0, bool Cancelled = false)
{
    /// <summary>The call that sends the request.</summary>
    /// <param name="handle">The name of the handle it is sent on.</param>
    /// <param name="request">The request's name.</param>
    public Act Send(string handle, string request) => Kind switch
    {
        RequestKind.Read => new ReadFile(handle, request, OutputLength, Offset),
        RequestKind.Write => new WriteFile(handle, request, Input, Offset),
        _ => new DeviceControl(handle, request, Ioctl, Input, OutputLength),
    };
}

/// <summary>The call that a story's client makes.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RequestKind>))]
public enum RequestKind
{
    /// <summary>DeviceIoControl.</summary>
    [JsonStringEnumMemberName("control")] Control,

    /// <summary>ReadFile.</summary>
    [JsonStringEnumMemberName("read")] Read,

    /// <summary>WriteFile.</summary>
    [JsonStringEnumMemberName("write")] Write,
}
