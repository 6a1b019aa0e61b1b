using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace HostProcessor;

/// <summary>What the processor of this machine makes of trials, in a process that may die.</summary>
internal static class HostOracle
{
    /// <summary>What makes this program the oracle's process.</summary>
    public const string Argument = "oracle";

    /// <summary>Why there is none here; null when there is one.</summary>
    public static string? Lacks =>
        !OperatingSystem.IsLinux() ? "the host's processor is asked through Linux signals"
        : RuntimeInformation.ProcessArchitecture != Architecture.X64 ? $"this is an {RuntimeInformation.ProcessArchitecture} machine, not x64"
        : null;

    /// <summary>The oracle's side: trials from standard input, one behind the other; for each its outcome to standard output. Ends with its input.</summary>
    public static void Answer()
    {
        var trampoline = new Trampoline();
        using var input = new BufferedStream(Console.OpenStandardInput(), 1 << 16);
        using var output = new BufferedStream(Console.OpenStandardOutput(), 1 << 16);
        var trial = new Trial[1];
        var outcome = new Outcome[1];
        while (input.ReadAtLeast(MemoryMarshal.AsBytes(trial.AsSpan()), Unsafe.SizeOf<Trial>(), throwOnEndOfStream: false) == Unsafe.SizeOf<Trial>())
        {
            trampoline.Run(trial[0], ref outcome[0]);
            output.Write(MemoryMarshal.AsBytes(outcome.AsSpan()));
        }
        output.Flush();
    }

    public static Outcome[] Ask(ReadOnlySpan<Trial> trials)
    {
        var oracle = Path.Combine(AppContext.BaseDirectory, "HostProcessor.dll");
        var dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));
        using var process = Process.Start(new ProcessStartInfo(dotnet, ["exec", oracle, Argument])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var outcomes = new Outcome[trials.Length];
        var input = MemoryMarshal.AsBytes(trials).ToArray();
        var write = Task.Run(() =>
        {
            using var stdin = process.StandardInput.BaseStream;
            stdin.Write(input);
        });
        var complaint = process.StandardError.ReadToEndAsync();
        var read = process.StandardOutput.BaseStream.ReadAtLeast(MemoryMarshal.AsBytes(outcomes.AsSpan()), outcomes.Length * Unsafe.SizeOf<Outcome>(), throwOnEndOfStream: false);
        process.WaitForExit();
        if (read != outcomes.Length * Unsafe.SizeOf<Outcome>())
            throw new InvalidOperationException($"the host's processor died at trial {read / Unsafe.SizeOf<Outcome>()} with exit code {process.ExitCode}: {complaint.Result}");
        write.Wait();
        return outcomes;
    }
}
