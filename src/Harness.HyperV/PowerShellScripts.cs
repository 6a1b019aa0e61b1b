using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Threading;

namespace Harness.HyperV;

/// <summary>
/// Starts the script for each step and reads its answer: the line of standard output that begins with "driverfault:" and goes on with JSON in UTF-8, in Base64. Whatever
/// else is said, in whatever code page, is noise and only recorded.
/// </summary>
/// <param name="program">PowerShell, or who plays it.</param>
/// <param name="arguments">What comes before -Step.</param>
/// <param name="clock">Measures limits.</param>
/// <param name="record">Told each step with its answer and the noise, a JSON object each; null: nobody.</param>
public sealed class PowerShellScripts(string program, IReadOnlyList<string> arguments, TimeProvider clock, Action<string>? record = null) : IHostScripts
{
    /// <summary>Begins an answer.</summary>
    public const string Mark = "driverfault:";

    private const int MostNoise = 1 << 16;

    // Longer is what a line is cut to: an answer has a sentence or two, and a program may say anything, without an end.
    private const int LongestLine = 1 << 16;

    // Of the last line, in a sentence for the user.
    private const int MostTold = 400;

    // What a killed process leaves in a pipe is read, but nobody waits for whoever else has the pipe open.
    private static readonly TimeSpan Drain = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public async Task<HostAnswer> Ask(HostStep step, TimeSpan limit, CancellationToken cancel)
    {
        var start = new ProcessStartInfo(program, [.. arguments, "-Step", step.Name, .. step.Arguments.SelectMany(a => new[] { "-" + a.Key, a.Value })])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            CreateNoWindow = true,
            // Each byte is a character: what is not ASCII is noise, and noise is never a reason to fail.
            StandardOutputEncoding = Encoding.Latin1,
            StandardErrorEncoding = Encoding.Latin1,
        };
        using var process = Start(start);
        if (process is null) return Record(step, null, "", new HostAnswer(false, "noPowerShell", $"'{program}' cannot be started"));
        process.StandardInput.Close();

        var said = new Said();
        using var reading = new CancellationTokenSource();
        var pipes = Task.WhenAll(said.Read(process.StandardOutput, reading.Token), said.Read(process.StandardError, reading.Token));
        using var limited = new CancellationTokenSource(limit, clock);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(limited.Token, cancel);
        var ended = false;
        try
        {
            await process.WaitForExitAsync(ending.Token).ConfigureAwait(false);
            ended = true;
        }
        catch (OperationCanceledException)
        {
            // Below it is told whose the end was.
        }
        finally
        {
            if (!ended) await End(process).ConfigureAwait(false);
            // Not every read of a pipe can be cancelled.
            await pipes.WaitAsync(Drain, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await reading.CancelAsync().ConfigureAwait(false);
        }

        cancel.ThrowIfCancellationRequested();
        return Record(step, ended ? process.ExitCode : null, said.Noise, Answer(said, ended ? process.ExitCode : null, step, limit));
    }

    private static HostAnswer Answer(Said said, int? exitCode, HostStep step, TimeSpan limit)
    {
        if (exitCode is null) return new HostAnswer(false, "timeout", $"{step.Name} did not end within {limit.TotalSeconds:0.#} s, and was ended", Again: true);
        return said.Answer is { } answer && Read(answer) is { } read ? read
            : new HostAnswer(false, "failed", $"{step.Name} ended with exit code {exitCode} and without an answer{(said.LastLine is { } last ? $"; the last it said: {last}" : "")}", Again: true);
    }

    private static HostAnswer? Read(string base64)
    {
        try
        {
            // What PowerShell makes text of is never null.
            var answer = JsonSerializer.Deserialize(Convert.FromBase64String(base64), ConversationLine.Json.HostAnswer);
            return answer is { Says: "" } ? answer with { Says = null } : answer;
        }
        catch (Exception e) when (e is FormatException or JsonException)
        {
            return null;
        }
    }

    private HostAnswer Record(HostStep step, int? exitCode, string noise, HostAnswer answer)
    {
        record?.Invoke(JsonSerializer.Serialize(new Exchange(step.Name, step.Arguments.ToDictionary(), exitCode, noise, answer), ConversationLine.Json.Exchange));
        return answer;
    }

    private static Process? Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
        {
            return null;
        }
    }

    // With its children: a script may be waiting for a program of its own.
    private static async Task End(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception or AggregateException)
        {
            // It had ended by itself.
        }

        await process.WaitForExitAsync(CancellationToken.None).WaitAsync(Drain).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private sealed class Said
    {
        private readonly Lock _lock = new();
        private readonly StringBuilder _noise = new();
        private string? _answer;
        private string? _lastLine;

        public string? Answer { get { lock (_lock) return _answer; } }

        public string? LastLine { get { lock (_lock) return _lastLine; } }

        public string Noise { get { lock (_lock) return _noise.ToString(); } }

        public async Task Read(StreamReader from, CancellationToken cancel)
        {
            var block = new char[4096];
            var line = new StringBuilder();
            while (await from.ReadAsync(block, cancel).ConfigureAwait(false) is var length and > 0)
            {
                for (var rest = block.AsMemory(0, length); ;)
                {
                    var end = rest.Span.IndexOf('\n');
                    var part = end < 0 ? rest : rest[..end];
                    line.Append(part.Span[..Math.Min(part.Length, LongestLine - line.Length)]);
                    if (end < 0) break;
                    Hear(line);
                    rest = rest[(end + 1)..];
                }
            }

            Hear(line);
        }

        private void Hear(StringBuilder heard)
        {
            var line = heard.ToString().TrimEnd('\r');
            heard.Clear();
            lock (_lock)
            {
                if (line.StartsWith(Mark, StringComparison.Ordinal)) _answer = line[Mark.Length..].Trim();
                else if (line.Trim() is { Length: > 0 } told)
                {
                    _lastLine = told.Length > MostTold ? told[..MostTold] + "…" : told;
                    if (_noise.Length < MostNoise) _noise.Append(line.AsSpan(0, Math.Min(line.Length, MostNoise - _noise.Length))).Append('\n');
                }
            }
        }
    }
}
