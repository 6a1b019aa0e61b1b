using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>Control registers, interrupts, traps, cpuid, rdtsc, flags by hand; and what stops the run.</summary>
internal static unsafe class SystemInstructions
{
    /// <summary>What str reads: KGDT64_SYS_TSS.</summary>
    public const ulong TaskSelector = 0x40;

    private const ulong InterruptFlag = 0x200;
    private const ulong DirectionFlag = 0x400;

    public static delegate*<CpuCore*, Op*, Op*> MovControl(in Instruction i, Op* op)
    {
        if (i.Op1Kind == OpKind.Register && i.Op1Register.IsCR())
        {
            return i.Op1Register switch
            {
                Register.CR0 => &ReadCr0,
                Register.CR2 => &ReadCr2,
                Register.CR3 => &ReadCr3,
                Register.CR4 => &ReadCr4,
                Register.CR8 => &ReadCr8,
                _ => null,
            };
        }
        // Only the IRQL may be written: another address space or paging mode is the emulated kernel's business.
        return i.Op0Register switch
        {
            Register.CR2 => &WriteCr2,
            Register.CR8 => &WriteCr8,
            _ => null,
        };
    }

    /// <summary>
    /// mov from a segment register: the selectors x64 Windows has in kernel mode. They are constants there (KGDT64_R0_CODE, KGDT64_R0_DATA, and
    /// for ds, es, fs and gs those of user mode, which stay over a system call).
    /// </summary>
    public static delegate*<CpuCore*, Op*, Op*> ReadSegment(in Instruction i, Op* op) => i.Op1Register switch
    {
        Register.CS => ReadSelector(i, op, 0x10),
        Register.SS => ReadSelector(i, op, 0x18),
        Register.DS or Register.ES or Register.GS => ReadSelector(i, op, 0x2B),
        Register.FS => ReadSelector(i, op, 0x53),
        _ => null,
    };

    /// <summary>A selector, to a register of any size or to 16 bits of memory.</summary>
    public static delegate*<CpuCore*, Op*, Op*> ReadSelector(in Instruction i, Op* op, ulong selector)
    {
        op->Immediate = selector;
        if (i.Op0Kind == OpKind.Memory) return &SelectorToMem;
        return i.Op0Register.GetSize() switch
        {
            2 => &SelectorToReg<W16>,
            4 => &SelectorToReg<W32>,
            _ => &SelectorToReg<W64>,
        };
    }

    public static Op* Unknown(CpuCore* c, Op* op) => CpuCore.Refuse(c, CpuExitKind.Unknown);

    public static Op* Invalid(CpuCore* c, Op* op) => CpuCore.Refuse(c, CpuExitKind.InvalidOpcode);

    public static Op* Breakpoint(CpuCore* c, Op* op) => CpuCore.Refuse(c, CpuExitKind.Breakpoint);

    public static Op* Interrupt(CpuCore* c, Op* op) => op->Immediate == 0x29
        ? CpuCore.Refuse(c, CpuExitKind.FastFail, 0, c->State.Rcx)
        : CpuCore.Refuse(c, CpuExitKind.SoftwareInterrupt, 0, op->Immediate);

    public static Op* Halt(CpuCore* c, Op* op) => CpuCore.Stop(c, op, CpuExitKind.Halt);

    public static Op* Cli(CpuCore* c, Op* op)
    {
        c->State.Rflags &= ~InterruptFlag;
        return op + 1;
    }

    // The architecture lets one more instruction run before an interrupt; whoever delivers it may.
    public static Op* Sti(CpuCore* c, Op* op)
    {
        if ((c->State.Rflags & InterruptFlag) != 0) return op + 1;
        c->State.Rflags |= InterruptFlag;
        return CpuCore.Stop(c, op, CpuExitKind.InterruptsEnabled);
    }

    public static Op* Cld(CpuCore* c, Op* op)
    {
        c->State.Rflags &= ~DirectionFlag;
        return op + 1;
    }

    public static Op* Std(CpuCore* c, Op* op)
    {
        c->State.Rflags |= DirectionFlag;
        return op + 1;
    }

    public static Op* Clc(CpuCore* c, Op* op)
    {
        c->SetCarry(0);
        return op + 1;
    }

    public static Op* Stc(CpuCore* c, Op* op)
    {
        c->SetCarry(1);
        return op + 1;
    }

    public static Op* Cmc(CpuCore* c, Op* op)
    {
        c->SetCarry(c->Cf ? 0UL : 1);
        return op + 1;
    }

    public static Op* Lahf(CpuCore* c, Op* op)
    {
        ((byte*)&c->State.Rax)[1] = (byte)(c->ArithmeticFlags | 2);
        return op + 1;
    }

    public static Op* Sahf(CpuCore* c, Op* op)
    {
        c->ArithmeticFlags = (c->Of ? 0x800UL : 0) | ((c->State.Rax >> 8) & 0xD5);
        return op + 1;
    }

    public static Op* Rdtsc(CpuCore* c, Op* op)
    {
        c->State.Rax = (uint)c->State.Tsc;
        c->State.Rdx = c->State.Tsc >> 32;
        return op + 1;
    }

    public static Op* Rdtscp(CpuCore* c, Op* op)
    {
        c->State.Rcx = (uint)c->State.TscAux;
        return Rdtsc(c, op);
    }

    public static Op* Cpuid(CpuCore* c, Op* op)
    {
        var (eax, ebx, ecx, edx) = ProcessorIdentity.Leaf((uint)c->State.Rax);
        c->State.Rax = eax;
        c->State.Rbx = ebx;
        c->State.Rcx = ecx;
        c->State.Rdx = edx;
        return op + 1;
    }

    public static Op* Swapgs(CpuCore* c, Op* op)
    {
        (c->State.GsBase, c->State.KernelGsBase) = (c->State.KernelGsBase, c->State.GsBase);
        return op + 1;
    }

    public static Op* ReadMsr(CpuCore* c, Op* op) => CpuCore.Refuse(c, CpuExitKind.Msr, (uint)c->State.Rcx, (ulong)op->Length << 16);

    public static Op* WriteMsr(CpuCore* c, Op* op) => CpuCore.Refuse(c, CpuExitKind.Msr, (uint)c->State.Rcx, ((ulong)op->Length << 16) | 0x100);

    /// <summary>Port in dx: ins, outs, and in, out without an immediate. <see cref="Op.Third"/>: size, 0x100 for output.</summary>
    public static Op* PortInDx(CpuCore* c, Op* op) =>
        CpuCore.Refuse(c, CpuExitKind.PortIo, (ushort)c->State.Rdx, ((ulong)op->Length << 16) | op->Third);

    /// <summary>Port in the immediate.</summary>
    public static Op* PortInImmediate(CpuCore* c, Op* op) =>
        CpuCore.Refuse(c, CpuExitKind.PortIo, (byte)op->Immediate, ((ulong)op->Length << 16) | op->Third);

    // Debug registers: no hardware breakpoint is ever set.
    public static delegate*<CpuCore*, Op*, Op*> MovDebug(in Instruction i) => i.Op1Register.IsDR() ? &ReadDebug : null;

    private static Op* ReadDebug(CpuCore* c, Op* op) => Read(c, op, 0);

    private static Op* ReadCr0(CpuCore* c, Op* op) => Read(c, op, c->State.Cr0);

    private static Op* ReadCr2(CpuCore* c, Op* op) => Read(c, op, c->State.Cr2);

    private static Op* ReadCr3(CpuCore* c, Op* op) => Read(c, op, c->State.Cr3);

    private static Op* ReadCr4(CpuCore* c, Op* op) => Read(c, op, c->State.Cr4);

    private static Op* ReadCr8(CpuCore* c, Op* op) => Read(c, op, c->State.Cr8);

    private static Op* Read(CpuCore* c, Op* op, ulong value)
    {
        *(ulong*)((byte*)c + op->Destination) = value;
        return op + 1;
    }

    private static Op* SelectorToReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        W.Put((byte*)c + op->Destination, op->Immediate);
        return op + 1;
    }

    private static Op* SelectorToMem(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Writable<W16>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W16.Store(memory, op->Immediate);
        CpuCore.Commit<W16>(c, memory);
        return op + 1;
    }

    private static Op* WriteCr2(CpuCore* c, Op* op)
    {
        c->State.Cr2 = *(ulong*)((byte*)c + op->Source);
        return op + 1;
    }

    private static Op* WriteCr8(CpuCore* c, Op* op)
    {
        var value = *(ulong*)((byte*)c + op->Source);
        if (value > 15) return CpuCore.Refuse(c, CpuExitKind.GeneralProtection);
        c->State.Cr8 = value;
        return CpuCore.Stop(c, op, CpuExitKind.Cr8Written);
    }
}
