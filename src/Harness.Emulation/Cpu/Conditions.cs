using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>A condition on the flags.</summary>
internal unsafe interface ICondition
{
    static abstract bool Holds(CpuCore* c);
}

internal readonly unsafe struct Always : ICondition
{
    public static bool Holds(CpuCore* c) => true;
}

internal readonly unsafe struct O : ICondition
{
    public static bool Holds(CpuCore* c) => c->Of;
}

internal readonly unsafe struct No : ICondition
{
    public static bool Holds(CpuCore* c) => !c->Of;
}

internal readonly unsafe struct B : ICondition
{
    public static bool Holds(CpuCore* c) => c->Cf;
}

internal readonly unsafe struct Ae : ICondition
{
    public static bool Holds(CpuCore* c) => !c->Cf;
}

internal readonly unsafe struct E : ICondition
{
    public static bool Holds(CpuCore* c) => c->Zf;
}

internal readonly unsafe struct Ne : ICondition
{
    public static bool Holds(CpuCore* c) => !c->Zf;
}

internal readonly unsafe struct Be : ICondition
{
    public static bool Holds(CpuCore* c) => c->Cf || c->Zf;
}

internal readonly unsafe struct A : ICondition
{
    public static bool Holds(CpuCore* c) => !c->Cf && !c->Zf;
}

internal readonly unsafe struct S : ICondition
{
    public static bool Holds(CpuCore* c) => c->Sf;
}

internal readonly unsafe struct Ns : ICondition
{
    public static bool Holds(CpuCore* c) => !c->Sf;
}

internal readonly unsafe struct P : ICondition
{
    public static bool Holds(CpuCore* c) => c->Pf;
}

internal readonly unsafe struct Np : ICondition
{
    public static bool Holds(CpuCore* c) => !c->Pf;
}

internal readonly unsafe struct L : ICondition
{
    public static bool Holds(CpuCore* c) => c->Sf != c->Of;
}

internal readonly unsafe struct Ge : ICondition
{
    public static bool Holds(CpuCore* c) => c->Sf == c->Of;
}

internal readonly unsafe struct Le : ICondition
{
    public static bool Holds(CpuCore* c) => c->Zf || c->Sf != c->Of;
}

internal readonly unsafe struct G : ICondition
{
    public static bool Holds(CpuCore* c) => !c->Zf && c->Sf == c->Of;
}

/// <summary>setcc and cmovcc; jcc is in <see cref="Branches"/>.</summary>
internal static unsafe class Conditions
{
    public static delegate*<CpuCore*, Op*, Op*> HandlerOf(in Instruction i) => i.ConditionCode switch
    {
        ConditionCode.o => Pick<O>(i),
        ConditionCode.no => Pick<No>(i),
        ConditionCode.b => Pick<B>(i),
        ConditionCode.ae => Pick<Ae>(i),
        ConditionCode.e => Pick<E>(i),
        ConditionCode.ne => Pick<Ne>(i),
        ConditionCode.be => Pick<Be>(i),
        ConditionCode.a => Pick<A>(i),
        ConditionCode.s => Pick<S>(i),
        ConditionCode.ns => Pick<Ns>(i),
        ConditionCode.p => Pick<P>(i),
        ConditionCode.np => Pick<Np>(i),
        ConditionCode.l => Pick<L>(i),
        ConditionCode.ge => Pick<Ge>(i),
        ConditionCode.le => Pick<Le>(i),
        ConditionCode.g => Pick<G>(i),
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
