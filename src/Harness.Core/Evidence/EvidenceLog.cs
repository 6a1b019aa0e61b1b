namespace Harness.Core.Evidence;

/// <summary>The timeline of one run, growing in order. A target that goes back to a saved state also cuts the log back to its length then.</summary>
public sealed class EvidenceLog
{
    private readonly List<Observation> _observations = [];

    /// <summary>All observations so far, numbered from 1 without gaps.</summary>
    public IReadOnlyList<Observation> Observations => _observations;

    /// <summary>Appends an observation made at this time of the run's clock.</summary>
    public void Add(TimeSpan at, string source, Observation observation) =>
        _observations.Add(observation with { N = _observations.Count + 1, At = at, Source = source });

    /// <summary>Forgets everything after the first <paramref name="length"/> observations.</summary>
    public void CutBackTo(int length) => _observations.RemoveRange(length, _observations.Count - length);
}
