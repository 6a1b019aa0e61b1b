using Harness.Core.Targets;
using Harness.Emulation;

namespace Harness.Cli;

internal static class Program
{
    private static int Main(string[] args)
    {
        ITarget[] targets = [new EmulatedTarget(), AbsentTarget.Local, AbsentTarget.HyperV];
        var around = Surroundings.OfThisProcess(targets);
        var code = DriverFault.Run(args, around);
        around.Out.Flush();
        around.Error.Flush();
        return (int)code;
    }
}
