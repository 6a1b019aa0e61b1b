namespace Harness.Cli;

/// <summary>What the user may have meant.</summary>
internal static class NearMiss
{
    /// <summary>"; did you mean 'hang-irp'?", or nothing when no known word is near.</summary>
    public static string Hint(string word, IEnumerable<string> known)
    {
        var nearest = known.Select(candidate => (Word: candidate, Distance: Distance(Plain(word), Plain(candidate)))).Where(near => near.Distance <= Math.Max(2, near.Word.Length / 3))
            .OrderBy(near => near.Distance).Select(near => near.Word).FirstOrDefault();
        return nearest is null ? "" : $"; did you mean '{nearest}'?";
    }

    private static string Plain(string word) => word.ToLowerInvariant().Replace('_', '-').TrimStart('-');

    // Levenshtein's: the fewest letters to insert, drop or replace.
    private static int Distance(string from, string to)
    {
        var row = Enumerable.Range(0, to.Length + 1).ToArray();
        for (var i = 1; i <= from.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= to.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (from[i - 1] == to[j - 1] ? 0 : 1)));
        }

        return row[^1];
    }
}
