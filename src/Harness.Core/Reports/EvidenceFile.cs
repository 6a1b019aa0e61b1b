using System.Text.Json;
using Harness.Core.Evidence;

namespace Harness.Core.Reports;

/// <summary>evidence.jsonl: one observation a line, UTF-8, "\n". The same observations are the same bytes, on every system.</summary>
public static class EvidenceFile
{
    private static readonly byte[] NewLine = [(byte)'\n'];

    /// <summary>Writes all observations in order. The stream stays open.</summary>
    public static void Write(Stream stream, IReadOnlyList<Observation> observations)
    {
        foreach (var observation in observations)
        {
            stream.Write(JsonSerializer.SerializeToUtf8Bytes(observation, JsonLayout.OneLine.Observation));
            stream.Write(NewLine);
        }
    }

    /// <summary>
    /// Reads a timeline back. Lines may be missing (a rule that needs one says so), but what is there must be whole and in order.
    /// </summary>
    /// <exception cref="UnusableRunFolderException">A line is not an observation this version knows, or is out of order.</exception>
    public static IReadOnlyList<Observation> Read(Stream stream)
    {
        var observations = new List<Observation>();
        using var reader = new StreamReader(stream, leaveOpen: true);
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length == 0) continue;
            var observation = ReadLine(line, number);
            if (observations.Count > 0 && observation.N <= observations[^1].N)
                throw new UnusableRunFolderException($"evidence.jsonl, line {number}: observation {observation.N} after {observations[^1].N} is out of order");
            observations.Add(observation);
        }

        return observations;
    }

    private static Observation ReadLine(string line, int number)
    {
        try
        {
            var observation = JsonSerializer.Deserialize(line, JsonLayout.OneLine.Observation);
            if (observation is null || observation.N < 1 || string.IsNullOrEmpty(observation.Source))
                throw new UnusableRunFolderException($"evidence.jsonl, line {number}: an observation needs kind, n, at and source");
            return observation;
        }
        // NotSupportedException: an abstract Observation, because "kind" is missing. FormatException, OverflowException: a bad hexadecimal number.
        catch (Exception e) when (e is JsonException or NotSupportedException or FormatException or OverflowException)
        {
            throw new UnusableRunFolderException($"evidence.jsonl, line {number}: {FirstSentence(e.Message)}", e);
        }
    }

    internal static string FirstSentence(string message)
    {
        var line = message.AsSpan().IndexOfAny('\r', '\n') is var cut and >= 0 ? message[..cut] : message;
        var path = line.IndexOf(" Path: ", StringComparison.Ordinal);
        return (path > 0 ? line[..path] : line).TrimEnd('.', ' ');
    }
}

/// <summary>A run folder that cannot be read or judged. The message is one line and names the file and, for evidence, the line.</summary>
public sealed class UnusableRunFolderException(string message, Exception? inner = null) : Exception(message, inner);
