using System.Numerics;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>An operation of BMI1 or BMI2 with one result.</summary>
internal unsafe interface IBitManipulation
{
    /// <summary>Is the second operand the immediate?</summary>
    static abstract bool TakesImmediate { get; }

    /// <param name="c">For the flags.</param>
    /// <param name="value">The operand that may be in memory.</param>
    /// <param name="other">The operand that is a register or an immediate; without meaning where there is none.</param>
    static abstract ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth;
}

/// <summary>BMI1, BMI2 and ADX. Flags the architecture leaves undefined: AF is clear, SF, ZF and PF tell of the result.</summary>
internal static unsafe class BitManipulation
{
    public static delegate*<CpuCore*, Op*, Op*> HandlerOf(in Instruction i, Op* op) => i.Mnemonic switch
    {
        Mnemonic.Andn => LastInMemory<Andn>(i, op),
        Mnemonic.Pdep => LastInMemory<Pdep>(i, op),
        Mnemonic.Pext => LastInMemory<Pext>(i, op),
        Mnemonic.Bextr => Pick<Bextr>(i),
        Mnemonic.Bzhi => Pick<Bzhi>(i),
        Mnemonic.Blsi => Pick<Blsi>(i),
        Mnemonic.Blsr => Pick<Blsr>(i),
        Mnemonic.Blsmsk => Pick<Blsmsk>(i),
        Mnemonic.Rorx => Pick<Rorx>(i),
        Mnemonic.Sarx => Pick<Sarx>(i),
        Mnemonic.Shlx => Pick<Shlx>(i),
        Mnemonic.Shrx => Pick<Shrx>(i),
        Mnemonic.Mulx => Mulx(i),
        Mnemonic.Adcx => AddCarry(i, op, overflow: false),
        Mnemonic.Adox => AddCarry(i, op, overflow: true),
        _ => null,
    };

    private static delegate*<CpuCore*, Op*, Op*> LastInMemory<T>(in Instruction i, Op* op)
        where T : struct, IBitManipulation
    {
        (op->Source, op->Third) = (op->Third, op->Source);
        return Pick<T>(i);
    }

    private static delegate*<CpuCore*, Op*, Op*> Pick<T>(in Instruction i)
        where T : struct, IBitManipulation => (Operands.SizeOf(i, 0), Operands.Uses(i, OpKind.Memory)) switch
        {
            (4, false) => &Reg<T, W32>,
            (4, true) => &Mem<T, W32>,
            (8, false) => &Reg<T, W64>,
            (8, true) => &Mem<T, W64>,
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> Mulx(in Instruction i) => (Operands.SizeOf(i, 0), Operands.Uses(i, OpKind.Memory)) switch
    {
        (4, false) => &MulxReg<W32>,
        (4, true) => &MulxMem<W32>,
        (8, false) => &MulxReg<W64>,
        (8, true) => &MulxMem<W64>,
        _ => null,
    };

    private static delegate*<CpuCore*, Op*, Op*> AddCarry(in Instruction i, Op* op, bool overflow)
    {
        op->Third = (ushort)(overflow ? 1 : 0);
        return (Operands.SizeOf(i, 0), Operands.Uses(i, OpKind.Memory)) switch
        {
            (4, false) => &AddCarryReg<W32>,
            (4, true) => &AddCarryMem<W32>,
            (8, false) => &AddCarryReg<W64>,
            (8, true) => &AddCarryMem<W64>,
            _ => null,
        };
    }

    private static Op* Reg<T, W>(CpuCore* c, Op* op)
        where T : struct, IBitManipulation
        where W : struct, IWidth => Apply<T, W>(c, op, W.Load((byte*)c + op->Source));

    private static Op* Mem<T, W>(CpuCore* c, Op* op)
        where T : struct, IBitManipulation
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : Apply<T, W>(c, op, W.Load(memory));
    }

    private static Op* Apply<T, W>(CpuCore* c, Op* op, ulong value)
        where T : struct, IBitManipulation
        where W : struct, IWidth
    {
        var other = T.TakesImmediate ? op->Immediate : W.Load((byte*)c + op->Third);
        W.Put((byte*)c + op->Destination, T.Apply<W>(c, value, other));
        return op + 1;
    }

    private static Op* MulxReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => Multiply<W>(c, op, W.Load((byte*)c + op->Third));

    private static Op* MulxMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : Multiply<W>(c, op, W.Load(memory));
    }

    private static Op* Multiply<W>(CpuCore* c, Op* op, ulong value)
        where W : struct, IWidth
    {
        var high = Math.BigMul(W.Load((byte*)&c->State.Rdx), value, out var low);
        // In this order: of two equal registers the high half remains.
        W.Put((byte*)c + op->Source, low);
        W.Put((byte*)c + op->Destination, W.Bytes == 8 ? high : low >> 32);
        return op + 1;
    }

    private static Op* AddCarryReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => AddCarry<W>(c, op, W.Load((byte*)c + op->Source));

    private static Op* AddCarryMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : AddCarry<W>(c, op, W.Load(memory));
    }

    // adcx adds and leaves CF, adox OF; the other stays.
    private static Op* AddCarry<W>(CpuCore* c, Op* op, ulong value)
        where W : struct, IWidth
    {
        var (carry, overflow) = (c->Cf ? 1UL : 0, c->Of ? 1UL : 0);
        var destination = (byte*)c + op->Destination;
        var sum = (UInt128)W.Load(destination) + value + (op->Third == 0 ? carry : overflow);
        W.Put(destination, (ulong)sum);
        var carried = (ulong)(sum >> Width<W>.Bits);
        if (op->Third == 0) c->SetCarryAndOverflow(carried, overflow);
        else c->SetCarryAndOverflow(carry, carried);
        return op + 1;
    }
}

internal readonly unsafe struct Andn : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var result = ~other & value;
        c->SetFlags<W>(result, 0, 0);
        return result;
    }
}

/// <summary>Other: the first bit in bits 0–7, how many in bits 8–15.</summary>
internal readonly unsafe struct Bextr : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var (first, count) = ((int)(other & 0xFF), (int)((other >> 8) & 0xFF));
        var result = first >= Width<W>.Bits ? 0 : value >> first;
        if (count < 64) result &= (1UL << count) - 1;
        c->SetFlags<W>(result, 0, 0);
        return result;
    }
}

/// <summary>The lowest bits, as many as the count says. CF: the count is the width or more.</summary>
internal readonly unsafe struct Bzhi : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var count = (int)(other & 0xFF);
        var all = count >= Width<W>.Bits;
        var result = all ? value : value & ((1UL << count) - 1);
        c->SetFlags<W>(result, all ? 1UL : 0, 0);
        return result;
    }
}

/// <summary>The lowest set bit alone. CF: there is one.</summary>
internal readonly unsafe struct Blsi : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var result = value & (0 - value);
        c->SetFlags<W>(result, value != 0 ? 1UL : 0, 0);
        return result;
    }
}

/// <summary>Without the lowest set bit. CF: there was none.</summary>
internal readonly unsafe struct Blsr : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var result = value & (value - 1);
        c->SetFlags<W>(result, value == 0 ? 1UL : 0, 0);
        return result;
    }
}

/// <summary>All bits up to the lowest set one. CF: there was none.</summary>
internal readonly unsafe struct Blsmsk : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var result = value ^ (value - 1);
        c->SetFlags<W>(result, value == 0 ? 1UL : 0, 0);
        return result;
    }
}

/// <summary>Puts the low bits where the mask has bits.</summary>
internal readonly unsafe struct Pdep : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var result = 0UL;
        for (var mask = value; mask != 0; mask &= mask - 1, other >>= 1)
            if ((other & 1) != 0) result |= mask & (0 - mask);
        return result;
    }
}

/// <summary>Takes the bits where the mask has bits.</summary>
internal readonly unsafe struct Pext : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth
    {
        var result = 0UL;
        var at = 0;
        for (var mask = value; mask != 0; mask &= mask - 1, at++)
            if ((other & mask & (0 - mask)) != 0) result |= 1UL << at;
        return result;
    }
}

internal readonly unsafe struct Rorx : IBitManipulation
{
    public static bool TakesImmediate => true;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth => W.Bytes == 8 ? BitOperations.RotateRight(value, (int)other) : BitOperations.RotateRight((uint)value, (int)other);
}

internal readonly unsafe struct Sarx : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth => (ulong)(Width<W>.Signed(value) >> ((int)other & (Width<W>.Bits - 1)));
}

internal readonly unsafe struct Shlx : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth => value << ((int)other & (Width<W>.Bits - 1));
}

internal readonly unsafe struct Shrx : IBitManipulation
{
    public static bool TakesImmediate => false;

    public static ulong Apply<W>(CpuCore* c, ulong value, ulong other)
        where W : struct, IWidth => value >> ((int)other & (Width<W>.Bits - 1));
}
