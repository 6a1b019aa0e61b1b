using System.Diagnostics;

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
        var root = RepositoryRoot();
        if (OperatingSystem.IsWindows() || root is null)
        {
            Console.Error.WriteLine("cold_run_hang_irp, cold_diagnose_16_gib: not measured; they need the start script 'driverfault' of a repository on Linux or macOS");
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

    private static string? RepositoryRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) return folder.FullName;
        return null;
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
