using System.Buffers.Binary;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Microsoft.Diagnostics.Tracing;

namespace Harness.Tracing;

/// <summary>
/// Gives the events of an event trace log to TraceEvent where Windows is not there to read it: as those of a BTL file, which TraceEvent reads
/// on every system. The file holds nothing but the lengths of its blocks, some kilobytes; the "decompression" of a block takes the next events
/// from the trace.
/// </summary>
internal sealed class EventRecordSource : IDisposable
{
    /// <summary>Bytes of a block's events; TraceEvent takes up to 2 MiB.</summary>
    private const int BlockSize = 512 << 10;

    /// <summary>TraceEvent's parsers may read beyond an event that is cut short, and then they find zeros.</summary>
    private const int Slack = 512 << 10;

    /// <summary>TraceEvent's own, of which it reads its file.</summary>
    private const int CompressedSize = 2 << 20;

    /// <summary>An image's length is at most this many times its record's: a message may have 8 bytes, and an image has 128.</summary>
    private const int MostGrowth = 16;

    /// <summary>BPerf's own event that names another file to read. A trace of ETW has no business with it.</summary>
    private const ushort BPerfSymbolFile = 65533;

    private static readonly Guid BPerf = new("79430003-51bf-5f05-ed34-99cf32652c26");

    private readonly TraceFile _trace;
    private readonly TraceReader _reader;
    private readonly DirectoryInfo _folder;
    private readonly byte[] _header;

    /// <summary>How often the block with the header was asked for: by the constructor, which wants to know the clock, and by Process.</summary>
    private int _headers;

    /// <summary>Whether the reader is at an event that found no room in the last block.</summary>
    private bool _pending;
    private int _leftOut, _early;

    public EventRecordSource(TraceFile trace)
    {
        _trace = trace;
        _reader = trace.Events();
        _header = HeaderImage();
        _folder = Directory.CreateTempSubdirectory("driverfault-");
        try
        {
            var file = Path.Combine(_folder.FullName, "events.btl");
            // One more than the events take, in which the end is told.
            WriteLengths(file, 2 + (trace.RecordBytes * MostGrowth / (BlockSize - (3 * ushort.MaxValue) - 1024)));
            Source = new BPerfEventSource(file, new TraceEventDispatcherOptions(), new byte[BlockSize + Slack], new byte[CompressedSize], decompressDelegate: Fill);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public TraceEventDispatcher Source { get; }

    /// <summary>Whether all events were given.</summary>
    public bool IsOver { get; private set; }

    /// <summary>What could not be read so far.</summary>
    public IReadOnlyList<string> Notes =>
    [
        .. _reader.Notes,
        .. _leftOut == 0 ? (string[])[] : [$"{_leftOut} × events that TraceEvent would stumble over, and is not given"],
        .. _early == 0 ? (string[])[] : [$"{_early} × events of the kernel a second or more before the trace's beginning, at which TraceEvent takes them to be"],
    ];

    /// <summary>Where the file is, until this is disposed of.</summary>
    public string Folder => _folder.FullName;

    public void Dispose()
    {
        Source?.Dispose();
        try
        {
            _folder.Delete(recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Somebody has tidied up.
        }
    }

    /// <summary>The file: for each block i32 compressed length, which is 0, and i32 length. The first block has the header's event.</summary>
    private void WriteLengths(string file, long blocks)
    {
        using var stream = new FileStream(file, FileMode.CreateNew, FileAccess.Write);
        Span<byte> block = stackalloc byte[8];
        block.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(block[4..], _header.Length);
        stream.Write(block);
        BinaryPrimitives.WriteInt32LittleEndian(block[4..], BlockSize);
        for (; blocks > 0; blocks--) stream.Write(block);
        // TraceEvent doesn't take a block that ends where the file does.
        stream.Write(block);
    }

    /// <summary>BPerfEventSourceDecompress: fills a block, whose length is what the file says.</summary>
    private int Fill(byte[] input, int inputOffset, int inputLength, byte[] output, int outputLength)
    {
        if (_headers < 2)
        {
            _header.CopyTo(output, 0);
            if (_headers++ == 0) WriteClock(output);
            return _header.Length;
        }

        var (at, last) = (0, 0);
        var block = output.AsSpan(0, BlockSize);
        while (_pending || _reader.Next())
        {
            var record = _reader.Record;
            if (!IsSound(record))
            {
                _leftOut++;
                _pending = false;
                continue;
            }

            _pending = EventRecordImage.Most(record) > BlockSize - at;
            if (_pending) break;
            if (record.IsKernel && _trace.Header.IsThere && (Int128)record.Time <= (Int128)_trace.Header.Start - _trace.Header.Frequency) _early++;
            last = at;
            at += EventRecordImage.Write(record, block[at..]);
        }

        if (at > 0) EventRecordImage.Stretch(block[last..], at - last);
        else
        {
            // No event is left, so this block counts for nothing, nor do those after it.
            IsOver = true;
            Source.StopProcessing();
        }

        return BlockSize;
    }

    /// <summary>False for what TraceEvent would drop without a word, or end with an exception for.</summary>
    private static bool IsSound(TraceRecord record)
    {
        // Before the clock began.
        if (record.Time < 0) return false;
        // BPerf's event that names another file to read.
        if (record.Id == BPerfSymbolFile && record.Provider == BPerf) return false;
        if (record.Family is RecordFamily.Event or RecordFamily.Message) return true;
        // A header too short for the time zone that is written into it.
        if (record.Opcode == 0 && record.Provider == KernelTraceGroups.EventTrace) return record.Payload.Length >= TraceLogfileHeaderLayout.SizeInBytes - TraceLogfileHeaderLayout.Shift32;
        // A thread's start or end, which must have its stacks from version 2 on.
        if (record.Opcode is >= 1 and <= 4 && record.Provider == KernelTraceGroups.Thread) return record.Payload.Length >= (record.Version < 2 ? 8 : record.Is32Bit ? 40 : 68);
        return true;
    }

    /// <summary>The image of the header's event, which is the first; made up where the trace has none.</summary>
    private byte[] HeaderImage()
    {
        _pending = _reader.Next();
        if (_pending && _trace.Header.IsThere && _reader.Record is { IsKernel: true, HookId: KernelTraceEvents.Header } record && IsSound(record))
        {
            _pending = false;
            var image = new byte[EventRecordImage.Most(record)];
            return image[..EventRecordImage.Write(record, image)];
        }

        return EventRecordImage.OfHeader(_trace.Header);
    }

    /// <summary>TraceEvent reads the clock where a header with pointers of 32 bits has it, and takes a start of 0 for none.</summary>
    private void WriteClock(byte[] image)
    {
        var start = Math.Max(_trace.Header.Start, 1);
        EventRecordImage.WriteClock(image, start, Math.Clamp(_trace.Header.FileTime(start), 0, DateTime.MaxValue.ToFileTimeUtc()), _trace.Header);
    }
}
