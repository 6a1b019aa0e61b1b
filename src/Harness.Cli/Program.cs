using System.Text;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.HyperV;
using Harness.Windows;

namespace Harness.Cli;

internal static class Program
{
    private static int Main(string[] args)
    {
        if (OperatingSystem.IsWindows() && args is [ClientProgram.Command])
            return ClientProgram.Run(new StreamReader(Console.OpenStandardInput(), Encoding.UTF8), new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)), TimeProvider.System);

        var around = Surroundings.OfThisProcess(Targets());
        var code = DriverFault.Run(args, around);
        around.Out.Flush();
        around.Error.Flush();
        return (int)code;
    }

    /// <summary>Every target, as the environment names its machine.</summary>
    internal static ITarget[] Targets() =>
    [
        new EmulatedTarget(),
        new LocalTarget(TimeProvider.System, ThisProgram(), Environment.GetEnvironmentVariable("_NT_SYMBOL_PATH"), line => Console.Error.WriteLine($"driverfault: {line}")),
        new HyperVTarget(GuestOptions.Of(Surroundings.RootFolder(), Environment.GetEnvironmentVariable), TimeProvider.System),
    ];

    // As it was started: an executable of its own, or dotnet with the assembly.
    private static string[] ThisProgram() =>
        Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) != "dotnet"
            ? [path, ClientProgram.Command]
            : [Environment.ProcessPath ?? "dotnet", Environment.GetCommandLineArgs()[0], ClientProgram.Command];
}
