using System.Buffers.Binary;
using System.Text;

namespace Harness.Core.Symbols;

/// <summary>CodeView records: a length in 16 bits, which does not count itself, a kind, and the rest (LLVM, "CodeView Symbol Records").</summary>
internal static class SymbolRecords
{
    private const int LongestName = 4096;

    /// <summary>Where each record begins, its kind, and where the next begins. A torn one ends it.</summary>
    public static IEnumerable<(int At, ushort Kind, int Next)> In(byte[] bytes, int from, int to)
    {
        to = Math.Min(to, bytes.Length);
        for (var at = from; at + 4 <= to;)
        {
            var next = at + 2 + BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));
            if (next < at + 4 || next > to) yield break;
            yield return (at, BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at + 2)), next);
            at = next;
        }
    }

    /// <summary>The name at this place of a record, up to its zero.</summary>
    public static ReadOnlySpan<byte> Name(ReadOnlySpan<byte> bytes, int record, int at)
    {
        var end = record + 2 + BinaryPrimitives.ReadUInt16LittleEndian(bytes[record..]);
        if (record + at >= end) return [];
        var name = bytes[(record + at)..end];
        var zero = name.IndexOf((byte)0);
        return zero < 0 ? name : name[..zero];
    }

    /// <summary>A name as text: what does not belong on a screen becomes '?'.</summary>
    public static string Text(ReadOnlySpan<byte> name)
    {
        var text = Encoding.UTF8.GetString(name[..Math.Min(name.Length, LongestName)]);
        return text.AsSpan().ContainsAnyExceptInRange(' ', '~') ? string.Concat(text.Select(c => char.IsControl(c) || char.IsSurrogate(c) || c == '\uFFFD' ? '?' : c)) : text;
    }
}
