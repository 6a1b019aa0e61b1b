using System.Diagnostics;
using System.Threading;
using Harness.Core.Evidence;
using Harness.Core.Targets;
using Harness.Scenarios;
using Harness.Windows;

namespace Windows.Tests.OnWindows;

/// <summary>A run in a process of its own that stops at a step for ever, so that somebody can kill it there.</summary>
internal static class DoomedRun
{
    public const string Command = "run-until";

    /// <summary>In the child: plays hang-irp until the step.</summary>
    public static int Play(string step)
    {
        var target = Machine.Target(tell: _ => { }, stepping: at =>
        {
            if (at != step) return;
            Console.Out.WriteLine("at " + step);
            Console.Out.Flush();
            using var never = new ManualResetEventSlim();
            never.Wait();
        });
        Machine.Play(target, new HangIrp());
        Console.Out.WriteLine("over");
        return 0;
    }

    /// <summary>In the test: starts the child, waits until it is at the step, and kills it there. Its last line.</summary>
    public static string? KillAt(string step)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, [Command, step]) { UseShellExecute = false, CreateNoWindow = true, RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var line = process.StandardOutput.ReadLine();
        process.Kill();
        process.WaitForExit();
        return line;
    }
}
