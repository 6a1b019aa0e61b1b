using System.Buffers.Binary;

namespace Harness.Core.Traces;

/// <summary>Plain LZ77, which Windows calls XPRESS. Source: MS-XCA, 2.3 and 2.4.</summary>
public static class Xpress
{
    /// <summary>
    /// Inflates until the destination is full or the source has ended. Bytes written; less than the destination when the source is cut short
    /// or damaged, and then what was written is sound up to there.
    /// </summary>
    public static int Inflate(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        var (from, to) = (0, 0);
        var (flags, left) = (0u, 0);
        // The place of a byte whose high half is the next length; 0: there is none.
        var half = 0;
        while (to < destination.Length)
        {
            if (left == 0)
            {
                if (source.Length - from < 4) return to;
                flags = BinaryPrimitives.ReadUInt32LittleEndian(source[from..]);
                from += 4;
                left = 32;
            }

            left--;
            if ((flags >> left & 1) == 0)
            {
                if (from == source.Length) return to;
                destination[to++] = source[from++];
                continue;
            }

            if (source.Length - from < 2) return to;
            var pair = BinaryPrimitives.ReadUInt16LittleEndian(source[from..]);
            from += 2;
            var distance = (pair >> 3) + 1;
            var length = Length(source, pair & 7, ref from, ref half);
            if (length < 0 || distance > to) return to;
            length = Math.Min(length, destination.Length - to);
            if (distance >= length) destination.Slice(to - distance, length).CopyTo(destination[to..]);
            // What is copied is also what is copied from.
            else for (var i = 0; i < length; i++) destination[to + i] = destination[to - distance + i];
            to += length;
        }

        return to;
    }

    /// <summary>The match's length; -1 when the source doesn't hold it.</summary>
    private static int Length(ReadOnlySpan<byte> source, int length, ref int from, ref int half)
    {
        if (length < 7) return length + 3;
        if (half != 0)
        {
            length = source[half] >> 4;
            half = 0;
        }
        else
        {
            if (from == source.Length) return -1;
            length = source[from] & 0xF;
            half = from++;
        }

        if (length < 15) return length + 7 + 3;
        if (from == source.Length) return -1;
        length = source[from++];
        if (length < 255) return length + 15 + 7 + 3;
        if (source.Length - from < 2) return -1;
        length = BinaryPrimitives.ReadUInt16LittleEndian(source[from..]);
        from += 2;
        if (length == 0)
        {
            if (source.Length - from < 4) return -1;
            length = (int)Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(source[from..]), int.MaxValue - 3);
            from += 4;
        }

        return length < 15 + 7 ? -1 : length + 3;
    }
}
