using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>An operation of two operands that sets all flags.</summary>
internal unsafe interface IBinary
{
    /// <summary>False for cmp and test.</summary>
    static abstract bool Writes { get; }

    static abstract ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth;
}

/// <summary>An operation of one operand.</summary>
internal unsafe interface IUnary
{
    static abstract ulong Apply<W>(CpuCore* c, ulong a)
        where W : struct, IWidth;
}

internal readonly unsafe struct Add : IBinary
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        var r = a + b;
        c->SetFlags<W>(r, (a & b) | ((a | b) & ~r));
        return r;
    }
}

internal readonly unsafe struct Adc : IBinary
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        var r = a + b + (c->FlagCarry >> 63);
        c->SetFlags<W>(r, (a & b) | ((a | b) & ~r));
        return r;
    }
}

internal readonly unsafe struct Sub : IBinary
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        var r = a - b;
        c->SetFlags<W>(r, (~a & b) | ((~a | b) & r));
        return r;
    }
}

internal readonly unsafe struct Sbb : IBinary
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        var r = a - b - (c->FlagCarry >> 63);
        c->SetFlags<W>(r, (~a & b) | ((~a | b) & r));
        return r;
    }
}

internal readonly unsafe struct Cmp : IBinary
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth => Sub.Apply<W>(c, a, b);
}

internal readonly unsafe struct And : IBinary
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        c->SetFlags<W>(a & b, 0);
        return a & b;
    }
}

internal readonly unsafe struct Test : IBinary
{
    public static bool Writes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth => And.Apply<W>(c, a, b);
}

internal readonly unsafe struct Or : IBinary
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        c->SetFlags<W>(a | b, 0);
        return a | b;
    }
}

internal readonly unsafe struct Xor : IBinary
{
    public static bool Writes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, ulong b)
        where W : struct, IWidth
    {
        c->SetFlags<W>(a ^ b, 0);
        return a ^ b;
    }
}

/// <summary>Like add 1, but CF stays.</summary>
internal readonly unsafe struct Inc : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a)
        where W : struct, IWidth
    {
        var carry = c->FlagCarry >> 63;
        var r = Add.Apply<W>(c, a, 1);
        c->SetCarry(carry);
        return r;
    }
}

/// <summary>Like sub 1, but CF stays.</summary>
internal readonly unsafe struct Dec : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a)
        where W : struct, IWidth
    {
        var carry = c->FlagCarry >> 63;
        var r = Sub.Apply<W>(c, a, 1);
        c->SetCarry(carry);
        return r;
    }
}

internal readonly unsafe struct Neg : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a)
        where W : struct, IWidth => Sub.Apply<W>(c, 0, a);
}

/// <summary>Touches no flags.</summary>
internal readonly unsafe struct Not : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a)
        where W : struct, IWidth => ~a;
}

/// <summary>add, adc, sub, sbb, cmp, and, or, xor, test; inc, dec, neg, not.</summary>
internal static unsafe class Arithmetic
{
    public static delegate*<CpuCore*, Op*, Op*> Binary<T>(in Instruction i)
        where T : struct, IBinary => Operands.SizeOf(i, 0) switch
        {
            1 => Binary<T, W8>(i),
            2 => Binary<T, W16>(i),
            4 => Binary<T, W32>(i),
            8 => Binary<T, W64>(i),
            _ => null,
        };

    public static delegate*<CpuCore*, Op*, Op*> Unary<T>(in Instruction i)
        where T : struct, IUnary => Operands.SizeOf(i, 0) switch
        {
            1 => Unary<T, W8>(i),
            2 => Unary<T, W16>(i),
            4 => Unary<T, W32>(i),
            8 => Unary<T, W64>(i),
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> Binary<T, W>(in Instruction i)
        where T : struct, IBinary
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegReg => &RegReg<T, W>,
            Form.RegImm => &RegImm<T, W>,
            Form.RegMem => &RegMem<T, W>,
            Form.MemReg => &MemReg<T, W>,
            Form.MemImm => &MemImm<T, W>,
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> Unary<T, W>(in Instruction i)
        where T : struct, IUnary
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.Reg => &Reg<T, W>,
            Form.Mem => &Mem<T, W>,
            _ => null,
        };

    private static Op* RegReg<T, W>(CpuCore* c, Op* op)
        where T : struct, IBinary
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        var result = T.Apply<W>(c, W.Load(destination), W.Load((byte*)c + op->Source));
        if (T.Writes) W.Put(destination, result);
        return op + 1;
    }

    private static Op* RegImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IBinary
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        var result = T.Apply<W>(c, W.Load(destination), op->Immediate & Width<W>.Mask);
        if (T.Writes) W.Put(destination, result);
        return op + 1;
    }

    private static Op* RegMem<T, W>(CpuCore* c, Op* op)
        where T : struct, IBinary
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var destination = (byte*)c + op->Destination;
        var result = T.Apply<W>(c, W.Load(destination), W.Load(memory));
        if (T.Writes) W.Put(destination, result);
        return op + 1;
    }

    private static Op* MemReg<T, W>(CpuCore* c, Op* op)
        where T : struct, IBinary
        where W : struct, IWidth => OnMemory<T, W>(c, op, W.Load((byte*)c + op->Source));

    private static Op* MemImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IBinary
        where W : struct, IWidth => OnMemory<T, W>(c, op, op->Immediate & Width<W>.Mask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* OnMemory<T, W>(CpuCore* c, Op* op, ulong b)
        where T : struct, IBinary
        where W : struct, IWidth
    {
        var address = CpuCore.AddressOf(c, op);
        var memory = T.Writes ? CpuCore.Writable<W>(c, address) : CpuCore.Readable<W>(c, address);
        if (memory is null) return null;
        var result = T.Apply<W>(c, W.Load(memory), b);
        if (T.Writes)
        {
            W.Store(memory, result);
            CpuCore.Commit<W>(c, memory);
        }
        return op + 1;
    }

    private static Op* Reg<T, W>(CpuCore* c, Op* op)
        where T : struct, IUnary
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        W.Put(destination, T.Apply<W>(c, W.Load(destination)));
        return op + 1;
    }

    private static Op* Mem<T, W>(CpuCore* c, Op* op)
        where T : struct, IUnary
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Store(memory, T.Apply<W>(c, W.Load(memory)));
        CpuCore.Commit<W>(c, memory);
        return op + 1;
    }
}
