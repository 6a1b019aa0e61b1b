using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>Additions within and across registers: haddps and its family, addsubps, dot products. NaNs as in <see cref="Floats"/>.</summary>
internal static class FloatSums
{
    public static V Haddps(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsSingle(), b.AsSingle());
        return Vector128.Create(FloatAdd.Apply(x[0], x[1]), FloatAdd.Apply(x[2], x[3]), FloatAdd.Apply(y[0], y[1]), FloatAdd.Apply(y[2], y[3])).AsByte();
    }

    public static V Haddpd(V a, V b, byte immediate) =>
        Vector128.Create(FloatAdd.Apply(a.AsDouble()[0], a.AsDouble()[1]), FloatAdd.Apply(b.AsDouble()[0], b.AsDouble()[1])).AsByte();

    public static V Hsubps(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsSingle(), b.AsSingle());
        return Vector128.Create(FloatSub.Apply(x[0], x[1]), FloatSub.Apply(x[2], x[3]), FloatSub.Apply(y[0], y[1]), FloatSub.Apply(y[2], y[3])).AsByte();
    }

    public static V Hsubpd(V a, V b, byte immediate) =>
        Vector128.Create(FloatSub.Apply(a.AsDouble()[0], a.AsDouble()[1]), FloatSub.Apply(b.AsDouble()[0], b.AsDouble()[1])).AsByte();

    public static V Addsubps(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsSingle(), b.AsSingle());
        return Vector128.Create(FloatSub.Apply(x[0], y[0]), FloatAdd.Apply(x[1], y[1]), FloatSub.Apply(x[2], y[2]), FloatAdd.Apply(x[3], y[3])).AsByte();
    }

    public static V Addsubpd(V a, V b, byte immediate) =>
        Vector128.Create(FloatSub.Apply(a.AsDouble()[0], b.AsDouble()[0]), FloatAdd.Apply(a.AsDouble()[1], b.AsDouble()[1])).AsByte();

    /// <summary>Immediate: bits 4–7 which products, bits 0–3 where their sum goes.</summary>
    public static V Dpps(V a, V b, byte immediate)
    {
        Span<float> products = stackalloc float[4];
        Span<float> pairs = stackalloc float[4];
        for (var i = 0; i < 4; i++) products[i] = (immediate & (0x10 << i)) != 0 ? FloatMul.Apply(a.AsSingle()[i], b.AsSingle()[i]) : 0;
        // Each lane adds its neighbour's product, then its neighbour pair's: the order decides which of two NaNs remains.
        for (var i = 0; i < 4; i++) pairs[i] = FloatAdd.Apply(products[i ^ 1], products[i]);
        var result = Vector128<float>.Zero;
        for (var i = 0; i < 4; i++)
            if ((immediate & (1 << i)) != 0) result = result.WithElement(i, FloatAdd.Apply(pairs[i], pairs[i ^ 2]));
        return result.AsByte();
    }

    /// <inheritdoc cref="Dpps"/>
    public static V Dppd(V a, V b, byte immediate)
    {
        var low = (immediate & 0x10) != 0 ? FloatMul.Apply(a.AsDouble()[0], b.AsDouble()[0]) : 0;
        var high = (immediate & 0x20) != 0 ? FloatMul.Apply(a.AsDouble()[1], b.AsDouble()[1]) : 0;
        return Vector128.Create((immediate & 1) != 0 ? FloatAdd.Apply(low, high) : 0, (immediate & 2) != 0 ? FloatAdd.Apply(high, low) : 0).AsByte();
    }
}
