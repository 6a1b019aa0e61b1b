using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using FluentAssertions;
using Harness.Emulation.Image;
using Xunit;

namespace Emulation.Tests.Cpu;

/// <summary>
/// Functions as compilers make them (RealCode/functions.c; gcc at -O0, -O2, -O3 with SSE4.2, -Os, clang for MSVC's target), loaded as
/// drivers are. What each should answer is computed here another way.
/// </summary>
public class RealCodeTests
{
    private const ulong ImageBase = 0xFFFF_F801_5000_0000;
    private const ulong A = Bench.Data;
    private const ulong B = Bench.Data + 0x4000;

    private static readonly ulong[] Numbers =
        [0, 1, 2, 3, 7, 8, 10, 63, 64, 100, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000,
            0x1234_5678_9ABC_DEF0, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFEDC_BA98_7654_3210, ulong.MaxValue - 6, ulong.MaxValue];

    public static TheoryData<string> Builds => ["gcc-O0", "gcc-O2", "gcc-O3", "gcc-Os", "clang-O0", "clang-O2"];

    [Theory]
    [MemberData(nameof(Builds))]
    public void Memory_functions(string build)
    {
        var (bench, at) = Load(build);
        var random = Bytes(1, 0x2000);
        foreach (var n in (int[])[0, 1, 7, 16, 33, 255, 4096, 5000])
        {
            bench.Memory.Write(A, random);
            bench.Call(at["memcpy"], B + 3, A + 5, (ulong)n).Should().Be(B + 3);
            Read(bench, B + 3, n).Should().Equal(random[5..(5 + n)]);
            bench.Call(at["memcmp"], B + 3, A + 5, (ulong)n).Should().Be(0);
            bench.Call(at["memmove"], A + 20, A + 3, (ulong)n);
            Read(bench, A + 20, n).Should().Equal(random[3..(3 + n)]);
            bench.Call(at["memset"], A, 0x1A5, (ulong)n);
            Read(bench, A, n).All(b => b == 0xA5).Should().BeTrue();
        }
        bench.Memory.WriteU8(A + 50, 0xA6);
        ((int)bench.Call(at["memcmp"], A, A + 1, 100)).Should().Be(-1);
        ((int)bench.Call(at["memcmp"], A + 1, A, 100)).Should().Be(1);
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public void Checksums_and_vector_loops(string build)
    {
        var (bench, at) = Load(build);
        foreach (var n in (int[])[0, 1, 15, 16, 17, 100, 1000])
        {
            var bytes = Bytes((ulong)n + 3, 2048);
            bench.Memory.Write(A, bytes);
            bench.Memory.Write(B, Bytes(99, 2048));
            bench.Call(at["Crc32"], A, (ulong)n).Should().Be(Crc32(bytes.AsSpan(0, n)));
            bench.Call(at["Fnv1a"], A, (ulong)n).Should().Be(bytes.Take(n).Aggregate(14695981039346656037UL, (hash, b) => (hash ^ b) * 1099511628211));

            var shorts = MemoryMarshal.Cast<byte, short>(bytes)[..n].ToArray();
            bench.Call(at["Sums"], A, (ulong)n).Should().Be(
                ((ulong)shorts.Sum(s => (long)s) * 31) + ((ushort)shorts.DefaultIfEmpty(short.MaxValue).Min() * 65537UL)
                + ((ulong)(ushort)shorts.DefaultIfEmpty(short.MinValue).Max() << 32) + (ulong)shorts.Count(s => s < 0));
            var ints = MemoryMarshal.Cast<byte, int>(bytes).ToArray();
            var others = MemoryMarshal.Cast<byte, int>(Bytes(99, 2048)).ToArray();
            var count = Math.Min(n, 500);
            bench.Call(at["DotProduct"], A, B, (ulong)count).Should().Be((ulong)ints.Take(count).Zip(others, (x, y) => (long)x * y).Aggregate(0L, (sum, product) => sum + product));

            bench.Call(at["AddBytes"], A, B, (ulong)n);
            var added = bytes.Take(n).Zip(Bytes(99, 2048), (x, y) => (byte)((x * 3) + y)).ToArray();
            Read(bench, A, n).Should().Equal(added);
            bench.Call(at["Average"], A, B, (ulong)n);
            Read(bench, A, n).Should().Equal(added.Zip(Bytes(99, 2048), (x, y) => (byte)((x + y + 1) >> 1)));
        }
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public void Sorting_and_recursion(string build)
    {
        var (bench, at) = Load(build);
        foreach (var n in (int[])[1, 2, 100, 1000])
        {
            var values = MemoryMarshal.Cast<byte, int>(Bytes((ulong)n, 4 * n)).ToArray();
            bench.Memory.Write(A, MemoryMarshal.AsBytes(values.AsSpan()));
            bench.Call(at["QuickSort"], A, 0, (ulong)(n - 1));
            MemoryMarshal.Cast<byte, int>(Read(bench, A, 4 * n)).ToArray().Should().Equal(values.Order());
        }
        bench.Call(at["Recursion"], 15).Should().Be(610);
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public void Strings(string build)
    {
        var (bench, at) = Load(build);
        void Put(ulong where, string text, Encoding encoding) => bench.Memory.Write(where, encoding.GetBytes(text + "\0"));
        const string text = @"\Registry\Machine\System\CurrentControlSet\Services\MyFault";
        Put(A, text, Encoding.ASCII);
        bench.Call(at["Length"], A).Should().Be((ulong)text.Length);
        foreach (var what in (string[])["", @"\", "Services", "MyFault", "MyFaults", "tSet", "Ser\\"])
        {
            Put(B, what, Encoding.ASCII);
            ((long)bench.Call(at["Find"], A, B)).Should().Be(text.IndexOf(what, StringComparison.Ordinal), what);
        }
        foreach (var (x, y, sign) in ((string, string, int)[])[(@"\Device\A", @"\DEVICE\a", 0), ("ab", "abc", -1), ("zeta", "Alpha", 1), ("", "", 0), ("ä", "z", 1)])
        {
            Put(A, x, Encoding.Unicode);
            Put(B, y, Encoding.Unicode);
            Math.Sign((long)bench.Call(at["CompareWide"], A, B)).Should().Be(sign);
        }
        foreach (var number in Numbers)
        {
            var hex = number.ToString("x");
            bench.Call(at["ToHex"], A, number).Should().Be((ulong)hex.Length);
            Encoding.ASCII.GetString(Read(bench, A, hex.Length + 1)).Should().Be(hex + "\0");
        }
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public void Division_and_multiplication(string build)
    {
        var (bench, at) = Load(build);
        foreach (var a in Numbers)
        {
            bench.Call(at["DivideBy10"], a).Should().Be((ulong)((long)a / 10));
            bench.Call(at["RemainderBy7"], a).Should().Be((ulong)((int)a % 7));
            foreach (var b in Numbers)
            {
                bench.Call(at["MultiplyHigh"], a, b).Should().Be(Math.BigMul(a, b, out _));
                bench.Call(at["MultiplyHighSigned"], a, b).Should().Be((ulong)Math.BigMul((long)a, (long)b, out _));
                if (b == 0) continue;
                bench.Call(at["DivideUnsigned"], a, b).Should().Be(a / b);
                if (a == 1UL << 63 && b == ulong.MaxValue) continue;
                bench.Call(at["DivideSigned"], a, b).Should().Be((ulong)((long)a / (long)b));
                bench.Call(at["RemainderSigned"], a, b).Should().Be((ulong)((long)a % (long)b));
                if ((byte)b == 0 || ((int)a == int.MinValue && (int)b == -1)) continue;
                bench.Call(at["DivideShort"], a, b).Should().Be(((ulong)(uint)((int)a / (int)b) << 32) | (uint)((short)a % (short)b));
                bench.Call(at["DivideByte"], a, b).Should().Be(((ulong)(byte)((byte)a / (byte)b) << 8) | (byte)((sbyte)a % (sbyte)b));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public void Wide_numbers_rotations_and_bits(string build)
    {
        var (bench, at) = Load(build);
        foreach (var a in Numbers)
        {
            var ends = a == 0 ? 0xFFFF : (256 * BitOperations.LeadingZeroCount(a)) + BitOperations.TrailingZeroCount(a);
            bench.Call(at["CountBits"], a).Should().Be((ulong)((65536 * BitOperations.PopCount(a)) + ends));
            bench.Call(at["ByteSwap"], a).Should().Be(Reverse(a, 8) ^ Reverse(a, 4) ^ (Reverse(a, 2) << 24));
            foreach (var b in Numbers)
            {
                var (x, y) = (new UInt128(a, b), new UInt128(~b, a));
                var (sum, difference) = (x + y, x - y);
                bench.Call(at["AddWide"], a, b, ~b, a).Should().Be((ulong)(sum >> 64) ^ unchecked((ulong)sum * 3) ^ unchecked((ulong)(difference >> 64) * 5) ^ unchecked((ulong)difference * 7));
                var n = (int)(b % 128);
                bench.Call(at["ShiftWide"], a, b, (ulong)n).Should().Be((ulong)((x << n) >> 64) ^ (ulong)(x >> n) ^ (ulong)((Int128)x >> n >> 64));
                var (k, m) = ((int)b & 31, (int)b & 7);
                bench.Call(at["Rotate"], a, b).Should().Be(BitOperations.RotateLeft(a, (int)b & 63) ^ BitOperations.RotateLeft((uint)a, k) ^ ((ulong)(byte)(((byte)a >> m) | ((byte)a << ((8 - m) & 7))) << 20));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public void Bitfields_structures_and_switches(string build)
    {
        var (bench, at) = Load(build);
        foreach (var a in Numbers)
        {
            for (var code = 0UL; code < 15; code++) bench.Call(at["SwitchTable"], code, a).Should().Be(Switched(code, a));
            foreach (var b in Numbers) ((long)bench.Call(at["Bitfields"], a, b)).Should().Be(Bitfields(a, (long)b), "of {0:x} and {1:x}", a, b);
        }
        var bytes = Bytes(5, 80);
        bench.Memory.Write(A, bytes);
        bench.Call(at["StructCopies"], A, 0x1_0000_0007).Should().Be(StructCopies(bytes, 0x1_0000_0007));
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public void Lists_pointers_atomics_and_floating_point(string build)
    {
        var (bench, at) = Load(build);
        foreach (var n in (ulong[])[0, 1, 2, 3, 10, 64]) bench.Call(at["Lists"], n).Should().Be(Lists(n));
        bench.Call(at["ThroughPointers"], 0, 5, 7).Should().Be(12);
        bench.Call(at["ThroughPointers"], 1, 5, 7).Should().Be(35);
        bench.Call(at["ThroughPointers"], 2, 5, 7).Should().Be(78125);
        foreach (var by in (ulong[])[0, 1, 50, ulong.MaxValue])
        {
            var seen = 100UL;
            seen = (seen * 31) + (100 + by);
            seen = (seen * 31) + (((100 + by) | 0x1000) & ~1UL);
            seen = (((seen * 31) + 1) * 31) + 0;
            bench.Call(at["Interlocked"], by).Should().Be((seen * 31) + 7 + 7);
        }
        bench.Call(at["CompareExchange128"], 10, 20).Should().Be(2 + 16 + (2 * 256) + ((11UL ^ 22) * 4096));
        foreach (var (x, y) in ((long, long)[])[(1, 3), (-100, 7), (1_000_000_007, 2), (5, -3), (123456789, 1000)])
            bench.Call(at["Doubles"], (ulong)x, (ulong)y).Should().Be(Doubles(x, y), "of {0} and {1}", x, y);
        bench.Call(at["Many"], 1, ulong.MaxValue, 0x12345678, 0xFF).Should().Be(
            unchecked(1 + (0xFFFF_FFFFUL * 3) + (0x5678UL * 5) + (0xFFUL * 7) + (1 * 11) + ((ulong)-1L * 13) + (0x5678UL * 17) + ((ulong)-1L * 19)));
    }

    internal static (Bench Bench, IReadOnlyDictionary<string, ulong> At) Load(string build)
    {
        var file = $"functions-{build}.sys";
        var image = DriverImage.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "RealCode", file)), file);
        var bench = Bench.With([0xC3], dataPages: 8);
        image.Map(bench.Memory, ImageBase, import => throw new InvalidOperationException($"{import} should not be needed"));
        return (bench, image.Exports.Where(export => export.Name is not null).ToDictionary(export => export.Name!, export => ImageBase + export.Rva));
    }

    internal static byte[] Bytes(ulong seed, int count)
    {
        var bytes = new byte[count];
        for (var i = 0; i < count; i++)
        {
            seed = (seed * 6364136223846793005) + 1442695040888963407;
            bytes[i] = (byte)(seed >> 56);
        }
        return bytes;
    }

    private static byte[] Read(Bench bench, ulong address, int count)
    {
        var bytes = new byte[count];
        bench.Memory.Read(address, bytes);
        return bytes;
    }

    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        // The other way round: bit by bit from the top, mirrored.
        var register = new BitRegister();
        foreach (var b in bytes)
            for (var bit = 0; bit < 8; bit++) register.Shift(((b >> bit) & 1) != 0);
        return register.Mirrored;
    }

    private static ulong Reverse(ulong value, int bytes) =>
        Enumerable.Range(0, bytes).Aggregate(0UL, (result, i) => (result << 8) | ((value >> (8 * i)) & 0xFF));

    private static ulong Switched(ulong code, ulong x) => code switch
    {
        0 => x + 1,
        1 => x * 3,
        2 => x >> 3,
        3 => ~x,
        4 => x ^ (x << 7),
        5 => x % 1000,
        6 => (ulong)(int)x,
        7 => (ulong)(sbyte)x,
        9 => x & 0xFF00_FF00_FF00_FF00,
        10 => 0x222003,
        12 => x - 12,
        _ => 0xC0000010,
    };

    private static long Field(long value, int bits) => value << (64 - bits) >> (64 - bits);

    private static long Bitfields(ulong a, long b)
    {
        var c = (((a >> 5) & 0xFFF) + 1000) & 0xFFF;
        return (long)(a & 7) + (Field((int)b - 3, 7) * 8) + ((long)c * 1024) + (Field((int)(b >> 7), 10) * 4194304) + (long)((a & 0x1_FFFF_FFFF) ^ 0x1_FFFF_FFFF) + (Field(b, 31) * 3);
    }

    private static (ulong[] Words, byte[] Tail) Twist((ulong[] Words, byte[] Tail) b, ulong by)
    {
        var words = b.Words.ToArray();
        for (var i = 0; i < 9; i++) words[i] = words[8 - i] + by;
        return (words, b.Tail.Select(x => (byte)(x ^ (byte)by)).ToArray());
    }

    private static ulong StructCopies(byte[] bytes, ulong by)
    {
        var first = Twist((MemoryMarshal.Cast<byte, ulong>(bytes)[..9].ToArray(), bytes[72..77]), by);
        var second = Twist(first, by * 3);
        var sum = 0UL;
        for (var i = 0; i < 9; i++) sum = (sum * 31) + second.Words[i] + (first.Words[i] * 2);
        for (var i = 0; i < 5; i++) sum = (sum * 31) + second.Tail[i] + first.Tail[i];
        return sum;
    }

    private static ulong Lists(ulong n)
    {
        var queue = new Queue<ulong>(Enumerable.Range(0, (int)n).Select(i => (ulong)(i * i)));
        var order = 0UL;
        for (var step = 0; queue.TryDequeue(out var value); step++)
        {
            order = (order * 37) + value;
            if (step % 3 == 2 && step < 100) queue.Enqueue(value);
        }
        return order;
    }

    private static ulong Doubles(long a, long b)
    {
        double x = a, y = b, r = 0;
        for (var i = 0; i < 10; i++)
        {
            r += (x / (y + i)) - (i * 0.25);
            if (r > 1e6) r *= 1e-3;
            x = x < y ? x + 1.5 : x - 2.5;
        }
        return (ulong)ToInteger(r * 1000.0) ^ ((ulong)ToInteger((float)r * 16.0f) << 20);
    }

    // Infinity, as the processor converts it.
    private static long ToInteger(double value) => double.IsFinite(value) ? (long)value : long.MinValue;

    private sealed class BitRegister
    {
        private uint _value = uint.MaxValue;

        public uint Mirrored
        {
            get
            {
                var result = 0U;
                for (var i = 0; i < 32; i++) result |= ((_value >> i) & 1) << (31 - i);
                return ~result;
            }
        }

        public void Shift(bool bit) => _value = (_value << 1) ^ ((_value >> 31 != 0) != bit ? 0x04C1_1DB7U : 0);
    }
}
