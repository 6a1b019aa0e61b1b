using System.Buffers.Binary;
using System.Text;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// Reads numbers, strings and lists out of kernel memory that may be torn, absent or hostile: null where nothing can be read, a note
/// where something is wrong, and never more than so many reads, so no chain of pointers can keep a diagnosis busy for ever.
/// </summary>
public sealed class KernelMemoryReader
{
    /// <summary>No string NT keeps in the structures read here is longer; in characters.</summary>
    public const int LongestString = 1024;

    /// <summary>Some hundred times what a large machine needs for one process.</summary>
    public const long DefaultReadLimit = 50_000_000;

    private const uint PageSize = 0x1000;
    private const int MostNotes = 200;

    private readonly IKernelMemory _memory;
    private readonly List<string> _notes = [];
    private List<string>? _collected;
    private long _readsLeft;

    /// <param name="memory">The memory.</param>
    /// <param name="readLimit">After so many reads every further one fails.</param>
    public KernelMemoryReader(IKernelMemory memory, long readLimit = DefaultReadLimit)
    {
        _memory = memory;
        _readsLeft = readLimit;
    }

    /// <summary>What could not be read or contradicts itself, in the order it was met, each sentence once.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>Adds a note; past a bound they are dropped, and the last one says so.</summary>
    public void Note(string note)
    {
        Add(_notes, note);
        if (_collected is not null) Add(_collected, note);
    }

    /// <summary>From here to the next call the notes are collected once more, whether they were made before or not; gives those since the last call.</summary>
    internal IReadOnlyList<string> CollectNotes()
    {
        var collected = _collected ?? [];
        _collected = [];
        return collected;
    }

    private static void Add(List<string> notes, string note)
    {
        if (notes.Count > MostNotes || notes.Contains(note)) return;
        notes.Add(notes.Count == MostNotes ? "more notes were dropped: this memory is badly damaged" : note);
    }

    /// <summary>Reads kernel memory; false when a byte of it is absent or not a kernel address.</summary>
    public bool TryRead(KernelAddress address, Span<byte> destination)
    {
        // Everything a kernel debugger follows lies in the upper half; a pointer below it is a user's, or a lie.
        if (!address.IsKernel || ulong.MaxValue - address.Value < (ulong)destination.Length) return false;
        if (_readsLeft <= 0)
        {
            Note("the limit of reads was reached: the rest of the memory was not looked at");
            return false;
        }

        _readsLeft--;
        return _memory.TryRead(address, destination);
    }

    public byte? Byte(KernelAddress address)
    {
        Span<byte> bytes = stackalloc byte[1];
        return TryRead(address, bytes) ? bytes[0] : null;
    }

    public ushort? UInt16(KernelAddress address)
    {
        Span<byte> bytes = stackalloc byte[2];
        return TryRead(address, bytes) ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : null;
    }

    public uint? UInt32(KernelAddress address)
    {
        Span<byte> bytes = stackalloc byte[4];
        return TryRead(address, bytes) ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : null;
    }

    public ulong? UInt64(KernelAddress address)
    {
        Span<byte> bytes = stackalloc byte[8];
        return TryRead(address, bytes) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : null;
    }

    public KernelAddress? Pointer(KernelAddress address) => UInt64(address) is { } value ? new KernelAddress(value) : null;

    /// <summary>A bit field of the structure at this address.</summary>
    public uint? Bits(KernelAddress structure, BitField field) => UInt32(structure + field.Offset) is { } word ? field.In(word) : null;

    /// <summary>
    /// A UNICODE_STRING {Length, MaximumLength, Buffer +8}, lengths in bytes. Null when it is unreadable or cannot be one; characters that
    /// don't belong on a screen become '?'.
    /// </summary>
    public string? UnicodeString(KernelAddress address)
    {
        if (UInt16(address) is not { } length || Pointer(address + 8) is not { } buffer) return null;
        if (length % 2 != 0 || length > LongestString * 2) return null;
        if (length == 0) return "";
        Span<byte> bytes = stackalloc byte[length];
        return TryRead(buffer, bytes) ? Printable(Encoding.Unicode.GetString(bytes)) : null;
    }

    /// <summary>Characters of one byte up to a zero or the given length; null when the first is unreadable.</summary>
    public string? AsciiString(KernelAddress address, int atMost)
    {
        Span<byte> bytes = stackalloc byte[Math.Min(atMost, LongestString)];
        bytes = bytes[..ReadAvailable(address, bytes)];
        if (bytes.IsEmpty) return null;
        var end = bytes.IndexOf((byte)0);
        return Printable(Encoding.Latin1.GetString(end < 0 ? bytes : bytes[..end]));
    }

    /// <summary>Reads up to the first absent page; the number of bytes read.</summary>
    public int ReadAvailable(KernelAddress address, Span<byte> destination)
    {
        var done = 0;
        while (done < destination.Length)
        {
            var here = address + (ulong)done;
            var inPage = (int)Math.Min(PageSize - (here.Value & (PageSize - 1)), (ulong)(destination.Length - done));
            if (!TryRead(here, destination.Slice(done, inPage))) break;
            done += inPage;
        }

        return done;
    }

    /// <summary>
    /// The entries of a doubly linked list (LIST_ENTRY {Flink, Blink}), without its head. A list that is broken is followed from both ends
    /// as far as it is whole.
    /// </summary>
    /// <param name="head">Address of the list head.</param>
    /// <param name="limit">No list of this kind is longer.</param>
    /// <param name="what">Its name in a note: "the process list".</param>
    public ListWalk List(KernelAddress head, int limit, string what)
    {
        var seen = new Visited();
        var forwards = new List<KernelAddress>();
        var damage = Follow(head, link: 0, limit, seen, forwards);
        if (damage is null) return new ListWalk(forwards, Whole: true);

        var backwards = new List<KernelAddress>();
        if (forwards.Count < limit) Follow(head, link: 8, limit - forwards.Count, seen, backwards);
        backwards.Reverse();
        Note($"{what} at {head} {damage}");
        return new ListWalk([.. forwards, .. backwards], Whole: false);
    }

    private string? Follow(KernelAddress head, ulong link, int limit, Visited seen, List<KernelAddress> entries)
    {
        var at = head;
        while (true)
        {
            if (Pointer(at + link) is not { } next) return $"cannot be followed: the entry {at} is not in memory";
            if (next == head) return null;
            if (!next.IsKernel || next.Value % 8 != 0) return $"is damaged: the entry {at} points to {next}";
            if (!seen.Add(next)) return $"is damaged: it comes back to the entry {next}";
            if (entries.Count == limit) return $"has more than {limit} entries: the rest was not read";
            entries.Add(next);
            at = next;
        }
    }

    /// <summary>Entries met so far. Most lists are short, and then looking through them costs less than a set.</summary>
    private sealed class Visited
    {
        private readonly ulong[] _first = new ulong[32];
        private int _count;
        private HashSet<ulong>? _rest;

        public bool Add(KernelAddress entry)
        {
            if (_first.AsSpan(0, _count).Contains(entry.Value)) return false;
            if (_count == _first.Length) return (_rest ??= []).Add(entry.Value);
            _first[_count++] = entry.Value;
            return true;
        }
    }

    private static string Printable(string text)
    {
        if (!text.AsSpan().ContainsAnyExceptInRange(' ', '~')) return text;
        var safe = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            safe.Append(Rune.IsControl(rune) || rune == Rune.ReplacementChar ? "?" : rune.ToString());
        return safe.ToString();
    }
}

/// <summary>The entries of a list, and whether it was whole: followed forwards to its end.</summary>
public readonly record struct ListWalk(IReadOnlyList<KernelAddress> Entries, bool Whole);
