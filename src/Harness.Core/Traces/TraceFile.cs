using System.Buffers.Binary;
using Harness.Core.Files;
using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>
/// An event trace log (.etl): what ETW sessions write. The file may be damaged or hostile: what can be read is, notes tell the rest, and nothing
/// in it makes that endless or takes memory without bound. What is in memory at a time is one buffer for each processor, and the places of all.
/// </summary>
public sealed class TraceFile : IDisposable
{
    private readonly Stream _file;
    private readonly BufferIndex _index;
    private readonly TraceNotes _notes = new();

    private TraceFile(Stream file)
    {
        _file = file;
        Recognize();
        _index = new BufferIndex(file, _notes);
        Header = ReadHeader();
        RefuseCompression();
        if (!Header.IsThere) _notes.Add("headers that are missing: the clock is not known, and times are taken for units of 100 ns", 0);
        else if (!Header.IsTimed) _notes.Add($"headers that tell of no clock there is (of kind {(uint)Header.Clock}, {Header.Frequency} ticks a second taken)", 0);
        if (Header.IsThere && (Header.Mode & LogFileModes.Circular) == 0 && Header.BuffersWritten > _index.Count) _notes.Add($"headers that tell of {Header.BuffersWritten} buffers, of which {_index.Count} are there", 0);
    }

    /// <summary>Opens a file and reads the headers of its buffers.</summary>
    /// <exception cref="UnusableTraceException">It is no event trace log, or one of a kind that is not read; one line says which.</exception>
    /// <exception cref="IOException">It cannot be opened; also <see cref="UnauthorizedAccessException"/>.</exception>
    public static TraceFile Open(string path) =>
        // Reads are of whole buffers already.
        Read(RegularFile.Length(path) == 0 ? throw new UnusableTraceException("is empty, or a pipe or a device") : RegularFile.Open(path));

    /// <summary>The same from a stream that can seek; the trace owns it from then on.</summary>
    /// <exception cref="UnusableTraceException">It is no event trace log, or one of a kind that is not read.</exception>
    public static TraceFile Read(Stream file)
    {
        try
        {
            return new TraceFile(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public TraceHeader Header { get; }

    /// <summary>Buffers of the file.</summary>
    public int Buffers => _index.Count;

    /// <summary>The inflated records of all buffers, in bytes.</summary>
    public long RecordBytes => _index.Processors.Sum(places => places.Sum(place => (long)place.Saved - TraceBufferLayout.SizeInBytes));

    /// <summary>Buffers that are marked: before them events or buffers were lost.</summary>
    public int BuffersAfterLoss => _index.AfterLoss;

    /// <summary>Whether the session tells that something is missing: nothing that is not in this trace is known not to have happened.</summary>
    public bool IsIncomplete => Header.EventsLost > 0 || Header.BuffersLost > 0 || BuffersAfterLoss > 0;

    /// <summary>What is wrong with the file as a whole; a <see cref="TraceReader"/> has notes of its own.</summary>
    public IReadOnlyList<string> Notes => _notes.Lines;

    /// <summary>A pass over all events. Several may be under way, on one thread.</summary>
    public TraceReader Events() => new(_file, _index);

    public void Dispose() => _file.Dispose();

    private void Recognize()
    {
        Span<byte> start = stackalloc byte[24];
        _file.Position = 0;
        var length = _file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        if (start.IndexOf("!FastSerialization"u8) >= 0) throw new UnusableTraceException("is a trace that TraceEvent has converted (.etlx); the .etl it was made of is read", isTrace: true);
        if (start.StartsWith("Nettrace"u8)) throw new UnusableTraceException("is a .nettrace file of the .NET runtime, and has no events of the kernel", isTrace: true);
        var foreign = start switch
        {
            _ when start.StartsWith("PK\x3\x4"u8) => "is a zip archive: unpack the trace in it first",
            [0x1F, 0x8B, ..] => "is a gzip archive: unpack the trace in it first",
            _ when length < start.Length => "is too short for an event trace log",
            _ => null,
        };
        if (foreign is not null) throw new UnusableTraceException(foreign);
    }

    private TraceHeader ReadHeader()
    {
        if (_index.Count == 0) throw new UnusableTraceException("is too short for an event trace log");
        // The notes are those of a pass over the events.
        var records = new ProcessorRecords(new([_index.First]), new BufferLoader(_file, new()));
        return records.MoveNext() && TraceHeader.Read(records.Record) is { } header ? header : TraceHeader.None;
    }

    private void RefuseCompression()
    {
        if (!_index.Processors.Any(places => places.Any(place => place.IsCompressed))) return;
        Span<byte> state = stackalloc byte[2];
        _file.Position = TraceBufferLayout.State;
        _file.ReadExactly(state);
        var refused = (TraceCompression)BinaryPrimitives.ReadUInt16LittleEndian(state) switch
        {
            TraceCompression.Lznt1 => "LZNT1",
            TraceCompression.XpressHuffman => "XPRESS with Huffman codes",
            _ => null,
        };
        if (refused is not null) throw new UnusableTraceException($"is compressed with {refused}, which is not read; only plain XPRESS is, as Windows writes it", isTrace: true);
    }
}
