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
        var sum = FloatAdd.Apply(
            FloatAdd.Apply(Product(a, b, 0, immediate), Product(a, b, 1, immediate)),
            FloatAdd.Apply(Product(a, b, 2, immediate), Product(a, b, 3, immediate)));
        return Vector128.Create(At(0), At(1), At(2), At(3)).AsByte();

        float At(int lane) => (immediate & (1 << lane)) != 0 ? sum : 0;
    }

    /// <inheritdoc cref="Dpps"/>
    public static V Dppd(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsDouble(), b.AsDouble());
        var sum = FloatAdd.Apply((immediate & 0x10) != 0 ? FloatMul.Apply(x[0], y[0]) : 0, (immediate & 0x20) != 0 ? FloatMul.Apply(x[1], y[1]) : 0);
        return Vector128.Create((immediate & 1) != 0 ? sum : 0, (immediate & 2) != 0 ? sum : 0).AsByte();
    }

    private static float Product(V a, V b, int lane, byte immediate) =>
        (immediate & (0x10 << lane)) != 0 ? FloatMul.Apply(a.AsSingle()[lane], b.AsSingle()[lane]) : 0;
}
