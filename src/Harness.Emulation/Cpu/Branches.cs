using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>jmp, call, ret, jcc, loop, jrcxz; and the seams between decoded runs.</summary>
internal static unsafe class Branches
{
    public static delegate*<CpuCore*, Op*, Op*> Jmp(in Instruction i) => i.Op0Kind switch
    {
        OpKind.NearBranch64 => &JmpTo,
        OpKind.Register when i.Op0Register.IsGPR64() => &JmpReg,
        OpKind.Memory when i.MemorySize == MemorySize.QwordOffset => &JmpMem,
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Call(in Instruction i) => i.Op0Kind switch
    {
        OpKind.NearBranch64 => &CallTo,
        OpKind.Register when i.Op0Register.IsGPR64() => &CallReg,
        OpKind.Memory when i.MemorySize == MemorySize.QwordOffset => &CallMem,
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Ret(in Instruction i) => i.Code switch
    {
        Code.Retnq => &RetPlain,
        // An immediate is bytes to drop; without one it is zero.
        Code.Retnq_imm16 => &RetPlain,
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Jcc<C>(in Instruction i)
        where C : struct, ICondition => i.Op0Kind == OpKind.NearBranch64 ? &JumpIf<C> : null;

    public static delegate*<CpuCore*, Op*, Op*> CountDown(in Instruction i) => i.Code switch
    {
        Code.Loop_rel8_64_RCX => &LoopIf<If.Always>,
        Code.Loope_rel8_64_RCX => &LoopIf<If.E>,
        Code.Loopne_rel8_64_RCX => &LoopIf<If.Ne>,
        Code.Jrcxz_rel8_64 => &JumpIfRcxIsZero,
        Code.Jecxz_rel8_64 => &JumpIfEcxIsZero,
        _ => null,
    };

    /// <summary>The end of a run: what follows is decoded elsewhere, or not yet. Counts as no instruction.</summary>
    public static Op* Seam(CpuCore* c, Op* op)
    {
        var next = op->Target;
        if (next is null)
        {
            next = CpuCore.OwnerOf(c).Code.FindDecoded(op->Rip);
            if (next is null) return Stale(c, op);
            op->Target = next;
        }
        return next->Handler(c, next);
    }

    /// <summary>What every op does once the code it came from has changed.</summary>
    public static Op* Stale(CpuCore* c, Op* op)
    {
        c->State.Rip = op->Rip;
        c->After = After.Seam;
        return null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* Take(CpuCore* c, Op* op) => op->Target is not null ? op->Target : Resolve(c, op);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Op* Resolve(CpuCore* c, Op* op)
    {
        var target = CpuCore.GoTo(c, op->Immediate);
        op->Target = target;
        return target;
    }

    private static Op* JmpTo(CpuCore* c, Op* op) => Take(c, op);

    private static Op* JmpReg(CpuCore* c, Op* op) => CpuCore.GoTo(c, *(ulong*)((byte*)c + op->Destination));

    private static Op* JmpMem(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Readable<W64>(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : CpuCore.GoTo(c, *(ulong*)memory);
    }

    private static Op* CallTo(CpuCore* c, Op* op) => Stack.Push<W64>(c, op->NextRip) ? Take(c, op) : null;

    private static Op* CallReg(CpuCore* c, Op* op)
    {
        var target = *(ulong*)((byte*)c + op->Destination);
        return Stack.Push<W64>(c, op->NextRip) ? CpuCore.GoTo(c, target) : null;
    }

    private static Op* CallMem(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Readable<W64>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var target = *(ulong*)memory;
        return Stack.Push<W64>(c, op->NextRip) ? CpuCore.GoTo(c, target) : null;
    }

    private static Op* RetPlain(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Readable<W64>(c, c->State.Rsp);
        if (memory is null) return null;
        var target = *(ulong*)memory;
        c->State.Rsp += 8 + op->Immediate;
        return CpuCore.GoTo(c, target);
    }

    private static Op* JumpIf<C>(CpuCore* c, Op* op)
        where C : struct, ICondition => C.Holds(c) ? Take(c, op) : op + 1;

    private static Op* LoopIf<C>(CpuCore* c, Op* op)
        where C : struct, ICondition => --c->State.Rcx != 0 && C.Holds(c) ? Take(c, op) : op + 1;

    private static Op* JumpIfRcxIsZero(CpuCore* c, Op* op) => c->State.Rcx == 0 ? Take(c, op) : op + 1;

    private static Op* JumpIfEcxIsZero(CpuCore* c, Op* op) => (uint)c->State.Rcx == 0 ? Take(c, op) : op + 1;
}
