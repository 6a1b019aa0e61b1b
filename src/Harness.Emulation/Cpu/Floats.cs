using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>An operation on two floating-point numbers.</summary>
internal interface IFloat
{
    static abstract float Apply(float a, float b);

    static abstract double Apply(double a, double b);
}

internal readonly struct FloatAdd : IFloat
{
    public static float Apply(float a, float b) => Floats.Settle(a + b, a, b);

    public static double Apply(double a, double b) => Floats.Settle(a + b, a, b);
}

internal readonly struct FloatSub : IFloat
{
    public static float Apply(float a, float b) => Floats.Settle(a - b, a, b);

    public static double Apply(double a, double b) => Floats.Settle(a - b, a, b);
}

internal readonly struct FloatMul : IFloat
{
    public static float Apply(float a, float b) => Floats.Settle(a * b, a, b);

    public static double Apply(double a, double b) => Floats.Settle(a * b, a, b);
}

internal readonly struct FloatDiv : IFloat
{
    public static float Apply(float a, float b) => Floats.Settle(a / b, a, b);

    public static double Apply(double a, double b) => Floats.Settle(a / b, a, b);
}

/// <summary>The second operand unless the first is truly less: so of NaNs and of two zeros.</summary>
internal readonly struct FloatMin : IFloat
{
    public static float Apply(float a, float b) => a < b ? a : b;

    public static double Apply(double a, double b) => a < b ? a : b;
}

internal readonly struct FloatMax : IFloat
{
    public static float Apply(float a, float b) => a > b ? a : b;

    public static double Apply(double a, double b) => a > b ? a : b;
}

internal readonly struct FloatSqrt : IFloat
{
    public static float Apply(float a, float b) => Floats.Settle(MathF.Sqrt(b), b, b);

    public static double Apply(double a, double b) => Floats.Settle(Math.Sqrt(b), b, b);
}

/// <summary>
/// Floating-point arithmetic of SSE and SSE2 with MXCSR as Windows sets it: all exceptions masked, round to nearest, denormals kept.
/// NaNs come out as an x64 processor makes them, whatever the host.
/// </summary>
internal static class Floats
{
    public static V Ss<T>(V a, V b, byte immediate)
        where T : struct, IFloat => a.AsSingle().WithElement(0, T.Apply(a.AsSingle()[0], b.AsSingle()[0])).AsByte();

    public static V Sd<T>(V a, V b, byte immediate)
        where T : struct, IFloat => a.AsDouble().WithElement(0, T.Apply(a.AsDouble()[0], b.AsDouble()[0])).AsByte();

    public static V Ps<T>(V a, V b, byte immediate)
        where T : struct, IFloat
    {
        var (x, y) = (a.AsSingle(), b.AsSingle());
        return Vector128.Create(T.Apply(x[0], y[0]), T.Apply(x[1], y[1]), T.Apply(x[2], y[2]), T.Apply(x[3], y[3])).AsByte();
    }

    public static V Pd<T>(V a, V b, byte immediate)
        where T : struct, IFloat
    {
        var (x, y) = (a.AsDouble(), b.AsDouble());
        return Vector128.Create(T.Apply(x[0], y[0]), T.Apply(x[1], y[1])).AsByte();
    }

    public static V Cmpss(V a, V b, byte immediate) => Vector128.ConditionalSelect(Vector128.CreateScalar(uint.MaxValue).AsByte(), Cmpps(a, b, immediate), a);

    public static V Cmpsd(V a, V b, byte immediate) => Vector128.ConditionalSelect(Vector128.CreateScalar(ulong.MaxValue).AsByte(), Cmppd(a, b, immediate), a);

    public static V Cmpps(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsSingle(), b.AsSingle());
        var holds = (immediate & 3) switch
        {
            0 => Vector128.Equals(x, y),
            1 => Vector128.LessThan(x, y),
            2 => Vector128.LessThanOrEqual(x, y),
            _ => ~(Vector128.Equals(x, x) & Vector128.Equals(y, y)),
        };
        return ((immediate & 4) != 0 ? ~holds : holds).AsByte();
    }

    public static V Cmppd(V a, V b, byte immediate)
    {
        var (x, y) = (a.AsDouble(), b.AsDouble());
        var holds = (immediate & 3) switch
        {
            0 => Vector128.Equals(x, y),
            1 => Vector128.LessThan(x, y),
            2 => Vector128.LessThanOrEqual(x, y),
            _ => ~(Vector128.Equals(x, x) & Vector128.Equals(y, y)),
        };
        return ((immediate & 4) != 0 ? ~holds : holds).AsByte();
    }

    public static V Cvtss2sd(V a, V b, byte immediate) => a.AsDouble().WithElement(0, ToDouble(b.AsSingle()[0])).AsByte();

    public static V Cvtsd2ss(V a, V b, byte immediate) => a.AsSingle().WithElement(0, ToSingle(b.AsDouble()[0])).AsByte();

    public static V Cvtps2pd(V a, V b, byte immediate) => Vector128.Create(ToDouble(b.AsSingle()[0]), ToDouble(b.AsSingle()[1])).AsByte();

    public static V Cvtpd2ps(V a, V b, byte immediate) => Vector128.Create(ToSingle(b.AsDouble()[0]), ToSingle(b.AsDouble()[1]), 0, 0).AsByte();

    public static V Cvtdq2ps(V a, V b, byte immediate) => Vector128.ConvertToSingle(b.AsInt32()).AsByte();

    public static V Cvtdq2pd(V a, V b, byte immediate) => Vector128.Create((double)b.AsInt32()[0], b.AsInt32()[1]).AsByte();

    public static V Cvttps2dq(V a, V b, byte immediate)
    {
        var x = b.AsSingle();
        return Vector128.Create(ToInt32(x[0]), ToInt32(x[1]), ToInt32(x[2]), ToInt32(x[3])).AsByte();
    }

    public static V Cvtps2dq(V a, V b, byte immediate)
    {
        var x = b.AsSingle();
        return Vector128.Create(ToInt32(MathF.Round(x[0])), ToInt32(MathF.Round(x[1])), ToInt32(MathF.Round(x[2])), ToInt32(MathF.Round(x[3]))).AsByte();
    }

    public static V Cvttpd2dq(V a, V b, byte immediate) => Vector128.Create(ToInt32(b.AsDouble()[0]), ToInt32(b.AsDouble()[1]), 0, 0).AsByte();

    public static V Cvtpd2dq(V a, V b, byte immediate) => Vector128.Create(ToInt32(Math.Round(b.AsDouble()[0])), ToInt32(Math.Round(b.AsDouble()[1])), 0, 0).AsByte();

    public static V Roundss(V a, V b, byte immediate) => a.AsSingle().WithElement(0, Round(b.AsSingle()[0], immediate)).AsByte();

    public static V Roundsd(V a, V b, byte immediate) => a.AsDouble().WithElement(0, Round(b.AsDouble()[0], immediate)).AsByte();

    public static V Roundps(V a, V b, byte immediate)
    {
        var x = b.AsSingle();
        return Vector128.Create(Round(x[0], immediate), Round(x[1], immediate), Round(x[2], immediate), Round(x[3], immediate)).AsByte();
    }

    public static V Roundpd(V a, V b, byte immediate) =>
        Vector128.Create(Round(b.AsDouble()[0], immediate), Round(b.AsDouble()[1], immediate)).AsByte();

    /// <summary>Truncated; what doesn't fit is the "integer indefinite".</summary>
    public static int ToInt32(double value) => value is > -2147483649.0 and < 2147483648.0 ? (int)value : int.MinValue;

    /// <inheritdoc cref="ToInt32"/>
    public static long ToInt64(double value) => value is >= -9223372036854775808.0 and < 9223372036854775808.0 ? (long)value : long.MinValue;

    /// <summary>A NaN result is the first operand that is one, made quiet; or the processor's own.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Settle(float result, float a, float b) => float.IsNaN(result) ? NaNOf(a, b) : result;

    /// <inheritdoc cref="Settle(float, float, float)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Settle(double result, double a, double b) => double.IsNaN(result) ? NaNOf(a, b) : result;

    private static float Round(float value, byte how) => Settle(MathF.Round(value, ModeOf(how)), value, value);

    private static double Round(double value, byte how) => Settle(Math.Round(value, ModeOf(how)), value, value);

    // Bit 2 asks for MXCSR's mode, which is nearest.
    private static MidpointRounding ModeOf(byte how) => (how & 7) switch
    {
        1 => MidpointRounding.ToNegativeInfinity,
        2 => MidpointRounding.ToPositiveInfinity,
        3 => MidpointRounding.ToZero,
        _ => MidpointRounding.ToEven,
    };

    private static float NaNOf(float a, float b)
    {
        const uint quiet = 0x0040_0000;
        if (float.IsNaN(a)) return BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(a) | quiet);
        return BitConverter.UInt32BitsToSingle(float.IsNaN(b) ? BitConverter.SingleToUInt32Bits(b) | quiet : 0xFFC0_0000);
    }

    private static double NaNOf(double a, double b)
    {
        const ulong quiet = 0x0008_0000_0000_0000;
        if (double.IsNaN(a)) return BitConverter.UInt64BitsToDouble(BitConverter.DoubleToUInt64Bits(a) | quiet);
        return BitConverter.UInt64BitsToDouble(double.IsNaN(b) ? BitConverter.DoubleToUInt64Bits(b) | quiet : 0xFFF8_0000_0000_0000);
    }

    private static double ToDouble(float value)
    {
        if (!float.IsNaN(value)) return value;
        var bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt64BitsToDouble(((ulong)(bits & 0x8000_0000) << 32) | 0x7FF8_0000_0000_0000 | ((ulong)(bits & 0x007F_FFFF) << 29));
    }

    private static float ToSingle(double value)
    {
        if (!double.IsNaN(value)) return (float)value;
        var bits = BitConverter.DoubleToUInt64Bits(value);
        return BitConverter.UInt32BitsToSingle((uint)(bits >> 32) & 0x8000_0000 | 0x7FC0_0000 | (uint)((bits >> 29) & 0x003F_FFFF));
    }
}
