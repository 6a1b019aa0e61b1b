namespace Harness.Core.Traces;

/// <summary>
/// One pass over a trace's events, in the order of their times. Each processor's are in the order it wrote them; of equal times the lower
/// processor's come first.
/// </summary>
public sealed class TraceReader
{
    // A heap: the processor whose record comes next is the first.
    private readonly ProcessorRecords[] _processors;
    private readonly TraceNotes _notes = new();
    private int _count;
    private bool _begun;

    internal TraceReader(Stream file, BufferIndex index)
    {
        var loader = new BufferLoader(file, _notes);
        _processors = [.. index.Processors.Select(places => new ProcessorRecords(places, loader))];
    }

    /// <summary>The event that <see cref="Next"/> found.</summary>
    public TraceRecord Record => _processors[0].Record;

    /// <summary>What could not be read on the way here.</summary>
    public IReadOnlyList<string> Notes => _notes.Lines;

    /// <summary>Goes to the next event; false at the end.</summary>
    /// <exception cref="IOException">The file could not be read.</exception>
    public bool Next()
    {
        if (!_begun) return Begin();
        if (_count == 0) return false;
        if (!_processors[0].MoveNext()) _processors[0] = _processors[--_count];
        Sink(0);
        return _count > 0;
    }

    private bool Begin()
    {
        _begun = true;
        foreach (var processor in _processors)
            if (processor.MoveNext()) _processors[_count++] = processor;
        for (var i = (_count / 2) - 1; i >= 0; i--) Sink(i);
        return _count > 0;
    }

    private void Sink(int at)
    {
        var sinking = _processors[at];
        while (true)
        {
            var child = (2 * at) + 1;
            if (child >= _count) break;
            if (child + 1 < _count && IsBefore(_processors[child + 1], _processors[child])) child++;
            if (!IsBefore(_processors[child], sinking)) break;
            _processors[at] = _processors[child];
            at = child;
        }

        _processors[at] = sinking;
    }

    private static bool IsBefore(ProcessorRecords a, ProcessorRecords b) => a.Key < b.Key || (a.Key == b.Key && a.Processor < b.Processor);
}
