namespace Harness.Core.Traces;

/// <summary>What is wrong with a trace, by kind: a damaged file has the same trouble a thousand times.</summary>
internal sealed class TraceNotes
{
    private readonly Dictionary<string, (int Count, long First)> _kinds = [];
    private readonly List<string> _order = [];

    /// <param name="what">A clause that begins with a plural, of a closed set.</param>
    /// <param name="offset">In the file.</param>
    public void Add(string what, long offset)
    {
        if (_kinds.TryGetValue(what, out var seen))
        {
            _kinds[what] = (seen.Count + 1, seen.First);
            return;
        }

        _kinds[what] = (1, offset);
        _order.Add(what);
    }

    /// <summary>"3 × records of an unknown kind; the first at 0x1c48".</summary>
    public IReadOnlyList<string> Lines => [.. _order.Select(what => $"{_kinds[what].Count} × {what}; the first at 0x{_kinds[what].First:x}")];
}
