using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using HostProcessor;

namespace Emulation.Tests.Cpu;

/// <summary>What the processor of this machine makes of trials, in a process that may die.</summary>
internal static class HostOracle
{
    /// <summary>Why there is none here; null when there is one.</summary>
    public static string? Lacks =>
        !OperatingSystem.IsLinux() ? "the host's processor is asked through Linux signals"
        : RuntimeInformation.ProcessArchitecture != Architecture.X64 ? $"this is an {RuntimeInformation.ProcessArchitecture} machine, not x64"
        : null;

    public static Outcome[] Ask(ReadOnlySpan<Trial> trials)
    {
        var oracle = Path.Combine(AppContext.BaseDirectory, "HostProcessor.dll");
        var dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));
        using var process = Process.Start(new ProcessStartInfo(dotnet, ["exec", oracle])
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
