using System.Text.RegularExpressions;

namespace Scenarios.Tests.Architecture;

/// <summary>The table "What may use what" of docs/architecture.md.</summary>
internal sealed partial class UsesTable
{
    private const string Heading = "## What may use what";

    /// <summary>In the document's order.</summary>
    public required IReadOnlyList<Part> Parts { get; init; }

    /// <summary>Reads the table under its heading.</summary>
    public static UsesTable Read(string document)
    {
        var lines = File.ReadAllLines(document);
        var rows = lines.SkipWhile(line => line != Heading).Skip(1).TakeWhile(line => !line.StartsWith("## ", StringComparison.Ordinal))
            .Where(line => line.StartsWith("| `", StringComparison.Ordinal))
            .Select(line => line.Trim('|').Split('|'))
            .Select(cells => new Part(Names(cells[0]).Single(), Names(cells[1]), Names(cells[2])))
            .ToList();
        return rows.Count > 0 ? new UsesTable { Parts = rows } : throw new FormatException($"{document} has no rows under '{Heading}'");
    }

    /// <summary>The part a namespace belongs to: the longest that begins it. Null when it belongs to none.</summary>
    public Part? PartOf(string space) => Parts.Where(part => part.Has(space)).MaxBy(part => part.Name.Length);

    private static string[] Names(string cell) => [.. Quoted().Matches(cell).Select(match => match.Groups[1].Value)];

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Quoted();
}

/// <summary>One row: a namespace with those below it that have no row of their own.</summary>
/// <param name="Name">"Harness.Core.Nt".</param>
/// <param name="MayUse">Names of parts of ours; one stands for all below it.</param>
/// <param name="Packages">Assemblies that neither are ours nor come with .NET.</param>
internal sealed record Part(string Name, IReadOnlyList<string> MayUse, IReadOnlyList<string> Packages)
{
    /// <summary>The namespace is this part's, if no longer row claims it.</summary>
    public bool Has(string space) => Covers(Name, space);

    /// <summary>Types of that namespace may be used.</summary>
    public bool Allows(string space) => MayUse.Any(allowed => Covers(allowed, space));

    private static bool Covers(string name, string space) => space == name || space.StartsWith(name + ".", StringComparison.Ordinal);
}
