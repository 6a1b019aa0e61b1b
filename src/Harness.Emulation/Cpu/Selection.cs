using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>Which handler executes an instruction; null for what is not modelled.</summary>
internal static unsafe class Selection
{
    public static delegate*<CpuCore*, Op*, Op*> HandlerOf(in Instruction i, Op* op)
    {
        if (i.IsInvalid) return &SystemInstructions.Invalid;
        if (i.IsStringInstruction) return StringOrPort(i, op);
        if (i.ConditionCode != ConditionCode.None && i.Mnemonic is not (Mnemonic.Loope or Mnemonic.Loopne)) return Conditions.HandlerOf(i);
        var handler = Integer(i, op);
        if (handler is not null) return handler;
        handler = System(i, op);
        return handler is not null ? handler : VectorSelection.HandlerOf(i, op);
    }

    private static delegate*<CpuCore*, Op*, Op*> Integer(in Instruction i, Op* op) => i.Mnemonic switch
    {
        Mnemonic.Mov => Operands.FormOf(i) == Form.Other ? MovSpecial(i, op) : Moves.Mov(i),
        Mnemonic.Add => Arithmetic.Binary<Add>(i),
        Mnemonic.Adc => Arithmetic.Binary<Adc>(i),
        Mnemonic.Sub => Arithmetic.Binary<Sub>(i),
        Mnemonic.Sbb => Arithmetic.Binary<Sbb>(i),
        Mnemonic.Cmp => Arithmetic.Binary<Cmp>(i),
        Mnemonic.And => Arithmetic.Binary<And>(i),
        Mnemonic.Test => Arithmetic.Binary<Test>(i),
        Mnemonic.Or => Arithmetic.Binary<Or>(i),
        Mnemonic.Xor => Arithmetic.Binary<Xor>(i),
        Mnemonic.Inc => Arithmetic.Unary<Inc>(i),
        Mnemonic.Dec => Arithmetic.Unary<Dec>(i),
        Mnemonic.Neg => Arithmetic.Unary<Neg>(i),
        Mnemonic.Not => Arithmetic.Unary<Not>(i),
        Mnemonic.Lea => Moves.Lea(i),
        Mnemonic.Movzx => Moves.Extend<ZeroExtension>(i),
        Mnemonic.Movsx or Mnemonic.Movsxd => Moves.Extend<SignExtension>(i),
        Mnemonic.Xchg => Moves.Xchg(i),
        Mnemonic.Bswap => Moves.Bswap(i),
        Mnemonic.Movbe => Moves.Movbe(i),
        Mnemonic.Cbw => &Moves.Cbw,
        Mnemonic.Cwde => &Moves.Cwde,
        Mnemonic.Cdqe => &Moves.Cdqe,
        Mnemonic.Cwd => &Moves.Cwd,
        Mnemonic.Cdq => &Moves.Cdq,
        Mnemonic.Cqo => &Moves.Cqo,
        Mnemonic.Xlatb => i.MemoryBase == Register.RBX ? &Moves.Xlat : null,
        Mnemonic.Shl or Mnemonic.Sal => Shifts.HandlerOf<Shl>(i, op),
        Mnemonic.Shr => Shifts.HandlerOf<Shr>(i, op),
        Mnemonic.Sar => Shifts.HandlerOf<Sar>(i, op),
        Mnemonic.Rol => Shifts.HandlerOf<Rol>(i, op),
        Mnemonic.Ror => Shifts.HandlerOf<Ror>(i, op),
        Mnemonic.Rcl => Shifts.HandlerOf<Rcl>(i, op),
        Mnemonic.Rcr => Shifts.HandlerOf<Rcr>(i, op),
        Mnemonic.Shld => Shifts.Double<Left>(i),
        Mnemonic.Shrd => Shifts.Double<Right>(i),
        Mnemonic.Mul => Multiplication.Mul(i),
        Mnemonic.Imul => Multiplication.Imul(i),
        Mnemonic.Div => Multiplication.Div(i),
        Mnemonic.Idiv => Multiplication.Idiv(i),
        Mnemonic.Bt => Bits.Test<Leave>(i),
        Mnemonic.Bts => Bits.Test<Set>(i),
        Mnemonic.Btr => Bits.Test<Reset>(i),
        Mnemonic.Btc => Bits.Test<Complement>(i),
        Mnemonic.Bsf => Bits.Scan<Bsf>(i),
        Mnemonic.Bsr => Bits.Scan<Bsr>(i),
        Mnemonic.Tzcnt => Bits.Scan<Tzcnt>(i),
        Mnemonic.Lzcnt => Bits.Scan<Lzcnt>(i),
        Mnemonic.Popcnt => Bits.Scan<Popcnt>(i),
        Mnemonic.Crc32 => Bits.Crc32(i),
        Mnemonic.Andn or Mnemonic.Bextr or Mnemonic.Blsi or Mnemonic.Blsr or Mnemonic.Blsmsk or Mnemonic.Bzhi or Mnemonic.Pdep or Mnemonic.Pext
            or Mnemonic.Rorx or Mnemonic.Sarx or Mnemonic.Shlx or Mnemonic.Shrx or Mnemonic.Mulx or Mnemonic.Adcx or Mnemonic.Adox
            => BitManipulation.HandlerOf(i, op),
        Mnemonic.Cmpxchg => Atomics.CompareExchange(i),
        Mnemonic.Cmpxchg8b => &Atomics.CompareExchange8Bytes,
        Mnemonic.Cmpxchg16b => &Atomics.CompareExchange16Bytes,
        Mnemonic.Xadd => Atomics.ExchangeAdd(i),
        Mnemonic.Push => Stack.PushOf(i),
        Mnemonic.Pop => Stack.PopOf(i),
        Mnemonic.Pushfq => &Stack.Pushfq,
        Mnemonic.Pushf => &Stack.Pushf,
        Mnemonic.Popfq => &Stack.Popfq,
        Mnemonic.Popf => &Stack.Popf,
        Mnemonic.Enter => Stack.EnterOf(i),
        Mnemonic.Leave => Stack.LeaveOf(i),
        Mnemonic.Jmp => Branches.Jmp(i),
        Mnemonic.Call => Branches.Call(i),
        Mnemonic.Ret => Branches.Ret(i),
        Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jrcxz or Mnemonic.Jecxz => Branches.CountDown(i),
        _ => null,
    };

    private static delegate*<CpuCore*, Op*, Op*> System(in Instruction i, Op* op) => i.Mnemonic switch
    {
        // Nothing to do for them: there are no caches, a page's translation is always true, and instructions happen in order.
        Mnemonic.Nop or Mnemonic.Pause or Mnemonic.Endbr64 or Mnemonic.Mfence or Mnemonic.Lfence or Mnemonic.Sfence
            or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchnta or Mnemonic.Prefetchw
            or Mnemonic.Prefetch or Mnemonic.Prefetchwt1 or Mnemonic.Reservednop or Mnemonic.Serialize => &Moves.Nop,
        Mnemonic.Wbinvd or Mnemonic.Wbnoinvd or Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb or Mnemonic.Invlpg or Mnemonic.Invpcid => &Moves.Nop,
        // Hints to shadow stacks and branch tracking; a processor that has neither does nothing.
        Mnemonic.Rdsspd or Mnemonic.Rdsspq or Mnemonic.Endbr32 => &Moves.Nop,
        Mnemonic.Ud2 or Mnemonic.Ud1 or Mnemonic.Ud0 => &SystemInstructions.Invalid,
        Mnemonic.Int3 => &SystemInstructions.Breakpoint,
        Mnemonic.Int => &SystemInstructions.Interrupt,
        Mnemonic.Hlt => &SystemInstructions.Halt,
        Mnemonic.Cli => &SystemInstructions.Cli,
        Mnemonic.Sti => &SystemInstructions.Sti,
        Mnemonic.Cld => &SystemInstructions.Cld,
        Mnemonic.Std => &SystemInstructions.Std,
        Mnemonic.Clc => &SystemInstructions.Clc,
        Mnemonic.Stc => &SystemInstructions.Stc,
        Mnemonic.Cmc => &SystemInstructions.Cmc,
        Mnemonic.Lahf => &SystemInstructions.Lahf,
        Mnemonic.Sahf => &SystemInstructions.Sahf,
        Mnemonic.Rdtsc => &SystemInstructions.Rdtsc,
        Mnemonic.Rdtscp => &SystemInstructions.Rdtscp,
        Mnemonic.Cpuid => &SystemInstructions.Cpuid,
        Mnemonic.Str => SystemInstructions.ReadSelector(i, op, SystemInstructions.TaskSelector),
        Mnemonic.Sldt => SystemInstructions.ReadSelector(i, op, 0),
        Mnemonic.Fxsave or Mnemonic.Fxsave64 => &ExtendedState.Fxsave,
        Mnemonic.Fxrstor or Mnemonic.Fxrstor64 => &ExtendedState.Fxrstor,
        Mnemonic.Swapgs => &SystemInstructions.Swapgs,
        Mnemonic.Rdmsr => &SystemInstructions.ReadMsr,
        Mnemonic.Wrmsr => &SystemInstructions.WriteMsr,
        Mnemonic.In => Port(i, op, size: SizeOfAccumulator(i.Op0Register), output: false, immediate: i.Op1Kind == OpKind.Immediate8),
        Mnemonic.Out => Port(i, op, size: SizeOfAccumulator(i.Op1Register), output: true, immediate: i.Op0Kind == OpKind.Immediate8),
        _ => null,
    };

    private static delegate*<CpuCore*, Op*, Op*> MovSpecial(in Instruction i, Op* op)
    {
        if (i.Op0Register.IsDR() || i.Op1Register.IsDR()) return SystemInstructions.MovDebug(i);
        if (i.Op0Register.IsCR() || i.Op1Register.IsCR()) return SystemInstructions.MovControl(i, op);
        return i.Op1Kind == OpKind.Register ? SystemInstructions.ReadSegment(i, op) : null;
    }

    private static delegate*<CpuCore*, Op*, Op*> StringOrPort(in Instruction i, Op* op) => i.Mnemonic switch
    {
        Mnemonic.Insb => Port(i, op, 1, output: false, immediate: false),
        Mnemonic.Insw => Port(i, op, 2, output: false, immediate: false),
        Mnemonic.Insd => Port(i, op, 4, output: false, immediate: false),
        Mnemonic.Outsb => Port(i, op, 1, output: true, immediate: false),
        Mnemonic.Outsw => Port(i, op, 2, output: true, immediate: false),
        Mnemonic.Outsd => Port(i, op, 4, output: true, immediate: false),
        _ => Strings.HandlerOf(i),
    };

    private static delegate*<CpuCore*, Op*, Op*> Port(in Instruction i, Op* op, int size, bool output, bool immediate)
    {
        op->Third = (ushort)(size | (output ? 0x100 : 0));
        return immediate ? &SystemInstructions.PortInImmediate : &SystemInstructions.PortInDx;
    }

    private static int SizeOfAccumulator(Register register) => register.GetSize();
}
