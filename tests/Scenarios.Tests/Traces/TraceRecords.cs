using System.Buffers.Binary;
using System.Text;

namespace Scenarios.Tests.Traces;

/// <summary>
/// An event trace log taken apart by its rules, each of which is held: what breaks one is told. Written from the facts of the format alone;
/// it shares nothing with what reads and writes such files in the product.
/// </summary>
internal sealed class TraceRecords
{
    private const int BufferHeader = 72;

    /// <summary>Of each event: header type, version, and the length of the payload; null: it has text, and the walk through it must end where the record does.</summary>
    private static readonly Dictionary<(int Group, int Type), (int Header, int Version, int? Payload)> Shapes = new()
    {
        [(0, 0)] = (2, 2, null), [(0, 5)] = (0, 2, 36), [(0, 32)] = (0x11, 2, 36), [(0, 8)] = (0x11, 2, 0),
        [(1, 34)] = (0x11, 2, 36), [(1, 35)] = (0x11, 2, 12), [(1, 37)] = (0x11, 2, 20), [(1, 52)] = (0x11, 2, 20), [(1, 53)] = (0x11, 2, 12),
        [(3, 1)] = (2, 4, null), [(3, 2)] = (2, 4, null), [(3, 3)] = (0x11, 4, null), [(3, 4)] = (0x11, 4, null), [(3, 39)] = (0x11, 5, null), [(3, 11)] = (2, 2, 4),
        [(3, 10)] = (2, 3, null), [(20, 2)] = (2, 3, null), [(20, 3)] = (0x11, 3, null), [(20, 4)] = (0x11, 3, null), [(20, 33)] = (0x11, 2, 8),
        [(5, 1)] = (2, 3, 74), [(5, 2)] = (2, 3, 74), [(5, 3)] = (2, 3, 74), [(5, 4)] = (2, 3, 74), [(5, 36)] = (0x11, 4, 24), [(5, 50)] = (0x11, 2, 8),
        [(24, 32)] = (0x11, 2, null),
    };

    private readonly byte[] _file;
    private readonly List<TraceBuffer> _buffers = [];
    private readonly List<LoggedEvent> _events = [];

    public TraceRecords(byte[] file)
    {
        _file = file;
        Buffers();
        foreach (var buffer in _buffers) Records(buffer);
        if (Broken.Count == 0) Header();
        Order();
    }

    /// <summary>The rules that are broken, and where.</summary>
    public List<string> Broken { get; } = [];

    /// <summary>In the order of their times; the header's buffer is not among them.</summary>
    public IReadOnlyList<LoggedEvent> Events => _events;

    public int Processors { get; private set; }

    public IReadOnlyList<TraceBuffer> AllBuffers => _buffers;

    private void Buffers()
    {
        var size = _file.Length < BufferHeader ? 0 : I32(0);
        if (!Rule(size > BufferHeader && _file.Length % size == 0, $"the file's {_file.Length} bytes are not buffers of {size}")) return;
        for (var at = 0; at < _file.Length; at += size)
        {
            var name = $"buffer {at / size}";
            Rule(I32(at) == size, $"{name}: its size is {I32(at)}, the first one's {size}");
            var saved = I32(at + 4);
            if (!Rule(saved >= BufferHeader && saved <= size && saved % 8 == 0, $"{name}: SavedOffset is 0x{saved:x}")) continue;
            Rule(I32(at + 8) == saved && I32(at + 0x30) == saved, $"{name}: CurrentOffset, Offset and SavedOffset differ");
            Rule(I32(at + 0xC) == 0 && I64(at + 0x20) == 0 && I32(at + 0x2C) == 3, $"{name}: reference count, clock type or state");
            Rule(U16(at + 0x2A) == U16(0x2A), $"{name}: logger {U16(at + 0x2A)}");
            var (first, last) = (at == 0, at == _file.Length - size);
            Rule(U16(at + 0x34) == (first || last ? 0x21 : 0x20), $"{name}: flags 0x{U16(at + 0x34):x}");
            Rule(U16(at + 0x36) == (first ? 4 : 0), $"{name}: type {U16(at + 0x36)}");
            Rule(_file.AsSpan(at + saved, size - saved).IndexOfAnyExcept((byte)0xFF) < 0, $"{name}: something is behind SavedOffset");
            _buffers.Add(new TraceBuffer(name, at, size, saved, I64(at + 0x10), I64(at + 0x18), U16(at + 0x28)));
        }
    }

    private void Records(TraceBuffer buffer)
    {
        var end = buffer.At + buffer.Saved;
        var at = buffer.At + BufferHeader;
        while (at < end)
        {
            var name = $"{buffer.Name}, record at 0x{at - buffer.At:x}";
            if (!Rule(end - at >= 16 && _file[at + 3] == 0xC0, $"{name}: no record")) return;
            var header = _file[at + 2];
            var full = header == 0x14;
            var least = header switch { 2 => 32, 0x11 => 16, 0x14 => 48, _ => 0 };
            if (!Rule(least > 0, $"{name}: header type 0x{header:x}")) return;
            var size = full ? U16(at) : U16(at + 4);
            if (!Rule(size >= least && at + Padded(size) <= end, $"{name}: size {size}")) return;
            Rule(_file.AsSpan(at + size, Padded(size) - size).IndexOfAnyExcept((byte)0) < 0, $"{name}: the padding is not zero");
            var (group, type) = full ? (-1, _file[at + 4]) : (_file[at + 7], _file[at + 6]);
            var version = full ? U16(at + 6) : U16(at);
            var system = header != 0x11;
            var found = new LoggedEvent(name, buffer, at, group, type, version, I64(at + (system ? 16 : 8)), system ? I32(at + 8) : -1, system ? I32(at + 12) : -1, _file.AsMemory(at + least, size - least));
            buffer.Events.Add(found);
            Shape(found, header);
            at += Padded(size);
        }
    }

    private void Shape(LoggedEvent e, int header)
    {
        if (e.Group < 0)
        {
            if (new Guid(_file.AsSpan(e.At + 0x18, 16)) == new Guid("5f1a7c0e-6d0b-4f0e-9a53-0d1c2b7e8f46"))
            {
                // Base and number, then so many offsets with a text each.
                var ends = 12;
                for (var i = 0; i < e.U32(8) && ends < e.Payload.Length; i++)
                {
                    for (ends += 4; ends < e.Payload.Length && e.Payload.Span[ends] != 0; ends++) Rule(e.Payload.Span[ends] is > 0x20 and < 0x7F, $"{e.Name}: a name with strange characters");
                    ends++;
                }

                Rule(e.Type == 1 && e.Version == 1 && ends == e.Payload.Length, $"{e.Name}: names of {e.Payload.Length} bytes that end at {ends}");
                return;
            }

            Rule(new Guid(_file.AsSpan(e.At + 0x18, 16)) == new Guid("b3e675d7-2554-4f18-830b-2762732560de") && e.Type == 36 && e.Version == 2, $"{e.Name}: an event of another class");
            Rule(Walk(e, 0x20, "a"), $"{e.Name}: it does not end with its text");
            return;
        }
        if (!Rule(Shapes.TryGetValue((e.Group, e.Type), out var shape), $"{e.Name}: event {e.Group}/{e.Type}")) return;
        Rule(shape.Header == 0 || header == shape.Header, $"{e.Name}: event {e.Group}/{e.Type} with header type 0x{header:x}");
        Rule(e.Version == shape.Version, $"{e.Name}: event {e.Group}/{e.Type} of version {e.Version}");
        var whole = (e.Group, e.Type) switch
        {
            (0, 0) => Walk(e, 0x118, "uu"),
            // A SID follows where its first 32 bits are not zero.
            (3, 39) => e.U32(36) == 0 && Walk(e, 40, "auuu8"),
            (3, not (10 or 11)) => e.U32(36) == 0 && Walk(e, 40, "auuu"),
            (3, 10) or (20, not 33) => Walk(e, 56, "u"),
            (24, 32) => e.Payload.Length > 16 && e.Payload.Length % 8 == 0,
            _ => e.Payload.Length == shape.Payload,
        };
        Rule(whole, $"{e.Name}: event {e.Group}/{e.Type} with a payload of {e.Payload.Length} bytes");
    }

    /// <summary>The payload is a fixed part, texts (a: ANSI, u: UTF-16), fixed parts, and nothing more.</summary>
    private static bool Walk(LoggedEvent e, int at, string parts)
    {
        foreach (var part in parts)
        {
            if (part == '8')
            {
                at += 8;
                continue;
            }
            var width = part == 'u' ? 2 : 1;
            bool zero;
            do
            {
                if (at + width > e.Payload.Length) return false;
                zero = (width == 2 ? U16(e.Payload.Span, at) : e.U8(at)) == 0;
                at += width;
            }
            while (!zero);
        }
        return at == e.Payload.Length;
    }

    private void Header()
    {
        var records = _buffers[0].Events;
        if (!Rule(records.Count == 2 && records[0] is { Group: 0, Type: 0 } && records[1] is { Group: 0, Type: 5 }, "the first buffer is not that of the header")) return;
        var header = records[0];
        Rule(header.U32(0) == _buffers[0].Size, "the header's buffer size");
        Rule(header.U32(4) == 0x0501000A && header.U32(8) == 19041, "the header's versions");
        Processors = (int)header.U32(0xC);
        Rule(header.U32(0x24) == _buffers.Count, $"BuffersWritten is {header.U32(0x24)}, there are {_buffers.Count}");
        Rule(header.U32(0x2C) == 8 && header.U32(0x30) == 0 && header.U32(0x114) == 0, "pointer size, events or buffers lost");
        Rule(header.U32(0x20) == 0x02000001 && header.U32(0x110) == 1, "log file mode or clock");
        Rule(header.U64(0x100) == 1_000_000_000 && header.U64(0xF8) <= header.U64(0x108) && header.U64(0x108) <= header.U64(0x10), "its times");
        var began = header.Time;
        Rule(_buffers.Skip(1).All(buffer => buffer.Events.All(e => e.Time >= began)), "an event is earlier than the header");
        // In 100 ns units; what happens in one of them is told apart.
        var length = _buffers.Max(buffer => buffer.Flushed) - began;
        Rule(length / 100 - (long)(header.U64(0x10) - header.U64(0x108)) is >= -1 and < 10_000, "the session's end is not when its last buffer was flushed");
    }

    private void Order()
    {
        if (Broken.Count > 0) return;
        var data = _buffers.Skip(1).ToList();
        Rule(_buffers[0].Sequence == 0, "the header's buffer has a sequence number");
        Rule(data.Select(buffer => buffer.Sequence).Order().SequenceEqual(Enumerable.Range(1, data.Count).Select(n => (long)n)), "sequence numbers are missing, or given twice");
        Rule(data.Zip(data.Skip(1)).All(pair => pair.First.Flushed <= pair.Second.Flushed), "buffers are not in the order in which they were flushed");
        Rule(data.All(buffer => buffer.Events.Count > 0), "a buffer is empty");
        foreach (var of in data.GroupBy(buffer => buffer.Processor))
        {
            Rule(of.Key < Processors, $"processor {of.Key} of {Processors}");
            Rule(of.SelectMany(buffer => buffer.Events).Select(e => e.Time).Pairs().All(pair => pair.First <= pair.Second), $"processor {of.Key}: time goes back");
            foreach (var (one, next) in of.Pairs())
            {
                Rule(one.Sequence < next.Sequence, $"{next.Name}: it comes before another of processor {of.Key}");
                Rule(one.Saved + next.Events[0].Length > one.Size, $"{one.Name}: it was flushed before it was full");
                Rule(one.Flushed >= one.Events[^1].Time && one.Flushed <= next.Events[0].Time, $"{one.Name}: flushed at another time");
            }
            Rule(of.Last().Flushed >= of.Last().Events[^1].Time, $"{of.Last().Name}: flushed before its last event");
        }
        _events.AddRange(data.SelectMany(buffer => buffer.Events).OrderBy(e => e.Time));
        foreach (var (one, next) in _events.Pairs())
            Rule(one.Time < next.Time || one.Group < 0 && next.Group is 3 or 20, $"{next.Name}: at the time of another event");
    }

    private bool Rule(bool holds, string otherwise)
    {
        if (!holds) Broken.Add(otherwise);
        return holds;
    }

    private static int Padded(int size) => (size + 7) & ~7;

    private int I32(int at) => BinaryPrimitives.ReadInt32LittleEndian(_file.AsSpan(at));

    private long I64(int at) => BinaryPrimitives.ReadInt64LittleEndian(_file.AsSpan(at));

    private ushort U16(int at) => U16(_file, at);

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);
}

/// <summary>A buffer of the file.</summary>
internal sealed record TraceBuffer(string Name, int At, int Size, int Saved, long Flushed, long Sequence, int Processor)
{
    public List<LoggedEvent> Events { get; } = [];
}

/// <summary>A record.</summary>
/// <param name="Name">Where it is.</param>
/// <param name="Buffer">Whose buffer.</param>
/// <param name="At">In the file.</param>
/// <param name="Group">-1: it has a class's GUID instead.</param>
/// <param name="Type">The event's type, its opcode.</param>
/// <param name="Version">The payload's.</param>
/// <param name="Time">On the session's clock.</param>
/// <param name="Thread">-1: the header has none.</param>
/// <param name="Process">-1: the header has none.</param>
/// <param name="Payload">What follows the header.</param>
internal sealed record LoggedEvent(string Name, TraceBuffer Buffer, int At, int Group, int Type, int Version, long Time, int Thread, int Process, ReadOnlyMemory<byte> Payload)
{
    public int Processor => Buffer.Processor;

    public (int Group, int Type) Kind => (Group, Type);

    /// <summary>In the buffer, padded.</summary>
    public int Length => (Payload.Length + (Group < 0 ? 48 : Thread < 0 ? 16 : 32) + 7) & ~7;

    public uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(Payload.Span[at..]);

    public ulong U64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(Payload.Span[at..]);

    public byte U8(int at) => Payload.Span[at];

    public Guid Guid(int at) => new(Payload.Span.Slice(at, 16));

    public string Ansi(int at) => Encoding.Latin1.GetString(Payload.Span[at..][..Payload.Span[at..].IndexOf((byte)0)]);

    public string Unicode(int at) => Encoding.Unicode.GetString(Payload.Span[at..]).Split('\0')[0];
}

internal static class Sequences
{
    public static IEnumerable<(T First, T Second)> Pairs<T>(this IEnumerable<T> items)
    {
        using var item = items.GetEnumerator();
        if (!item.MoveNext()) yield break;
        for (var before = item.Current; item.MoveNext(); before = item.Current) yield return (before, item.Current);
    }
}
