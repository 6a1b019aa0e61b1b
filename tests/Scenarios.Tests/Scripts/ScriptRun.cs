using System.Diagnostics;

namespace Scenarios.Tests.Scripts;

/// <summary>One process that a test started and waited for.</summary>
internal sealed record ScriptRun(int Code, string Out, string Error)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <summary>The last line of standard output.</summary>
    public string LastLine => Out.TrimEnd('\n').Split('\n')[^1];

    /// <summary>Runs a program to its end. <paramref name="environment"/> is added to this process's own.</summary>
    public static async Task<ScriptRun> Of(string program, IEnumerable<string> args, string folder, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, args) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        using var limit = new System.Threading.CancellationTokenSource(Limit);
        var output = process.StandardOutput.ReadToEndAsync(limit.Token);
        var error = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return new ScriptRun(process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', args)} did not end within {Limit}");
        }
    }
}
