using Iced.Intel;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>Executes SSE instructions that are a function of destination, source and immediate; the function is in <see cref="Op.Target"/>.</summary>
internal static unsafe class Vectors
{
    // All exceptions masked, round to nearest, no flush to zero: what isn't a sticky exception bit must be this.
    private const uint ModelledControl = 0x1F80;
    private const uint ControlBits = 0xFFC0;

    public static delegate*<CpuCore*, Op*, Op*> Integer(in Instruction i, Op* op, delegate*<V, V, byte, V> function)
    {
        op->Target = (Op*)function;
        return Operands.FormOf(i) switch
        {
            Form.RegReg or Form.RegRegImm => &Reg,
            Form.RegMem or Form.RegMemImm => i.MemorySize.GetSize() switch
            {
                16 => &Mem16,
                8 => &MemLow<W64>,
                4 => &MemLow<W32>,
                2 => &MemLow<W16>,
                _ => null,
            },
            _ => null,
        };
    }

    /// <summary>A shift: by an xmm operand or by an immediate.</summary>
    public static delegate*<CpuCore*, Op*, Op*> Shift(in Instruction i, Op* op, delegate*<V, V, byte, V> function)
    {
        if (Operands.FormOf(i) != Form.RegImm) return Integer(i, op, function);
        op->Target = (Op*)function;
        return &ByImmediate;
    }

    public static delegate*<CpuCore*, Op*, Op*> Float(in Instruction i, Op* op, delegate*<V, V, byte, V> function)
    {
        op->Target = (Op*)function;
        return Operands.FormOf(i) switch
        {
            Form.RegReg or Form.RegRegImm => &FloatReg,
            Form.RegMem or Form.RegMemImm => i.MemorySize.GetSize() switch
            {
                16 => &FloatMem16,
                8 => &FloatMemLow<W64>,
                4 => &FloatMemLow<W32>,
                _ => null,
            },
            _ => null,
        };
    }

    /// <summary>Does MXCSR ask for arithmetic that isn't modelled?</summary>
    public static bool Unmodelled(CpuCore* c) => (c->State.MxCsr & ControlBits) != ModelledControl;

    /// <summary>An aligned 16-byte memory operand; null with #GP or another refusal.</summary>
    public static V* Aligned(CpuCore* c, Op* op)
    {
        var address = CpuCore.AddressOf(c, op);
        if ((address & 15) == 0) return (V*)CpuCore.Readable16(c, address);
        CpuCore.Refuse(c, CpuExitKind.GeneralProtection, address);
        return null;
    }

    private static Op* Apply(CpuCore* c, Op* op, V source)
    {
        var destination = (V*)((byte*)c + op->Destination);
        *destination = ((delegate*<V, V, byte, V>)op->Target)(*destination, source, (byte)op->Immediate);
        return op + 1;
    }

    private static Op* Reg(CpuCore* c, Op* op) => Apply(c, op, *(V*)((byte*)c + op->Source));

    private static Op* Mem16(CpuCore* c, Op* op)
    {
        var memory = Aligned(c, op);
        return memory is null ? null : Apply(c, op, *memory);
    }

    private static Op* MemLow<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : Apply(c, op, VectorIntegers.Low(W.Load(memory)));
    }

    private static Op* ByImmediate(CpuCore* c, Op* op) => Apply(c, op, VectorIntegers.Low((byte)op->Immediate));

    private static Op* FloatReg(CpuCore* c, Op* op) => Unmodelled(c) ? SystemInstructions.Unknown(c, op) : Reg(c, op);

    private static Op* FloatMem16(CpuCore* c, Op* op) => Unmodelled(c) ? SystemInstructions.Unknown(c, op) : Mem16(c, op);

    private static Op* FloatMemLow<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => Unmodelled(c) ? SystemInstructions.Unknown(c, op) : MemLow<W>(c, op);
}
