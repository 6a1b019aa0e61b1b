using System.Runtime.Intrinsics;
using Iced.Intel;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>SSE instructions that move between registers, memory and general registers, or set flags.</summary>
internal static unsafe class VectorMoves
{
    /// <summary>movaps, movapd, movdqa, movntps, movntpd, movntdq, movntdqa: memory must be aligned.</summary>
    public static delegate*<CpuCore*, Op*, Op*> Whole(in Instruction i, bool aligned) => Operands.FormOf(i) switch
    {
        Form.RegReg => &RegReg,
        Form.RegMem => aligned ? &LoadAligned : &LoadUnaligned,
        Form.MemReg => aligned ? &StoreAligned : &StoreUnaligned,
        _ => null,
    };

    /// <summary>movd and movq.</summary>
    public static delegate*<CpuCore*, Op*, Op*> Low(in Instruction i, Op* op) => (Operands.FormOf(i), Operands.SizeOf(i, 0), Operands.SizeOf(i, 1)) switch
    {
        (Form.RegReg, 16, 16) => Vectors.Integer(i, op, &VectorShuffles.Movq),
        (Form.RegReg, 16, 4) => &LowFromReg<W32>,
        (Form.RegReg, 16, 8) => &LowFromReg<W64>,
        (Form.RegReg, 4, 16) => &LowToReg<W32>,
        (Form.RegReg, 8, 16) => &LowToReg<W64>,
        (Form.RegMem, 16, 4) => &LowFromMem<W32>,
        (Form.RegMem, 16, 8) => &LowFromMem<W64>,
        (Form.MemReg, 4, 16) => &StoreLow<W32>,
        (Form.MemReg, 8, 16) => &StoreLow<W64>,
        _ => null,
    };

    /// <summary>movss and movsd: between registers the rest stays, from memory it becomes zero.</summary>
    public static delegate*<CpuCore*, Op*, Op*> Movss(in Instruction i, Op* op) => Operands.FormOf(i) switch
    {
        Form.RegReg => Vectors.Integer(i, op, &VectorShuffles.Movss),
        Form.RegMem => &LowFromMem<W32>,
        Form.MemReg => &StoreLow<W32>,
        _ => null,
    };

    /// <inheritdoc cref="Movss"/>
    public static delegate*<CpuCore*, Op*, Op*> Movsd(in Instruction i, Op* op) => Operands.FormOf(i) switch
    {
        Form.RegReg => Vectors.Integer(i, op, &VectorShuffles.Movsd),
        Form.RegMem => &LowFromMem<W64>,
        Form.MemReg => &StoreLow<W64>,
        _ => null,
    };

    /// <summary>movlps, movlpd.</summary>
    public static delegate*<CpuCore*, Op*, Op*> LowHalf(in Instruction i, Op* op) =>
        Operands.FormOf(i) == Form.MemReg ? &StoreLow<W64> : Vectors.Integer(i, op, &VectorShuffles.Movsd);

    /// <summary>movhps, movhpd.</summary>
    public static delegate*<CpuCore*, Op*, Op*> HighHalf(in Instruction i, Op* op) =>
        Operands.FormOf(i) == Form.MemReg ? &StoreHigh : Vectors.Integer(i, op, &VectorShuffles.Movlhps);

    public static delegate*<CpuCore*, Op*, Op*> Movnti(in Instruction i) => Moves.Mov(i);

    public static delegate*<CpuCore*, Op*, Op*> Insert<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegRegImm => &InsertReg<W>,
            Form.RegMemImm => &InsertMem<W>,
            _ => null,
        };

    public static delegate*<CpuCore*, Op*, Op*> Extract<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegRegImm => &ExtractReg<W>,
            Form.MemRegImm => &ExtractMem<W>,
            _ => null,
        };

    public static Op* Pmovmskb(CpuCore* c, Op* op) => Mask(c, op, Vector128.ExtractMostSignificantBits(*(V*)((byte*)c + op->Source)));

    public static Op* Movmskps(CpuCore* c, Op* op) => Mask(c, op, Vector128.ExtractMostSignificantBits(((V*)((byte*)c + op->Source))->AsUInt32()));

    public static Op* Movmskpd(CpuCore* c, Op* op) => Mask(c, op, Vector128.ExtractMostSignificantBits(((V*)((byte*)c + op->Source))->AsUInt64()));

    public static delegate*<CpuCore*, Op*, Op*> Ptest(in Instruction i) => Operands.FormOf(i) == Form.RegMem ? &PtestMem : &PtestReg;

    /// <summary>pblendvb, blendvps, blendvpd: xmm0 selects, by the top bit of each element.</summary>
    public static delegate*<CpuCore*, Op*, Op*> BlendByXmm0<W>(in Instruction i)
        where W : struct, IWidth => i.Op1Kind == OpKind.Memory ? &BlendMem<W> : &BlendReg<W>;

    /// <summary>Stores the bytes whose mask byte has its top bit set to where rdi points; the others are not touched.</summary>
    public static delegate*<CpuCore*, Op*, Op*> Maskmovdqu(in Instruction i) => i.Op0Kind == OpKind.MemorySegRDI ? &Maskmovdqu : null;

    public static Op* Ldmxcsr(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Readable<W32>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var value = *(uint*)memory;
        if (value > 0xFFFF) return CpuCore.Refuse(c, CpuExitKind.GeneralProtection);
        c->State.MxCsr = value;
        return op + 1;
    }

    public static Op* Stmxcsr(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Writable<W32>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        *(uint*)memory = c->State.MxCsr;
        CpuCore.Commit<W32>(c, memory);
        return op + 1;
    }

    private static Op* Maskmovdqu(CpuCore* c, Op* op)
    {
        var data = (byte*)c + op->Source;
        var mask = (byte*)c + op->Third;
        var address = c->State.Rdi + *(ulong*)((byte*)c + op->Segment);
        for (var i = 0; i < 16; i++)
            if (mask[i] >= 0x80 && CpuCore.Writable<W8>(c, address + (ulong)i) is null) return null;
        for (var i = 0; i < 16; i++)
        {
            if (mask[i] < 0x80) continue;
            var memory = CpuCore.Writable<W8>(c, address + (ulong)i);
            *memory = data[i];
            CpuCore.Commit<W8>(c, memory);
        }
        return op + 1;
    }

    private static V* Destination(CpuCore* c, Op* op) => (V*)((byte*)c + op->Destination);

    private static V* Source(CpuCore* c, Op* op) => (V*)((byte*)c + op->Source);

    private static Op* RegReg(CpuCore* c, Op* op)
    {
        *Destination(c, op) = *Source(c, op);
        return op + 1;
    }

    private static Op* LoadAligned(CpuCore* c, Op* op)
    {
        var memory = Vectors.Aligned(c, op);
        if (memory is null) return null;
        *Destination(c, op) = *memory;
        return op + 1;
    }

    private static Op* LoadUnaligned(CpuCore* c, Op* op)
    {
        var memory = (V*)CpuCore.Readable16(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        *Destination(c, op) = *memory;
        return op + 1;
    }

    private static Op* StoreAligned(CpuCore* c, Op* op)
    {
        var address = CpuCore.AddressOf(c, op);
        return (address & 15) == 0 ? Store(c, op, address) : CpuCore.Refuse(c, CpuExitKind.GeneralProtection, address);
    }

    private static Op* StoreUnaligned(CpuCore* c, Op* op) => Store(c, op, CpuCore.AddressOf(c, op));

    private static Op* Store(CpuCore* c, Op* op, ulong address)
    {
        var memory = CpuCore.Writable16(c, address);
        if (memory is null) return null;
        *(V*)memory = *Source(c, op);
        CpuCore.Commit16(c, memory);
        return op + 1;
    }

    private static Op* LowFromReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        *Destination(c, op) = VectorIntegers.Low(W.Load((byte*)c + op->Source));
        return op + 1;
    }

    private static Op* LowToReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        W.Put((byte*)c + op->Destination, W.Load((byte*)c + op->Source));
        return op + 1;
    }

    private static Op* LowFromMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        *Destination(c, op) = VectorIntegers.Low(W.Load(memory));
        return op + 1;
    }

    private static Op* StoreLow<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => StorePart<W>(c, op, W.Load((byte*)c + op->Source));

    private static Op* StoreHigh(CpuCore* c, Op* op) => StorePart<W64>(c, op, W64.Load((byte*)c + op->Source + 8));

    private static Op* StorePart<W>(CpuCore* c, Op* op, ulong value)
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Store(memory, value);
        CpuCore.Commit<W>(c, memory);
        return op + 1;
    }

    private static byte* Lane<W>(byte* register, ulong number)
        where W : struct, IWidth => register + ((number * (ulong)W.Bytes) & 15);

    private static Op* InsertReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        W.Store(Lane<W>((byte*)c + op->Destination, op->Immediate), W.Load((byte*)c + op->Source));
        return op + 1;
    }

    private static Op* InsertMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Store(Lane<W>((byte*)c + op->Destination, op->Immediate), W.Load(memory));
        return op + 1;
    }

    // The whole general register is written, whatever the element's size.
    private static Op* ExtractReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        *(ulong*)((byte*)c + op->Destination) = W.Load(Lane<W>((byte*)c + op->Source, op->Immediate));
        return op + 1;
    }

    private static Op* ExtractMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => StorePart<W>(c, op, W.Load(Lane<W>((byte*)c + op->Source, op->Immediate)));

    private static Op* Mask(CpuCore* c, Op* op, uint bits)
    {
        *(ulong*)((byte*)c + op->Destination) = bits;
        return op + 1;
    }

    private static Op* PtestReg(CpuCore* c, Op* op) => Ptest(c, op, *Source(c, op));

    private static Op* PtestMem(CpuCore* c, Op* op)
    {
        var memory = Vectors.Aligned(c, op);
        return memory is null ? null : Ptest(c, op, *memory);
    }

    private static Op* Ptest(CpuCore* c, Op* op, V with)
    {
        var value = *Destination(c, op);
        c->ArithmeticFlags = ((value & with) == default ? 0x40UL : 0) | ((~value & with) == default ? 1UL : 0);
        return op + 1;
    }

    private static Op* BlendReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => Blend<W>(c, op, *Source(c, op));

    private static Op* BlendMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = Vectors.Aligned(c, op);
        return memory is null ? null : Blend<W>(c, op, *memory);
    }

    private static Op* Blend<W>(CpuCore* c, Op* op, V source)
        where W : struct, IWidth
    {
        var by = c->State.Xmm0;
        var selected = W.Bytes switch
        {
            1 => (by.AsSByte() >> 7).AsByte(),
            4 => (by.AsInt32() >> 31).AsByte(),
            _ => (by.AsInt64() >> 63).AsByte(),
        };
        *Destination(c, op) = Vector128.ConditionalSelect(selected, source, *Destination(c, op));
        return op + 1;
    }
}
