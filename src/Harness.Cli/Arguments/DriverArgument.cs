using Harness.Core.Targets;
using Harness.Scenarios;

namespace Harness.Cli.Arguments;

/// <summary>The driver under test as the user named it: a file and the device it makes, or, without a file, MyFault.</summary>
/// <param name="Path">Absolute, or for the driver that comes with the harness its bare file name.</param>
/// <param name="Driver">What the target loads.</param>
/// <param name="IsMyFault">MyFault.cs speaks for it.</param>
internal sealed record DriverArgument(string Path, DriverUnderTest Driver, bool IsMyFault)
{
    private const long LargestDriver = 64 << 20;

    /// <summary>The driver of --driver and --device, if the target can load it: what is wrong with the file comes before what else is to be said.</summary>
    public static DriverArgument Of(string? file, string? device, ITarget target)
    {
        var ntName = device is null ? null : NtName(device);
        if (file is null) return Committed(ntName ?? MyFault.Device);
        var (name, image) = Open(file);
        target.Check(name, image);
        if (ntName is null && MyFault.Is(name, image, MyFault.Device)) ntName = MyFault.Device;
        return ntName is not null ? Named(file, name, image, ntName)
            : throw new UsageException("--driver: name the device it makes too, with --device (X, '\\\\.\\X' or '\\Device\\X')");
    }

    /// <summary>The driver that comes with the harness, opened by this NT name.</summary>
    public static DriverArgument Committed(string ntName) =>
        new(MyFault.FileName, new DriverUnderTest(MyFault.FileName, MyFault.Image(), ntName, OfMyFault), IsMyFault: true);

    /// <summary>The driver of a run that is played again.</summary>
    public static DriverArgument Read(string file, string ntName)
    {
        var (name, image) = Open(file);
        return Named(file, name, image, ntName);
    }

    /// <summary>
    /// The device's NT name: X is \Device\X. \\.\X is what CreateFile makes of it, a symbolic link in \??, which the target resolves as
    /// Windows would.
    /// </summary>
    internal static string NtName(string device)
    {
        const string win32 = @"\\.\";
        if (device.StartsWith(win32, StringComparison.Ordinal) && Plain(device[win32.Length..])) return @"\??\" + device[win32.Length..];
        if (Roots.Any(root => device.StartsWith(root, StringComparison.OrdinalIgnoreCase) && device.Length > root.Length)) return device;
        if (Plain(device)) return @"\Device\" + device;
        throw new UsageException($@"--device: '{device}' is not a device's name; write X, '\\.\X' or '\Device\X', in quotes where a shell eats backslashes");
    }

    private static DriverArgument Named(string file, string name, byte[] image, string ntName)
    {
        var isMyFault = MyFault.Is(name, image, ntName);
        return new DriverArgument(System.IO.Path.GetFullPath(file), new DriverUnderTest(name, image, ntName, isMyFault ? OfMyFault : null), isMyFault);
    }

    private static readonly ReleaseRequest OfMyFault = new(MyFault.Release.Code, MyFault.Release.OutputLength);

    private static (string Name, byte[] Image) Open(string file) => (System.IO.Path.GetFileName(file), InputFile.Read("--driver", file, LargestDriver));

    private static readonly string[] Roots = [@"\Device\", @"\??\", @"\DosDevices\", @"\GLOBAL??\"];

    private static bool Plain(string name) => name.Length > 0 && !name.Contains('\\', StringComparison.Ordinal) && !name.Contains('/', StringComparison.Ordinal);
}
