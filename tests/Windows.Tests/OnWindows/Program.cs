using System.Text;
using Harness.Windows;

namespace Windows.Tests.OnWindows;

/// <summary>The suite; a client of a story, as driverfault is one; or a run that stops dead at a step, to be killed there.</summary>
internal static class Program
{
    private static int Main(string[] args) => args switch
    {
        [ClientProgram.Command] => ClientProgram.Run(new StreamReader(Console.OpenStandardInput(), Encoding.UTF8), new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)), TimeProvider.System),
        [DoomedRun.Command, var step] => DoomedRun.Play(step),
        _ => Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args).GetAwaiter().GetResult(),
    };
}
