using Harness.Core.Targets;
using Harness.Emulation;
using Harness.HyperV;

namespace Harness.Cli;

internal static class Program
{
    private static int Main(string[] args)
    {
        ITarget[] targets = [new EmulatedTarget(), AbsentTarget.Local, new HyperVTarget(GuestOptions.Of(Surroundings.RootFolder(), Environment.GetEnvironmentVariable), TimeProvider.System)];
        var around = Surroundings.OfThisProcess(targets);
        var code = DriverFault.Run(args, around);
        around.Out.Flush();
        around.Error.Flush();
        return (int)code;
    }
}
