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

    /// <summary>The driver of --driver and --device.</summary>
    public static DriverArgument Of(string? file, string? device)
    {
        if (file is null) return new DriverArgument(MyFault.FileName, new DriverUnderTest(MyFault.FileName, MyFault.Image(), device is null ? MyFault.Device : NtName(device)), IsMyFault: true);
        if (device is null) throw new UsageException("--driver: name the device it makes too, with --device (X, '\\\\.\\X' or '\\Device\\X')");
        return Read(file, NtName(device));
    }

    /// <summary>The driver of a run that is played again.</summary>
    public static DriverArgument Read(string file, string ntName)
    {
        var name = System.IO.Path.GetFileName(file);
        var image = InputFile.Read("--driver", file, LargestDriver);
        return new DriverArgument(System.IO.Path.GetFullPath(file), new DriverUnderTest(name, image, ntName), MyFault.Is(name, image, ntName));
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

    private static readonly string[] Roots = [@"\Device\", @"\??\", @"\DosDevices\", @"\GLOBAL??\"];

    private static bool Plain(string name) => name.Length > 0 && !name.Contains('\\', StringComparison.Ordinal) && !name.Contains('/', StringComparison.Ordinal);
}
