using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>SSE operations that move elements about: unpack, pack, shuffle, blend, extend.</summary>
internal static class VectorShuffles
{
    public static V Punpcklbw(V a, V b, byte immediate) => Interleave8(a, b, 0);

    public static V Punpckhbw(V a, V b, byte immediate) => Interleave8(a, b, 8);

    public static V Punpcklwd(V a, V b, byte immediate) => Interleave16(a, b, 0);

    public static V Punpckhwd(V a, V b, byte immediate) => Interleave16(a, b, 4);

    public static V Punpckldq(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsUInt32(), b.AsUInt32());
        return Vector128.Create(x[0], y[0], x[1], y[1]).AsByte();
    }

    public static V Punpckhdq(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsUInt32(), b.AsUInt32());
        return Vector128.Create(x[2], y[2], x[3], y[3]).AsByte();
    }

    public static V Punpcklqdq(V a, V b, byte immediate) => Vector128.Create(a.GetLower(), b.GetLower());

    public static V Punpckhqdq(V a, V b, byte immediate) => Vector128.Create(a.GetUpper(), b.GetUpper());

    public static V Packsswb(V a, V b, byte immediate) => Vector128.Narrow(Clamp(a.AsInt16(), sbyte.MinValue, sbyte.MaxValue), Clamp(b.AsInt16(), sbyte.MinValue, sbyte.MaxValue)).AsByte();

    public static V Packuswb(V a, V b, byte immediate) => Vector128.Narrow(Clamp(a.AsInt16(), 0, byte.MaxValue), Clamp(b.AsInt16(), 0, byte.MaxValue)).AsByte();

    public static V Packssdw(V a, V b, byte immediate) => VectorIntegers.ToInt16(a.AsInt32(), b.AsInt32());

    public static V Packusdw(V a, V b, byte immediate) => Vector128.Narrow(Clamp(a.AsInt32(), 0, ushort.MaxValue), Clamp(b.AsInt32(), 0, ushort.MaxValue)).AsByte();

    public static V Pshufd(V a, V b, byte immediate)
    {
        var x = b.AsUInt32();
        return Vector128.Create(x[immediate & 3], x[(immediate >> 2) & 3], x[(immediate >> 4) & 3], x[immediate >> 6]).AsByte();
    }

    public static V Pshuflw(V a, V b, byte immediate)
    {
        var x = b.AsUInt16();
        return Vector128.Create(x[immediate & 3], x[(immediate >> 2) & 3], x[(immediate >> 4) & 3], x[immediate >> 6], x[4], x[5], x[6], x[7]).AsByte();
    }

    public static V Pshufhw(V a, V b, byte immediate)
    {
        var x = b.AsUInt16();
        return Vector128.Create(x[0], x[1], x[2], x[3], x[4 + (immediate & 3)], x[4 + ((immediate >> 2) & 3)], x[4 + ((immediate >> 4) & 3)], x[4 + (immediate >> 6)]).AsByte();
    }

    public static V Shufps(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsUInt32(), b.AsUInt32());
        return Vector128.Create(x[immediate & 3], x[(immediate >> 2) & 3], y[(immediate >> 4) & 3], y[immediate >> 6]).AsByte();
    }

    public static V Shufpd(V a, V b, byte immediate) => Vector128.Create(a.AsUInt64()[immediate & 1], b.AsUInt64()[(immediate >> 1) & 1]).AsByte();

    // An index with bit 7 gives zero; of the others only the low four bits count.
    public static V Pshufb(V a, V b, byte immediate) => Vector128.Shuffle(a, b & Vector128.Create((byte)0x8F));

    public static V Palignr(V a, V b, byte immediate)
    {
        Span<byte> both = stackalloc byte[48];
        both.Clear();
        b.CopyTo(both);
        a.CopyTo(both[16..]);
        return immediate >= 32 ? default : Vector128.Create((ReadOnlySpan<byte>)both.Slice(immediate, 16));
    }

    public static V Pslldq(V a, V b, byte immediate) => immediate > 15 ? default : Palignr(a, default, (byte)(16 - immediate));

    public static V Psrldq(V a, V b, byte immediate) => Palignr(default, a, Math.Min(immediate, (byte)16));

    public static V Movss(V a, V b, byte immediate) => a.AsUInt32().WithElement(0, b.AsUInt32()[0]).AsByte();

    public static V Movsd(V a, V b, byte immediate) => Vector128.Create(b.GetLower(), a.GetUpper());

    public static V Movhlps(V a, V b, byte immediate) => Vector128.Create(b.GetUpper(), a.GetUpper());

    /// <summary>movlhps, and movhps, movhpd from memory.</summary>
    public static V Movlhps(V a, V b, byte immediate) => Vector128.Create(a.GetLower(), b.GetLower());

    /// <summary>The low half alone: movq between registers.</summary>
    public static V Movq(V a, V b, byte immediate) => Vector128.Create(b.GetLower(), default);

    public static V Movddup(V a, V b, byte immediate) => Vector128.Create(b.GetLower(), b.GetLower());

    public static V Movsldup(V a, V b, byte immediate) => Pshufd(a, b, 0b10_10_00_00);

    public static V Movshdup(V a, V b, byte immediate) => Pshufd(a, b, 0b11_11_01_01);

    public static V Pblendw(V a, V b, byte immediate)
    {
        var bits = Vector128.Create((ushort)1, 2, 4, 8, 16, 32, 64, 128);
        return Vector128.ConditionalSelect(Vector128.Equals(Vector128.Create((ushort)immediate) & bits, bits).AsByte(), b, a);
    }

    public static V Blendps(V a, V b, byte immediate)
    {
        var bits = Vector128.Create(1U, 2, 4, 8);
        return Vector128.ConditionalSelect(Vector128.Equals(Vector128.Create((uint)immediate) & bits, bits).AsByte(), b, a);
    }

    public static V Blendpd(V a, V b, byte immediate)
    {
        var bits = Vector128.Create(1UL, 2);
        return Vector128.ConditionalSelect(Vector128.Equals(Vector128.Create((ulong)immediate) & bits, bits).AsByte(), b, a);
    }

    public static V Insertps(V a, V b, byte immediate)
    {
        var result = a.AsUInt32().WithElement((immediate >> 4) & 3, b.AsUInt32()[immediate >> 6]);
        for (var lane = 0; lane < 4; lane++)
            if ((immediate & (1 << lane)) != 0) result = result.WithElement(lane, 0U);
        return result.AsByte();
    }

    public static V Pmovzxbw(V a, V b, byte immediate) => Vector128.WidenLower(b).AsByte();

    public static V Pmovzxwd(V a, V b, byte immediate) => Vector128.WidenLower(b.AsUInt16()).AsByte();

    public static V Pmovzxdq(V a, V b, byte immediate) => Vector128.WidenLower(b.AsUInt32()).AsByte();

    public static V Pmovzxbd(V a, V b, byte immediate) => Pmovzxwd(a, Pmovzxbw(a, b, 0), 0);

    public static V Pmovzxwq(V a, V b, byte immediate) => Pmovzxdq(a, Pmovzxwd(a, b, 0), 0);

    public static V Pmovzxbq(V a, V b, byte immediate) => Pmovzxdq(a, Pmovzxbd(a, b, 0), 0);

    public static V Pmovsxbw(V a, V b, byte immediate) => Vector128.WidenLower(b.AsSByte()).AsByte();

    public static V Pmovsxwd(V a, V b, byte immediate) => Vector128.WidenLower(b.AsInt16()).AsByte();

    public static V Pmovsxdq(V a, V b, byte immediate) => Vector128.WidenLower(b.AsInt32()).AsByte();

    public static V Pmovsxbd(V a, V b, byte immediate) => Pmovsxwd(a, Pmovsxbw(a, b, 0), 0);

    public static V Pmovsxwq(V a, V b, byte immediate) => Pmovsxdq(a, Pmovsxwd(a, b, 0), 0);

    public static V Pmovsxbq(V a, V b, byte immediate) => Pmovsxdq(a, Pmovsxbd(a, b, 0), 0);

    private static V Interleave8(V a, V b, int from) => Vector128.Create(
        a[from], b[from], a[from + 1], b[from + 1], a[from + 2], b[from + 2], a[from + 3], b[from + 3],
        a[from + 4], b[from + 4], a[from + 5], b[from + 5], a[from + 6], b[from + 6], a[from + 7], b[from + 7]);

    private static V Interleave16(V a, V b, int from)
    {
        var (x, y) = (a.AsUInt16(), b.AsUInt16());
        return Vector128.Create(x[from], y[from], x[from + 1], y[from + 1], x[from + 2], y[from + 2], x[from + 3], y[from + 3]).AsByte();
    }

    private static Vector128<short> Clamp(Vector128<short> value, short least, short most) =>
        Vector128.Max(Vector128.Min(value, Vector128.Create(most)), Vector128.Create(least));

    private static Vector128<int> Clamp(Vector128<int> value, int least, int most) =>
        Vector128.Max(Vector128.Min(value, Vector128.Create(most)), Vector128.Create(least));
}
