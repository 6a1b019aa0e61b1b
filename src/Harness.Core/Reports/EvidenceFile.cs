using System.Collections;
using System.Text;
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
    /// Reads a timeline back: every observation, from number 1 on without a gap. A timeline that somebody took a line out of would be another story.
    /// </summary>
    /// <exception cref="UnusableRunFolderException">A line is not an observation this version knows, is out of order, or one before it is missing.</exception>
    public static IReadOnlyList<Observation> Read(Stream stream)
    {
        var observations = new List<Observation>();
        using var reader = new StreamReader(stream, leaveOpen: true);
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length == 0) continue;
            var observation = ReadLine(line, number);
            var expected = observations.Count + 1;
            if (observation.N < expected) throw new UnusableRunFolderException($"evidence.jsonl, line {number}: observation {observation.N} is out of order, {expected} was expected");
            if (observation.N > expected) throw new UnusableRunFolderException($"evidence.jsonl, line {number}: {Missing(expected, observation.N - 1)} before it");
            observations.Add(observation);
        }

        return observations;
    }

    private static string Missing(int first, int last) => first == last ? $"observation {first} is missing" : $"observations {first} to {last} are missing";

    // The contracts of System.Text.Json refuse null for a field, but not for an element of a list.
    private static bool ListsNull(string line)
    {
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(line));
        // By depth, of which the reader takes 64.
        var lists = new BitArray(65);
        while (reader.Read())
        {
            if (reader.TokenType is JsonTokenType.StartArray or JsonTokenType.StartObject) lists[reader.CurrentDepth] = reader.TokenType == JsonTokenType.StartArray;
            else if (reader.TokenType == JsonTokenType.Null && reader.CurrentDepth > 0 && lists[reader.CurrentDepth - 1]) return true;
        }

        return false;
    }

    private static Observation ReadLine(string line, int number)
    {
        try
        {
            var observation = JsonSerializer.Deserialize(line, JsonLayout.OneLine.Observation);
            if (observation is null || observation.N < 1 || string.IsNullOrEmpty(observation.Source))
                throw new UnusableRunFolderException($"evidence.jsonl, line {number}: an observation needs kind, n, at and source");
            if (ListsNull(line)) throw new JsonException();
            return observation;
        }
        // NotSupportedException: an abstract Observation, because "kind" is missing. FormatException, OverflowException: a bad hexadecimal number.
        catch (Exception e) when (e is JsonException or NotSupportedException or FormatException or OverflowException)
        {
            throw new UnusableRunFolderException($"evidence.jsonl, line {number}: {Fault.Of(e, "an observation that this version knows")}", e);
        }
    }
}

/// <summary>A run folder that cannot be read or judged. The message is one line and names the file and, for evidence, the line.</summary>
public sealed class UnusableRunFolderException(string message, Exception? inner = null) : Exception(message, inner);
