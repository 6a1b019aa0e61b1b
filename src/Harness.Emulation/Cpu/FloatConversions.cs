using System.Runtime.Intrinsics;
using Iced.Intel;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>A floating-point format in the low lane of a register.</summary>
internal unsafe interface IPrecision
{
    static abstract double Load(byte* at);

    static abstract void StoreFromInt(byte* at, long value);
}

internal readonly unsafe struct SinglePrecision : IPrecision
{
    public static double Load(byte* at) => *(float*)at;

    public static void StoreFromInt(byte* at, long value) => *(float*)at = value;
}

internal readonly unsafe struct DoublePrecision : IPrecision
{
    public static double Load(byte* at) => *(double*)at;

    public static void StoreFromInt(byte* at, long value) => *(double*)at = value;
}

/// <summary>Conversions between floating-point numbers and general registers; comparisons that set flags.</summary>
internal static unsafe class FloatConversions
{
    /// <summary>cvtsi2ss, cvtsi2sd.</summary>
    public static delegate*<CpuCore*, Op*, Op*> FromInteger<P>(in Instruction i)
        where P : struct, IPrecision => (Operands.FormOf(i), Operands.SizeOf(i, 1)) switch
        {
            (Form.RegReg, 4) => &FromReg<P, W32>,
            (Form.RegReg, 8) => &FromReg<P, W64>,
            (Form.RegMem, 4) => &FromMem<P, W32>,
            (Form.RegMem, 8) => &FromMem<P, W64>,
            _ => null,
        };

    /// <summary>cvttss2si, cvttsd2si, and without the second t rounded to nearest.</summary>
    public static delegate*<CpuCore*, Op*, Op*> ToInteger<P>(in Instruction i, Op* op, bool truncate)
        where P : struct, IPrecision
    {
        op->Third = (ushort)(truncate ? 1 : 0);
        var single = typeof(P) == typeof(SinglePrecision);
        return (Operands.FormOf(i), Operands.SizeOf(i, 0)) switch
        {
            (Form.RegReg, 4) => &ToRegFromReg<P, W32>,
            (Form.RegReg, 8) => &ToRegFromReg<P, W64>,
            (Form.RegMem, 4) => single ? &ToRegFromMem<P, W32, W32> : &ToRegFromMem<P, W32, W64>,
            (Form.RegMem, 8) => single ? &ToRegFromMem<P, W64, W32> : &ToRegFromMem<P, W64, W64>,
            _ => null,
        };
    }

    /// <summary>ucomiss, comiss and the like: unordered sets ZF, PF and CF.</summary>
    public static delegate*<CpuCore*, Op*, Op*> Compare<P>(in Instruction i)
        where P : struct, IPrecision =>
        Operands.FormOf(i) == Form.RegReg ? &CompareReg<P> : typeof(P) == typeof(SinglePrecision) ? &CompareMem<P, W32> : &CompareMem<P, W64>;

    private static Op* FromReg<P, W>(CpuCore* c, Op* op)
        where P : struct, IPrecision
        where W : struct, IWidth
    {
        if (Vectors.Unmodelled(c)) return SystemInstructions.Unknown(c, op);
        P.StoreFromInt((byte*)c + op->Destination, Width<W>.Signed(W.Load((byte*)c + op->Source)));
        return op + 1;
    }

    private static Op* FromMem<P, W>(CpuCore* c, Op* op)
        where P : struct, IPrecision
        where W : struct, IWidth
    {
        if (Vectors.Unmodelled(c)) return SystemInstructions.Unknown(c, op);
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        P.StoreFromInt((byte*)c + op->Destination, Width<W>.Signed(W.Load(memory)));
        return op + 1;
    }

    private static Op* ToRegFromReg<P, W>(CpuCore* c, Op* op)
        where P : struct, IPrecision
        where W : struct, IWidth => ToReg<W>(c, op, P.Load((byte*)c + op->Source));

    private static Op* ToRegFromMem<P, W, M>(CpuCore* c, Op* op)
        where P : struct, IPrecision
        where W : struct, IWidth
        where M : struct, IWidth
    {
        var memory = CpuCore.Readable<M>(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : ToReg<W>(c, op, P.Load(memory));
    }

    private static Op* ToReg<W>(CpuCore* c, Op* op, double value)
        where W : struct, IWidth
    {
        if (Vectors.Unmodelled(c)) return SystemInstructions.Unknown(c, op);
        if (op->Third == 0) value = Math.Round(value);
        W.Put((byte*)c + op->Destination, W.Bytes == 4 ? (ulong)Floats.ToInt32(value) : (ulong)Floats.ToInt64(value));
        return op + 1;
    }

    private static Op* CompareReg<P>(CpuCore* c, Op* op)
        where P : struct, IPrecision => Compare(c, op, P.Load((byte*)c + op->Destination), P.Load((byte*)c + op->Source));

    private static Op* CompareMem<P, M>(CpuCore* c, Op* op)
        where P : struct, IPrecision
        where M : struct, IWidth
    {
        var memory = CpuCore.Readable<M>(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : Compare(c, op, P.Load((byte*)c + op->Destination), P.Load(memory));
    }

    private static Op* Compare(CpuCore* c, Op* op, double a, double b)
    {
        if (Vectors.Unmodelled(c)) return SystemInstructions.Unknown(c, op);
        c->ArithmeticFlags = a > b ? 0UL : a < b ? 1UL : a == b ? 0x40UL : 0x45UL;
        return op + 1;
    }
}
