using System.Diagnostics;
using Scenarios.Tests;
using Scenarios.Tests.Debugger;

namespace Harness.Benchmarks;

/// <summary>
/// The whole process of the published command (ReadyToRun): from its start to its end, run folder written and story told, or a large dump
/// diagnosed. The start script builds it when a source is newer; that is not measured.
/// </summary>
internal static class ColdRun
{
    private const int Times = 9;

    public static void Measure(Action<string, string, IReadOnlyList<double>, Func<double, double>> tell)
    {
        var root = Repository.Root;
        if (OperatingSystem.IsWindows())
        {
            Console.Error.WriteLine("cold_run_hang_irp, cold_diagnose_16_gib, cold_diagnose_with_pdb: not measured; they need the start script 'driverfault' on Linux or macOS");
            return;
        }
        Run(Path.Combine(root, "driverfault"), 0, "list");
        var current = File.ReadAllLines(Path.Combine(root, "artifacts", "command", "current"));
        var command = Path.Combine(root, "artifacts", "command", current[0], "driverfault.dll");
        var results = Directory.CreateTempSubdirectory("driverfault-benchmark-");
        try
        {
            Cold("cold_run_hang_irp", 0, "run", "hang-irp", "--results", results.FullName);
            // The file has holes where the file system can, and is some 200 MB then.
            var dump = Path.Combine(results.FullName, "MEMORY.DMP");
            LargeDump.Write(dump);
            Cold("cold_diagnose_16_gib", 1, "diagnose", dump);
            var pdb = Path.Combine(results.FullName, LargePdb.Identity.Name);
            File.WriteAllBytes(pdb, LargePdb.Bytes());
            Cold("cold_diagnose_with_pdb", 1, "diagnose", dump, "--symbols", pdb);
            Debugger(results.FullName, tell);
        }
        finally
        {
            results.Delete(recursive: true);
        }

        void Cold(string name, int code, params string[] arguments)
        {
            var times = new List<double>();
            for (var turn = 0; turn < Times; turn++)
            {
                var start = Stopwatch.GetTimestamp();
                Run(current[1], code, ["exec", command, .. arguments]);
                times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
            tell(name, "ms", times, seconds => seconds * 1e3);
        }
    }

    /// <summary>The same dump, opened by Microsoft's debugger engine under Wine: what a script that drives a debugger pays before its first command.</summary>
    private static void Debugger(string folder, Action<string, string, IReadOnlyList<double>, Func<double, double>> tell)
    {
        if (DbgEng.Lacks is { } lack)
        {
            Console.Error.WriteLine($"dbgeng_open_16_gib: not measured; {lack}");
            return;
        }

        OfDebugger(folder, tell).GetAwaiter().GetResult();
    }

    private static async Task OfDebugger(string folder, Action<string, string, IReadOnlyList<double>, Func<double, double>> tell)
    {
        var engine = new DbgEng();
        await using var _ = engine.ConfigureAwait(false);
        await engine.InitializeAsync().ConfigureAwait(false);
        var times = new List<double>();
        // The first time Wine's servers start; it does not count.
        for (var turn = -1; turn < Times; turn++)
        {
            var start = Stopwatch.GetTimestamp();
            var said = await engine.Ask(folder, "vertarget").ConfigureAwait(false);
            if (!said[0].Contains("19041", StringComparison.Ordinal)) throw new InvalidOperationException($"the debugger did not open the dump: {said[0]}");
            if (turn >= 0) times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        tell("dbgeng_open_16_gib", "ms", times, seconds => seconds * 1e3);
    }

    private static void Run(string program, int code, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var complaint = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != code) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {complaint.Result}");
    }
}
