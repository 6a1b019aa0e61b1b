using System.Buffers.Binary;

namespace Core.Tests.Traces;

/// <summary>Compresses as MS-XCA describes plain LZ77, with whatever match of the last bytes it finds first.</summary>
internal static class XpressWriter
{
    public static byte[] Compress(ReadOnlySpan<byte> source)
    {
        var to = new List<byte>();
        var (flags, used, flagsAt, half) = (0u, 0, 0, 0);
        to.AddRange(new byte[4]);
        for (var at = 0; at < source.Length;)
        {
            var (distance, length) = Match(source, at);
            Flag(length > 0);
            if (length == 0)
            {
                to.Add(source[at++]);
                continue;
            }

            Put(distance, length - 3);
            at += length;
        }

        // The rest of the flags are ones.
        flags = used == 0 ? uint.MaxValue : flags << 32 - used | (uint)((1L << 32 - used) - 1);
        Close();
        return [.. to];

        void Flag(bool match)
        {
            if (used == 32)
            {
                Close();
                (flags, used, flagsAt) = (0, 0, to.Count);
                to.AddRange(new byte[4]);
            }

            flags = flags << 1 | (match ? 1u : 0);
            used++;
        }

        void Close()
        {
            Span<byte> word = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(word, flags);
            for (var i = 0; i < 4; i++) to[flagsAt + i] = word[i];
        }

        void Put(int distance, int length)
        {
            var pair = distance - 1 << 3 | Math.Min(length, 7);
            to.Add((byte)pair);
            to.Add((byte)(pair >> 8));
            if (length < 7) return;
            var nibble = Math.Min(length - 7, 15);
            if (half == 0)
            {
                half = to.Count;
                to.Add((byte)nibble);
            }
            else
            {
                to[half] |= (byte)(nibble << 4);
                half = 0;
            }

            if (length - 7 < 15) return;
            var rest = length - 7 - 15;
            to.Add((byte)Math.Min(rest, 255));
            if (rest < 255) return;
            to.Add((byte)length);
            to.Add((byte)(length >> 8));
        }
    }

    private static (int Distance, int Length) Match(ReadOnlySpan<byte> source, int at)
    {
        for (var distance = 1; distance <= Math.Min(at, 256); distance++)
        {
            var length = 0;
            while (at + length < source.Length && length < 60000 && source[at + length] == source[at + length - distance]) length++;
            if (length >= 3) return (distance, length);
        }

        return (0, 0);
    }
}
