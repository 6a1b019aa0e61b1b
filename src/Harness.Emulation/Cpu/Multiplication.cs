using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>
/// mul, imul, div, idiv. After a multiplication SF, ZF and PF, which the architecture leaves undefined, tell of the low half and AF is
/// clear; a division leaves all flags as they are.
/// </summary>
internal static unsafe class Multiplication
{
    public static delegate*<CpuCore*, Op*, Op*> Mul(in Instruction i) => Wide<UnsignedProduct>(i);

    public static delegate*<CpuCore*, Op*, Op*> Imul(in Instruction i) => i.OpCount == 1 ? Wide<SignedProduct>(i) : Operands.SizeOf(i, 0) switch
    {
        2 => Truncating<W16>(i),
        4 => Truncating<W32>(i),
        8 => Truncating<W64>(i),
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Div(in Instruction i) => Wide<UnsignedQuotient>(i);

    public static delegate*<CpuCore*, Op*, Op*> Idiv(in Instruction i) => Wide<SignedQuotient>(i);

    /// <summary>Sets the flags of a multiplication.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetFlags<W>(CpuCore* c, ulong low, bool overflow)
        where W : struct, IWidth => c->SetFlags<W>(low, overflow ? 1UL : 0, overflow ? 1UL : 0);

    private static delegate*<CpuCore*, Op*, Op*> Wide<T>(in Instruction i)
        where T : struct, IWide => Operands.SizeOf(i, 0) switch
        {
            1 => Wide<T, W8>(i),
            2 => Wide<T, W16>(i),
            4 => Wide<T, W32>(i),
            8 => Wide<T, W64>(i),
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> Wide<T, W>(in Instruction i)
        where T : struct, IWide
        where W : struct, IWidth => Operands.FormOf(i) == Form.Mem ? &WideMem<T, W> : &WideReg<T, W>;

    private static delegate*<CpuCore*, Op*, Op*> Truncating<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegReg => &ImulReg<W>,
            Form.RegMem => &ImulMem<W>,
            Form.RegRegImm => &ImulRegImm<W>,
            Form.RegMemImm => &ImulMemImm<W>,
            _ => null,
        };

    private static Op* WideReg<T, W>(CpuCore* c, Op* op)
        where T : struct, IWide
        where W : struct, IWidth => T.Apply<W>(c, W.Load((byte*)c + op->Destination)) ? op + 1 : CpuCore.Refuse(c, CpuExitKind.DivideError);

    private static Op* WideMem<T, W>(CpuCore* c, Op* op)
        where T : struct, IWide
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        return T.Apply<W>(c, W.Load(memory)) ? op + 1 : CpuCore.Refuse(c, CpuExitKind.DivideError);
    }

    private static Op* ImulReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        W.Put(destination, Truncated<W>(c, W.Load(destination), W.Load((byte*)c + op->Source)));
        return op + 1;
    }

    private static Op* ImulMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var destination = (byte*)c + op->Destination;
        W.Put(destination, Truncated<W>(c, W.Load(destination), W.Load(memory)));
        return op + 1;
    }

    private static Op* ImulRegImm<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        W.Put((byte*)c + op->Destination, Truncated<W>(c, W.Load((byte*)c + op->Source), op->Immediate));
        return op + 1;
    }

    private static Op* ImulMemImm<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Put((byte*)c + op->Destination, Truncated<W>(c, W.Load(memory), op->Immediate));
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Truncated<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        var high = Math.BigMul(Width<W>.Signed(a), Width<W>.Signed(b), out var low);
        SetFlags<W>(c, (ulong)low, high != low >> 63 || Width<W>.Signed((ulong)low) != low);
        return (ulong)low;
    }
}

/// <summary>An operation on the accumulator and the register above it.</summary>
internal unsafe interface IWide
{
    /// <summary>False: #DE.</summary>
    static abstract bool Apply<W>(CpuCore* c, ulong operand)
        where W : struct, IWidth;
}

/// <summary>The pair (rdx:rax, dx:ax; with 8 bits ax).</summary>
internal static unsafe class Pair
{
    public static ulong Low<W>(CpuCore* c)
        where W : struct, IWidth => W.Load((byte*)&c->State.Rax);

    public static ulong High<W>(CpuCore* c)
        where W : struct, IWidth => W.Load(W.Bytes == 1 ? (byte*)&c->State.Rax + 1 : (byte*)&c->State.Rdx);

    public static void Set<W>(CpuCore* c, ulong low, ulong high)
        where W : struct, IWidth
    {
        W.Put((byte*)&c->State.Rax, low);
        W.Put(W.Bytes == 1 ? (byte*)&c->State.Rax + 1 : (byte*)&c->State.Rdx, high);
    }
}

internal readonly unsafe struct UnsignedProduct : IWide
{
    public static bool Apply<W>(CpuCore* c, ulong operand)
        where W : struct, IWidth
    {
        var high = Math.BigMul(Pair.Low<W>(c), operand, out var low);
        if (W.Bytes < 8) high = low >> Width<W>.Bits;
        Pair.Set<W>(c, low, high);
        Multiplication.SetFlags<W>(c, low, high != 0);
        return true;
    }
}

internal readonly unsafe struct SignedProduct : IWide
{
    public static bool Apply<W>(CpuCore* c, ulong operand)
        where W : struct, IWidth
    {
        var high = Math.BigMul(Width<W>.Signed(Pair.Low<W>(c)), Width<W>.Signed(operand), out var low);
        var overflow = high != low >> 63 || Width<W>.Signed((ulong)low) != low;
        Pair.Set<W>(c, (ulong)low, W.Bytes < 8 ? (ulong)(low >> (Width<W>.Bits & 63)) : (ulong)high);
        Multiplication.SetFlags<W>(c, (ulong)low, overflow);
        return true;
    }
}

internal readonly unsafe struct UnsignedQuotient : IWide
{
    public static bool Apply<W>(CpuCore* c, ulong operand)
        where W : struct, IWidth
    {
        var high = Pair.High<W>(c);
        // Also catches a zero divisor.
        if (high >= operand) return false;
        if (W.Bytes < 8 || high == 0)
        {
            var dividend = (W.Bytes < 8 ? high << (Width<W>.Bits & 63) : 0) | Pair.Low<W>(c);
            Pair.Set<W>(c, dividend / operand, dividend % operand);
            return true;
        }
        var (quotient, remainder) = UInt128.DivRem(new UInt128(high, Pair.Low<W>(c)), operand);
        Pair.Set<W>(c, (ulong)quotient, (ulong)remainder);
        return true;
    }
}

internal readonly unsafe struct SignedQuotient : IWide
{
    public static bool Apply<W>(CpuCore* c, ulong operand)
        where W : struct, IWidth
    {
        var divisor = Width<W>.Signed(operand);
        if (divisor == 0) return false;
        var dividend = W.Bytes == 8
            ? new Int128(Pair.High<W>(c), Pair.Low<W>(c))
            : (long)((Pair.High<W>(c) << (Width<W>.Bits & 63)) | Pair.Low<W>(c)) << (W.Bytes == 8 ? 0 : 64 - (2 * Width<W>.Bits)) >> (W.Bytes == 8 ? 0 : 64 - (2 * Width<W>.Bits));
        // Magnitudes, because the most negative Int128 divided by -1 doesn't fit one.
        var negative = Int128.IsNegative(dividend) != divisor < 0;
        var magnitude = Int128.IsNegative(dividend) ? (UInt128)0 - (UInt128)dividend : (UInt128)dividend;
        var by = divisor < 0 ? 0UL - (ulong)divisor : (ulong)divisor;
        var (quotient, remainder) = UInt128.DivRem(magnitude, by);
        var limit = (UInt128)1 << (Width<W>.Bits - 1);
        if (quotient > (negative ? limit : limit - 1)) return false;
        Pair.Set<W>(
            c,
            negative ? 0UL - (ulong)quotient : (ulong)quotient,
            Int128.IsNegative(dividend) ? 0UL - (ulong)remainder : (ulong)remainder);
        return true;
    }
}
