using System.Threading;
using Harness.Core.Evidence;

namespace Harness.Windows;

/// <summary>What is seen on several threads and told by several processes, each with its moment; in the end it is evidence in the order in which it happened.</summary>
/// <param name="waits">Where the moments come from.</param>
internal sealed class Timeline(Waits waits)
{
    private readonly long _began = waits.Now;
    private readonly Lock _adding = new();
    private readonly List<(long At, string Source, Observation Seen)> _seen = [];

    /// <summary>Something that is seen now.</summary>
    public void Add(string source, Observation seen) => Add(waits.Now, source, seen);

    /// <summary>Something that was seen at this moment.</summary>
    public void Add(long at, string source, Observation seen)
    {
        lock (_adding) _seen.Add((at, source, seen));
    }

    /// <summary>Everything so far, in the order of its moments, and of its coming where they are the same.</summary>
    public void CopyTo(EvidenceLog evidence)
    {
        lock (_adding)
            foreach (var (at, source, seen) in _seen.OrderBy(line => line.At))
                evidence.Add(at < _began ? TimeSpan.Zero : waits.Elapsed(_began, at), source, seen);
    }
}
