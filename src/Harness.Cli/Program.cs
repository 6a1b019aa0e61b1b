using Harness.Core.Targets;
using Harness.Emulation;
using Harness.HyperV;

namespace Harness.Cli;

internal static class Program
{
    private static int Main(string[] args)
    {
        var around = Surroundings.OfThisProcess(Targets());
        var code = DriverFault.Run(args, around);
        around.Out.Flush();
        around.Error.Flush();
        return (int)code;
    }

    /// <summary>Every target, as the environment names its machine.</summary>
    internal static ITarget[] Targets() =>
        [new EmulatedTarget(), AbsentTarget.Local, new HyperVTarget(GuestOptions.Of(Surroundings.RootFolder(), Environment.GetEnvironmentVariable), TimeProvider.System)];
}
