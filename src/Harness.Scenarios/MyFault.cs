using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// The C# twin of driver/myfault/public.h: the requests of the driver that comes with the harness, and what each should do to its caller.
/// A test parses the header and holds this file to it.
/// </summary>
public static class MyFault
{
    /// <summary>The driver file's name.</summary>
    public const string FileName = "myfault.sys";

    /// <summary>MYFAULT_DEVICE_NAME.</summary>
    public const string Device = @"\Device\MyFault";

    /// <summary>MYFAULT_LINK_NAME, by which \\.\MyFault is found. \?? is the same folder.</summary>
    public const string Link = @"\DosDevices\MyFault";

    /// <summary>MYFAULT_ECHO_MAXIMUM: the longest input of ECHO, in bytes.</summary>
    public const int EchoMaximum = 4096;

    /// <summary>Completes at once with its own input.</summary>
    public static readonly MyFaultRequest Echo = new("ECHO", 0x222000, 0, Outcome.Ended, "completes at once");

    /// <summary>The sound way to wait: a cancel-safe queue.</summary>
    public static readonly MyFaultRequest Pend = new("PEND", 0x222004, 0, Outcome.Ended, "sound: waits in a cancel-safe queue");

    /// <summary>The defect: pended without a cancel routine, until RELEASE.</summary>
    public static readonly MyFaultRequest HangIrp = new("HANG_IRP", 0x222008, 0, Outcome.Zombie, "defect: pends without a cancel routine");

    /// <summary>Completes everything that waits, whoever sent it. Output: MYFAULT_RELEASED.</summary>
    public static readonly MyFaultRequest Release = new("RELEASE", 0x22200C, 4, Outcome.Ended, "completes all that waits, defects too");

    /// <summary>Output: MYFAULT_COUNTS.</summary>
    public static readonly MyFaultRequest Query = new("QUERY", 0x222010, 24, Outcome.Ended, "counts");

    /// <summary>A defect: pended with a cancel routine that completes nothing, until RELEASE.</summary>
    public static readonly MyFaultRequest NoopCancel = new("NOOP_CANCEL", 0x222014, 0, Outcome.Zombie, "defect: pends with a cancel routine that completes nothing");

    /// <summary>MYFAULT_HANG_CREATE_NAME: a file below the device whose IRP_MJ_CREATE is pended until RELEASE.</summary>
    public const string HangCreateName = @"\hang-create";

    /// <summary>In the header's order.</summary>
    public static readonly IReadOnlyList<MyFaultRequest> Requests = [Echo, Pend, HangIrp, Release, Query, NoopCancel];

    /// <summary>The committed driver binary (x64).</summary>
    public static byte[] Image()
    {
        using var resource = typeof(MyFault).Assembly.GetManifestResourceStream(FileName)!;
        var image = new byte[resource.Length];
        resource.ReadExactly(image);
        return image;
    }

    /// <summary>The request of this name; case does not matter, '-' and '_' are the same. Null when there is none.</summary>
    public static MyFaultRequest? Named(string name) =>
        Requests.FirstOrDefault(request => string.Equals(request.Name, name.Replace('-', '_'), StringComparison.OrdinalIgnoreCase));

    /// <summary>The request with this control code. Null when there is none.</summary>
    public static MyFaultRequest? WithCode(uint code) => Requests.FirstOrDefault(request => request.Code == code);

    /// <summary>
    /// Whether a driver is MyFault, so that what this file says of its requests is said of that driver: it is opened as MyFault, and it is
    /// the committed binary or has its file name (another build of it).
    /// </summary>
    public static bool Is(string fileName, ReadOnlySpan<byte> image, string device) =>
        (SameName(device, Device) || SameName(device.Replace(@"\??\", @"\DosDevices\", StringComparison.Ordinal), Link))
        && (SameName(fileName, FileName) || image.SequenceEqual(Image()));

    private static bool SameName(string one, string other) => string.Equals(one, other, StringComparison.OrdinalIgnoreCase);
}

/// <summary>One of MyFault's requests.</summary>
/// <param name="Name">As in the header, without MYFAULT_IOCTL_.</param>
/// <param name="Code">The I/O control code.</param>
/// <param name="OutputLength">The bytes of its output structure; 0 when it has none.</param>
/// <param name="WhenItsCallerDies">What should become of a caller that is terminated while the request waits.</param>
/// <param name="Does">A few words for <c>driverfault list</c>.</param>
public sealed record MyFaultRequest(string Name, uint Code, int OutputLength, Outcome WhenItsCallerDies, string Does);
