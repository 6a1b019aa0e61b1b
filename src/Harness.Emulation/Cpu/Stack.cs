using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>push, pop, pushf, popf, enter, leave.</summary>
internal static unsafe class Stack
{
    // CF PF AF ZF SF OF.
    private const ulong Arithmetic = 0x8D5;
    private const ulong TrapFlag = 0x100;
    private const ulong InterruptFlag = 0x200;

    // TF IF DF IOPL NT AC ID: what popfq can change at privilege level 0 beside the arithmetic flags.
    private const ulong Changeable = 0x0024_7700;

    public static delegate*<CpuCore*, Op*, Op*> PushOf(in Instruction i) => (Operands.FormOf(i), i.StackPointerIncrement) switch
    {
        (Form.Reg, -8) => &PushReg<W64>,
        (Form.Reg, -2) => &PushReg<W16>,
        (Form.Mem, -8) => &PushMem<W64>,
        (Form.Mem, -2) => &PushMem<W16>,
        (Form.Imm, -8) => &PushImm<W64>,
        (Form.Imm, -2) => &PushImm<W16>,
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> PopOf(in Instruction i) => (Operands.FormOf(i), i.StackPointerIncrement) switch
    {
        (Form.Reg, 8) => &PopReg<W64>,
        (Form.Reg, 2) => &PopReg<W16>,
        (Form.Mem, 8) => &PopMem<W64>,
        (Form.Mem, 2) => &PopMem<W16>,
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> LeaveOf(in Instruction i) => i.Code == Code.Leaveq ? &Leave<W64> : &Leave<W16>;

    // Nested frames (a level above 0) are Pascal's and come from no compiler for Windows.
    public static delegate*<CpuCore*, Op*, Op*> EnterOf(in Instruction i) => i.Code == Code.Enterq_imm16_imm8 && i.Immediate8_2nd == 0 ? &Enter : null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Push<W>(CpuCore* c, ulong value)
        where W : struct, IWidth
    {
        var address = c->State.Rsp - (ulong)W.Bytes;
        var memory = CpuCore.Writable<W>(c, address);
        if (memory is null) return false;
        W.Store(memory, value);
        CpuCore.Commit<W>(c, memory);
        c->State.Rsp = address;
        return true;
    }

    public static Op* Pushfq(CpuCore* c, Op* op) => Push<W64>(c, FlagsOf(c)) ? op + 1 : null;

    public static Op* Pushf(CpuCore* c, Op* op) => Push<W16>(c, FlagsOf(c)) ? op + 1 : null;

    public static Op* Popfq(CpuCore* c, Op* op) => PopFlags<W64>(c, op, Changeable);

    public static Op* Popf(CpuCore* c, Op* op) => PopFlags<W16>(c, op, Changeable & 0xFFFF);

    /// <summary>RFLAGS as a whole, between runs.</summary>
    public static ulong FlagsOf(CpuCore* c) => (c->State.Rflags & ~Arithmetic) | c->ArithmeticFlags | 2;

    private static Op* PopFlags<W>(CpuCore* c, Op* op, ulong changeable)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, c->State.Rsp);
        if (memory is null) return null;
        var value = W.Load(memory);
        // Single-stepping is not modelled.
        if ((value & TrapFlag) != 0) return SystemInstructions.Unknown(c, op);
        var before = c->State.Rflags;
        c->State.Rsp += (ulong)W.Bytes;
        c->State.Rflags = (before & ~changeable) | (value & changeable);
        c->ArithmeticFlags = value;
        return (~before & c->State.Rflags & InterruptFlag) != 0 ? CpuCore.Stop(c, op, CpuExitKind.InterruptsEnabled) : op + 1;
    }

    private static Op* PushReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => Push<W>(c, W.Load((byte*)c + op->Destination)) ? op + 1 : null;

    private static Op* PushImm<W>(CpuCore* c, Op* op)
        where W : struct, IWidth => Push<W>(c, op->Immediate) ? op + 1 : null;

    private static Op* PushMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        return memory is not null && Push<W>(c, W.Load(memory)) ? op + 1 : null;
    }

    // `pop rsp` and `pop sp` keep what was popped, not the raised pointer.
    private static Op* PopReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, c->State.Rsp);
        if (memory is null) return null;
        c->State.Rsp += (ulong)W.Bytes;
        W.Put((byte*)c + op->Destination, W.Load(memory));
        return op + 1;
    }

    // An address based on rsp uses the raised pointer.
    private static Op* PopMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var from = CpuCore.Readable<W>(c, c->State.Rsp);
        if (from is null) return null;
        var value = W.Load(from);
        c->State.Rsp += (ulong)W.Bytes;
        var to = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (to is null)
        {
            c->State.Rsp -= (ulong)W.Bytes;
            return null;
        }
        W.Store(to, value);
        CpuCore.Commit<W>(c, to);
        return op + 1;
    }

    private static Op* Leave<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, c->State.Rbp);
        if (memory is null) return null;
        c->State.Rsp = c->State.Rbp + (ulong)W.Bytes;
        W.Put((byte*)&c->State.Rbp, W.Load(memory));
        return op + 1;
    }

    private static Op* Enter(CpuCore* c, Op* op)
    {
        var size = (ushort)op->Immediate;
        if (!Push<W64>(c, c->State.Rbp)) return null;
        c->State.Rbp = c->State.Rsp;
        c->State.Rsp -= size;
        return op + 1;
    }
}
