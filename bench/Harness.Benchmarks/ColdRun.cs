using System.Diagnostics;

namespace Harness.Benchmarks;

/// <summary>
/// The whole process of the published command (ReadyToRun): from its start to its end, run folder written and story told. The start script
/// builds it when a source is newer; that is not measured.
/// </summary>
internal static class ColdRun
{
    private const int Times = 9;

    public static void Measure(Action<string, string, IReadOnlyList<double>, Func<double, double>> tell)
    {
        var root = RepositoryRoot();
        if (OperatingSystem.IsWindows() || root is null)
        {
            Console.Error.WriteLine("cold_run_hang_irp: not measured; it needs the start script 'driverfault' of a repository on Linux or macOS");
            return;
        }
        Run(Path.Combine(root, "driverfault"), "list");
        var current = File.ReadAllLines(Path.Combine(root, "artifacts", "command", "current"));
        var command = Path.Combine(root, "artifacts", "command", current[0], "driverfault.dll");
        var results = Directory.CreateTempSubdirectory("driverfault-benchmark-");
        try
        {
            var times = new List<double>();
            for (var turn = 0; turn < Times; turn++)
            {
                var start = Stopwatch.GetTimestamp();
                Run(current[1], "exec", command, "run", "hang-irp", "--results", results.FullName);
                times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
            tell("cold_run_hang_irp", "ms", times, seconds => seconds * 1e3);
        }
        finally
        {
            results.Delete(recursive: true);
        }
    }

    private static string? RepositoryRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) return folder.FullName;
        return null;
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var complaint = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {complaint.Result}");
    }
}
