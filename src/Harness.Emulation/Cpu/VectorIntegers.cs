using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>Packed integer and bitwise operations of SSE2 to SSE4.2: destination, source, immediate; the result goes to the destination.</summary>
internal static class VectorIntegers
{
    public static V And(V a, V b, byte immediate) => a & b;

    public static V AndNot(V a, V b, byte immediate) => ~a & b;

    public static V Or(V a, V b, byte immediate) => a | b;

    public static V Xor(V a, V b, byte immediate) => a ^ b;

    public static V Paddb(V a, V b, byte immediate) => a + b;

    public static V Paddw(V a, V b, byte immediate) => (a.AsInt16() + b.AsInt16()).AsByte();

    public static V Paddd(V a, V b, byte immediate) => (a.AsInt32() + b.AsInt32()).AsByte();

    public static V Paddq(V a, V b, byte immediate) => (a.AsInt64() + b.AsInt64()).AsByte();

    public static V Psubb(V a, V b, byte immediate) => a - b;

    public static V Psubw(V a, V b, byte immediate) => (a.AsInt16() - b.AsInt16()).AsByte();

    public static V Psubd(V a, V b, byte immediate) => (a.AsInt32() - b.AsInt32()).AsByte();

    public static V Psubq(V a, V b, byte immediate) => (a.AsInt64() - b.AsInt64()).AsByte();

    public static V Paddsb(V a, V b, byte immediate) => Vector128.AddSaturate(a.AsSByte(), b.AsSByte()).AsByte();

    public static V Paddsw(V a, V b, byte immediate) => Vector128.AddSaturate(a.AsInt16(), b.AsInt16()).AsByte();

    public static V Paddusb(V a, V b, byte immediate) => Vector128.AddSaturate(a, b);

    public static V Paddusw(V a, V b, byte immediate) => Vector128.AddSaturate(a.AsUInt16(), b.AsUInt16()).AsByte();

    public static V Psubsb(V a, V b, byte immediate) => Vector128.SubtractSaturate(a.AsSByte(), b.AsSByte()).AsByte();

    public static V Psubsw(V a, V b, byte immediate) => Vector128.SubtractSaturate(a.AsInt16(), b.AsInt16()).AsByte();

    public static V Psubusb(V a, V b, byte immediate) => Vector128.SubtractSaturate(a, b);

    public static V Psubusw(V a, V b, byte immediate) => Vector128.SubtractSaturate(a.AsUInt16(), b.AsUInt16()).AsByte();

    public static V Pcmpeqb(V a, V b, byte immediate) => Vector128.Equals(a, b);

    public static V Pcmpeqw(V a, V b, byte immediate) => Vector128.Equals(a.AsInt16(), b.AsInt16()).AsByte();

    public static V Pcmpeqd(V a, V b, byte immediate) => Vector128.Equals(a.AsInt32(), b.AsInt32()).AsByte();

    public static V Pcmpeqq(V a, V b, byte immediate) => Vector128.Equals(a.AsInt64(), b.AsInt64()).AsByte();

    public static V Pcmpgtb(V a, V b, byte immediate) => Vector128.GreaterThan(a.AsSByte(), b.AsSByte()).AsByte();

    public static V Pcmpgtw(V a, V b, byte immediate) => Vector128.GreaterThan(a.AsInt16(), b.AsInt16()).AsByte();

    public static V Pcmpgtd(V a, V b, byte immediate) => Vector128.GreaterThan(a.AsInt32(), b.AsInt32()).AsByte();

    public static V Pcmpgtq(V a, V b, byte immediate) => Vector128.GreaterThan(a.AsInt64(), b.AsInt64()).AsByte();

    public static V Pminub(V a, V b, byte immediate) => Vector128.Min(a, b);

    public static V Pmaxub(V a, V b, byte immediate) => Vector128.Max(a, b);

    public static V Pminsb(V a, V b, byte immediate) => Vector128.Min(a.AsSByte(), b.AsSByte()).AsByte();

    public static V Pmaxsb(V a, V b, byte immediate) => Vector128.Max(a.AsSByte(), b.AsSByte()).AsByte();

    public static V Pminsw(V a, V b, byte immediate) => Vector128.Min(a.AsInt16(), b.AsInt16()).AsByte();

    public static V Pmaxsw(V a, V b, byte immediate) => Vector128.Max(a.AsInt16(), b.AsInt16()).AsByte();

    public static V Pminuw(V a, V b, byte immediate) => Vector128.Min(a.AsUInt16(), b.AsUInt16()).AsByte();

    public static V Pmaxuw(V a, V b, byte immediate) => Vector128.Max(a.AsUInt16(), b.AsUInt16()).AsByte();

    public static V Pminsd(V a, V b, byte immediate) => Vector128.Min(a.AsInt32(), b.AsInt32()).AsByte();

    public static V Pmaxsd(V a, V b, byte immediate) => Vector128.Max(a.AsInt32(), b.AsInt32()).AsByte();

    public static V Pminud(V a, V b, byte immediate) => Vector128.Min(a.AsUInt32(), b.AsUInt32()).AsByte();

    public static V Pmaxud(V a, V b, byte immediate) => Vector128.Max(a.AsUInt32(), b.AsUInt32()).AsByte();

    public static V Pabsb(V a, V b, byte immediate) => Vector128.ConditionalSelect(Vector128.LessThan(b.AsSByte(), default).AsByte(), (-b.AsSByte()).AsByte(), b);

    public static V Pabsw(V a, V b, byte immediate) => Vector128.ConditionalSelect(Vector128.LessThan(b.AsInt16(), default).AsByte(), (-b.AsInt16()).AsByte(), b);

    public static V Pabsd(V a, V b, byte immediate) => Vector128.ConditionalSelect(Vector128.LessThan(b.AsInt32(), default).AsByte(), (-b.AsInt32()).AsByte(), b);

    public static V Psignb(V a, V b, byte immediate) => Sign(Vector128.LessThan(b.AsSByte(), default).AsByte(), Vector128.Equals(b, default), (-a.AsSByte()).AsByte(), a);

    public static V Psignw(V a, V b, byte immediate) => Sign(Vector128.LessThan(b.AsInt16(), default).AsByte(), Vector128.Equals(b.AsInt16(), default).AsByte(), (-a.AsInt16()).AsByte(), a);

    public static V Psignd(V a, V b, byte immediate) => Sign(Vector128.LessThan(b.AsInt32(), default).AsByte(), Vector128.Equals(b.AsInt32(), default).AsByte(), (-a.AsInt32()).AsByte(), a);

    public static V Pavgb(V a, V b, byte immediate)
    {
        var one = Vector128.Create((ushort)1);
        var (a0, a1) = Vector128.Widen(a);
        var (b0, b1) = Vector128.Widen(b);
        return Vector128.Narrow((a0 + b0 + one) >> 1, (a1 + b1 + one) >> 1);
    }

    public static V Pavgw(V a, V b, byte immediate)
    {
        var one = Vector128.Create(1U);
        var (a0, a1) = Vector128.Widen(a.AsUInt16());
        var (b0, b1) = Vector128.Widen(b.AsUInt16());
        return Vector128.Narrow((a0 + b0 + one) >> 1, (a1 + b1 + one) >> 1).AsByte();
    }

    public static V Pmullw(V a, V b, byte immediate) => (a.AsInt16() * b.AsInt16()).AsByte();

    public static V Pmulld(V a, V b, byte immediate) => (a.AsInt32() * b.AsInt32()).AsByte();

    public static V Pmulhw(V a, V b, byte immediate)
    {
        var (low, high) = SignedProducts(a, b);
        return Vector128.Narrow(low >> 16, high >> 16).AsByte();
    }

    public static V Pmulhuw(V a, V b, byte immediate)
    {
        var (a0, a1) = Vector128.Widen(a.AsUInt16());
        var (b0, b1) = Vector128.Widen(b.AsUInt16());
        return Vector128.Narrow((a0 * b0) >> 16, (a1 * b1) >> 16).AsByte();
    }

    public static V Pmulhrsw(V a, V b, byte immediate)
    {
        var half = Vector128.Create(1);
        var (low, high) = SignedProducts(a, b);
        return Vector128.Narrow(((low >> 14) + half) >> 1, ((high >> 14) + half) >> 1).AsByte();
    }

    public static V Pmuludq(V a, V b, byte immediate)
    {
        var mask = Vector128.Create(0xFFFF_FFFFUL);
        return ((a.AsUInt64() & mask) * (b.AsUInt64() & mask)).AsByte();
    }

    public static V Pmuldq(V a, V b, byte immediate) =>
        Vector128.Create((long)a.AsInt32()[0] * b.AsInt32()[0], (long)a.AsInt32()[2] * b.AsInt32()[2]).AsByte();

    public static V Pmaddwd(V a, V b, byte immediate)
    {
        var (low, high) = SignedProducts(a, b);
        return PairSums(low, high).AsByte();
    }

    public static V Pmaddubsw(V a, V b, byte immediate)
    {
        var (a0, a1) = Vector128.Widen(a);
        var (b0, b1) = Vector128.Widen(b.AsSByte());
        // An unsigned byte times a signed one fits 17 bits; two of them need 32.
        var (p0, p1) = SignedProducts(a0.AsByte(), b0.AsByte());
        var (p2, p3) = SignedProducts(a1.AsByte(), b1.AsByte());
        return ToInt16(PairSums(p0, p1), PairSums(p2, p3));
    }

    public static V Phaddw(V a, V b, byte immediate) => (Even16(a, b) + Odd16(a, b)).AsByte();

    public static V Phaddsw(V a, V b, byte immediate) => Vector128.AddSaturate(Even16(a, b), Odd16(a, b)).AsByte();

    public static V Phaddd(V a, V b, byte immediate) => (Even32(a, b) + Odd32(a, b)).AsByte();

    public static V Phsubw(V a, V b, byte immediate) => (Even16(a, b) - Odd16(a, b)).AsByte();

    public static V Phsubsw(V a, V b, byte immediate) => Vector128.SubtractSaturate(Even16(a, b), Odd16(a, b)).AsByte();

    public static V Phsubd(V a, V b, byte immediate) => (Even32(a, b) - Odd32(a, b)).AsByte();

    public static V Psadbw(V a, V b, byte immediate)
    {
        var difference = Vector128.Max(a, b) - Vector128.Min(a, b);
        var (low, high) = Vector128.Widen(difference);
        return Vector128.Create((ulong)Vector128.Sum(low), Vector128.Sum(high)).AsByte();
    }

    /// <summary>Eight sums of four differences; the immediate says where in each operand they begin.</summary>
    public static V Mpsadbw(V a, V b, byte immediate)
    {
        var (first, second) = ((immediate >> 2 & 1) * 4, (immediate & 3) * 4);
        var result = Vector128<ushort>.Zero;
        for (var i = 0; i < 8; i++)
        {
            var sum = 0;
            for (var k = 0; k < 4; k++) sum += Math.Abs(a[first + i + k] - b[second + k]);
            result = result.WithElement(i, (ushort)sum);
        }
        return result.AsByte();
    }

    /// <summary>The least word, and behind it its number.</summary>
    public static V Phminposuw(V a, V b, byte immediate)
    {
        var words = b.AsUInt16();
        var least = 0;
        for (var i = 1; i < 8; i++)
            if (words[i] < words[least]) least = i;
        return Low(words[least] | ((ulong)least << 16));
    }

    public static V Psllw(V a, V b, byte immediate) => b.AsUInt64()[0] > 15 ? default : (a.AsUInt16() << (int)b.AsUInt64()[0]).AsByte();

    public static V Pslld(V a, V b, byte immediate) => b.AsUInt64()[0] > 31 ? default : (a.AsUInt32() << (int)b.AsUInt64()[0]).AsByte();

    public static V Psllq(V a, V b, byte immediate) => b.AsUInt64()[0] > 63 ? default : (a.AsUInt64() << (int)b.AsUInt64()[0]).AsByte();

    public static V Psrlw(V a, V b, byte immediate) => b.AsUInt64()[0] > 15 ? default : (a.AsUInt16() >> (int)b.AsUInt64()[0]).AsByte();

    public static V Psrld(V a, V b, byte immediate) => b.AsUInt64()[0] > 31 ? default : (a.AsUInt32() >> (int)b.AsUInt64()[0]).AsByte();

    public static V Psrlq(V a, V b, byte immediate) => b.AsUInt64()[0] > 63 ? default : (a.AsUInt64() >> (int)b.AsUInt64()[0]).AsByte();

    public static V Psraw(V a, V b, byte immediate) => (a.AsInt16() >> (int)Math.Min(b.AsUInt64()[0], 15)).AsByte();

    public static V Psrad(V a, V b, byte immediate) => (a.AsInt32() >> (int)Math.Min(b.AsUInt64()[0], 31)).AsByte();

    /// <summary>A vector whose low half is a number and whose high half is zero.</summary>
    public static V Low(ulong value) => Vector128.CreateScalar(value).AsByte();

    /// <summary>Two vectors of 32-bit integers as 16-bit ones, saturated.</summary>
    public static V ToInt16(Vector128<int> low, Vector128<int> high)
    {
        var least = Vector128.Create((int)short.MinValue);
        var most = Vector128.Create((int)short.MaxValue);
        return Vector128.Narrow(Vector128.Max(Vector128.Min(low, most), least), Vector128.Max(Vector128.Min(high, most), least)).AsByte();
    }

    private static V Sign(V negative, V zero, V negated, V value) =>
        Vector128.AndNot(Vector128.ConditionalSelect(negative, negated, value), zero);

    private static (Vector128<int> Low, Vector128<int> High) SignedProducts(V a, V b)
    {
        var (a0, a1) = Vector128.Widen(a.AsInt16());
        var (b0, b1) = Vector128.Widen(b.AsInt16());
        return (a0 * b0, a1 * b1);
    }

    private static Vector128<int> PairSums(Vector128<int> low, Vector128<int> high) => Even32(low.AsByte(), high.AsByte()) + Odd32(low.AsByte(), high.AsByte());

    private static Vector128<short> Even16(V a, V b) => Vector128.Narrow(a.AsInt32(), b.AsInt32());

    private static Vector128<short> Odd16(V a, V b) => Vector128.Narrow(a.AsInt32() >> 16, b.AsInt32() >> 16);

    private static Vector128<int> Even32(V a, V b) => Vector128.Narrow(a.AsInt64(), b.AsInt64());

    private static Vector128<int> Odd32(V a, V b) => Vector128.Narrow(a.AsInt64() >> 32, b.AsInt64() >> 32);
}
