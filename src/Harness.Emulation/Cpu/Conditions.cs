using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>A condition on the flags.</summary>
internal unsafe interface ICondition
{
    static abstract bool Holds(CpuCore* c);
}

/// <summary>The sixteen conditions, by the letters instructions spell them with.</summary>
internal static class If
{
    public readonly unsafe struct Always : ICondition
    {
        public static bool Holds(CpuCore* c) => true;
    }

    public readonly unsafe struct O : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Of;
    }

    public readonly unsafe struct No : ICondition
    {
        public static bool Holds(CpuCore* c) => !c->Of;
    }

    public readonly unsafe struct B : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Cf;
    }

    public readonly unsafe struct Ae : ICondition
    {
        public static bool Holds(CpuCore* c) => !c->Cf;
    }

    public readonly unsafe struct E : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Zf;
    }

    public readonly unsafe struct Ne : ICondition
    {
        public static bool Holds(CpuCore* c) => !c->Zf;
    }

    public readonly unsafe struct Be : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Cf || c->Zf;
    }

    public readonly unsafe struct A : ICondition
    {
        public static bool Holds(CpuCore* c) => !c->Cf && !c->Zf;
    }

    public readonly unsafe struct S : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Sf;
    }

    public readonly unsafe struct Ns : ICondition
    {
        public static bool Holds(CpuCore* c) => !c->Sf;
    }

    public readonly unsafe struct P : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Pf;
    }

    public readonly unsafe struct Np : ICondition
    {
        public static bool Holds(CpuCore* c) => !c->Pf;
    }

    public readonly unsafe struct L : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Sf != c->Of;
    }

    public readonly unsafe struct Ge : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Sf == c->Of;
    }

    public readonly unsafe struct Le : ICondition
    {
        public static bool Holds(CpuCore* c) => c->Zf || c->Sf != c->Of;
    }

    public readonly unsafe struct G : ICondition
    {
        public static bool Holds(CpuCore* c) => !c->Zf && c->Sf == c->Of;
    }
}

/// <summary>setcc and cmovcc; jcc is in <see cref="Branches"/>.</summary>
internal static unsafe class Conditions
{
    public static delegate*<CpuCore*, Op*, Op*> HandlerOf(in Instruction i) => i.ConditionCode switch
    {
        ConditionCode.o => Pick<If.O>(i),
        ConditionCode.no => Pick<If.No>(i),
        ConditionCode.b => Pick<If.B>(i),
        ConditionCode.ae => Pick<If.Ae>(i),
        ConditionCode.e => Pick<If.E>(i),
        ConditionCode.ne => Pick<If.Ne>(i),
        ConditionCode.be => Pick<If.Be>(i),
        ConditionCode.a => Pick<If.A>(i),
        ConditionCode.s => Pick<If.S>(i),
        ConditionCode.ns => Pick<If.Ns>(i),
        ConditionCode.p => Pick<If.P>(i),
        ConditionCode.np => Pick<If.Np>(i),
        ConditionCode.l => Pick<If.L>(i),
        ConditionCode.ge => Pick<If.Ge>(i),
        ConditionCode.le => Pick<If.Le>(i),
        ConditionCode.g => Pick<If.G>(i),
        _ => null,
    };

    private static delegate*<CpuCore*, Op*, Op*> Pick<C>(in Instruction i)
        where C : struct, ICondition => (Operands.FormOf(i), Operands.SizeOf(i, 0)) switch
        {
            (Form.Reg, 1) => &SetReg<C>,
            (Form.Mem, 1) => &SetMem<C>,
            (Form.RegReg, 2) => &MoveReg<C, W16>,
            (Form.RegReg, 4) => &MoveReg<C, W32>,
            (Form.RegReg, 8) => &MoveReg<C, W64>,
            (Form.RegMem, 2) => &MoveMem<C, W16>,
            (Form.RegMem, 4) => &MoveMem<C, W32>,
            (Form.RegMem, 8) => &MoveMem<C, W64>,
            (Form.Other, _) => Branches.Jcc<C>(i),
            _ => null,
        };

    private static Op* SetReg<C>(CpuCore* c, Op* op)
        where C : struct, ICondition
    {
        *((byte*)c + op->Destination) = C.Holds(c) ? (byte)1 : (byte)0;
        return op + 1;
    }

    private static Op* SetMem<C>(CpuCore* c, Op* op)
        where C : struct, ICondition
    {
        var memory = CpuCore.Writable<W8>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        *memory = C.Holds(c) ? (byte)1 : (byte)0;
        CpuCore.Commit<W8>(c, memory);
        return op + 1;
    }

    // The destination is written also when the condition fails: a 32-bit one loses its upper half.
    private static Op* MoveReg<C, W>(CpuCore* c, Op* op)
        where C : struct, ICondition
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        W.Put(destination, W.Load(C.Holds(c) ? (byte*)c + op->Source : destination));
        return op + 1;
    }

    // The source is read, and may fault, also when the condition fails.
    private static Op* MoveMem<C, W>(CpuCore* c, Op* op)
        where C : struct, ICondition
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var destination = (byte*)c + op->Destination;
        W.Put(destination, W.Load(C.Holds(c) ? memory : destination));
        return op + 1;
    }
}
