using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace HostProcessor;

/// <summary>
/// Runs single instructions on the processor this process runs on. Whatever they do wrong comes back as a signal; still, only a process
/// that may die does this.
/// </summary>
internal sealed unsafe partial class Trampoline
{
    // Layout of the page both sides of the trampoline share.
    private const ulong Exchange = 0x3000_0000;
    private const int Input = 0;
    private const int Output = 2048;
    private const int HostStack = 4096;
    private const int Branched = 4104;
    private const int Trapped = 4112;
    private const int Interrupted = 4224;

    private const ulong Entry = Trial.CodeRegion + 0x1000;
    private const ulong AlternateStack = 0x3100_0000;
    private const int AlternateStackSize = 0x1_0000;

    // ucontext_t on x86-64 Linux: 23 registers (r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, flags, segments, error code, trap number,
    // signal mask, cr2) and a pointer to what fxsave would have stored.
    private const int RegistersInContext = 40;
    private const int RegisterCount = 23;
    private const int FloatsInContext = RegistersInContext + (8 * RegisterCount);
    private const int XmmInFloats = 160;
    private const int Rip = 16;
    private const int Flags = 17;
    private const int ErrorCode = 19;
    private const int TrapNumber = 20;
    private const int Cr2 = 22;
    private const int PageFault = 14;
    private const ulong UserMode = 4;

    // Where the context has rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
    private static readonly int[] InContext = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];

    private readonly ulong _afterNext;
    private readonly ulong _afterBranch;

    public Trampoline()
    {
        Map(Picture.DataRegion, Picture.DataSize, 3);
        Map(Picture.ReadOnlyRegion, 4096, 1);
        Map(Trial.CodeRegion, 0x4000, 7);
        Map(Exchange, 0x2000, 3);
        Map(AlternateStack, AlternateStackSize, 3);

        var assembler = new Assembler(64);
        var next = assembler.CreateLabel();
        var branch = assembler.CreateLabel();
        var handler = assembler.CreateLabel();
        WriteEntry(assembler);
        WriteExits(assembler, ref next, ref branch);
        WriteSignalHandler(assembler, ref handler);

        using var code = new MemoryStream();
        var result = assembler.Assemble(new StreamCodeWriter(code), Entry, BlockEncoderOptions.ReturnNewInstructionOffsets);
        code.GetBuffer().AsSpan(0, (int)code.Length).CopyTo(new Span<byte>((void*)Entry, (int)code.Length));
        _afterNext = result.GetLabelRIP(next);
        _afterBranch = result.GetLabelRIP(branch);
        WriteJump(Trial.BranchTarget, _afterBranch);
        foreach (var signal in (int[])[4, 5, 7, 8, 11]) Handle(signal, result.GetLabelRIP(handler));
    }

    public void Run(in Trial trial, ref Outcome outcome)
    {
        fixed (byte* code = trial.Code)
        fixed (Picture* before = &trial.Before)
        fixed (Picture* after = &outcome.After)
        {
            new Span<byte>(code, trial.Length).CopyTo(new Span<byte>((void*)Trial.CodeRegion, trial.Length));
            WriteJump(Trial.CodeRegion + trial.Length, _afterNext);
            new Span<byte>((void*)Picture.DataRegion, (int)Picture.DataSize).Clear();
            new Span<byte>(before->Memory, Picture.WindowSize).CopyTo(new Span<byte>((void*)Picture.Window, Picture.WindowSize));
            *(Picture*)(Exchange + Input) = *before;
            *(ulong*)(Exchange + Trapped) = 0;
            // A page that was never read isn't present, and a fault would say so.
            _ = System.Threading.Volatile.Read(ref *(byte*)Picture.ReadOnlyRegion);
            ((delegate* unmanaged<void>)Entry)();
            *after = *(Picture*)(Exchange + Output);
            outcome.Trap = Outcome.NoTrap;
            outcome.Branched = (int)*(ulong*)(Exchange + Branched);
            outcome.ErrorCode = outcome.FaultAddress = 0;
            if (*(ulong*)(Exchange + Trapped) != 0) ReadTrap(ref outcome, after);
            new Span<byte>((void*)Picture.Window, Picture.WindowSize).CopyTo(new Span<byte>(after->Memory, Picture.WindowSize));
        }
    }

    private static void ReadTrap(ref Outcome outcome, Picture* after)
    {
        var context = (ulong*)(Exchange + Interrupted);
        outcome.Trap = (int)context[TrapNumber];
        outcome.Branched = 0;
        for (var i = 0; i < 16; i++) after->Registers[i] = context[InContext[i]];
        after->Flags = context[Flags];
        if (outcome.Trap != PageFault) return;
        outcome.ErrorCode = context[ErrorCode] & ~UserMode;
        outcome.FaultAddress = context[Cr2];
    }

    private static void WriteEntry(Assembler a)
    {
        foreach (var register in (AssemblerRegister64[])[rbx, rbp, r12, r13, r14, r15]) a.push(register);
        a.mov(rax, Exchange);
        a.mov(__qword_ptr[rax + HostStack], rsp);
        for (var i = 0; i < 16; i++) a.movdqu(XmmOf(i), __xmmword_ptr[rax + (Input + XmmOffset + (16 * i))]);
        a.push(__qword_ptr[rax + (Input + FlagsOffset)]);
        a.popfq();
        for (var i = 1; i < 16; i++) a.mov(RegisterOf(i), __qword_ptr[rax + (Input + (8 * i))]);
        a.mov(rax, __qword_ptr[rax + Input]);
        a.jmp(Trial.CodeRegion);
    }

    private static void WriteExits(Assembler a, ref Label next, ref Label branch)
    {
        var common = a.CreateLabel();
        a.Label(ref next);
        WriteExit(a, 0, common);
        a.Label(ref branch);
        WriteExit(a, 1, common);
        a.Label(ref common);
        a.mov(rax, Exchange);
        for (var i = 1; i < 16; i++) a.mov(__qword_ptr[rax + (Output + (8 * i))], RegisterOf(i));
        a.mov(rsp, __qword_ptr[rax + HostStack]);
        a.pushfq();
        a.pop(rcx);
        a.mov(__qword_ptr[rax + (Output + FlagsOffset)], rcx);
        for (var i = 0; i < 16; i++) a.movdqu(__xmmword_ptr[rax + (Output + XmmOffset + (16 * i))], XmmOf(i));
        WriteReturn(a);
    }

    // No flag may change before pushfq: only moves to absolute addresses.
    private static void WriteExit(Assembler a, ulong branched, Label common)
    {
        a.AddInstruction(Instruction.Create(Code.Mov_moffs64_RAX, new MemoryOperand(Register.None, Register.None, 1, (long)(Exchange + Output), 8), Register.RAX));
        a.mov(rax, branched);
        a.AddInstruction(Instruction.Create(Code.Mov_moffs64_RAX, new MemoryOperand(Register.None, Register.None, 1, (long)(Exchange + Branched), 8), Register.RAX));
        a.jmp(common);
    }

    /// <summary>The handler notes what the signal interrupted and lets the interrupted thread go on at the end of the trampoline.</summary>
    private static void WriteSignalHandler(Assembler a, ref Label handler)
    {
        var recovery = a.CreateLabel();
        a.Label(ref handler);
        a.mov(rax, Exchange);
        a.mov(__qword_ptr[rax + Trapped], 1);
        for (var i = 0; i < RegisterCount; i++)
        {
            a.mov(rcx, __qword_ptr[rdx + (RegistersInContext + (8 * i))]);
            a.mov(__qword_ptr[rax + (Interrupted + (8 * i))], rcx);
        }
        a.mov(r8, __qword_ptr[rdx + FloatsInContext]);
        for (var i = 0; i < 32; i++)
        {
            a.mov(rcx, __qword_ptr[r8 + (XmmInFloats + (8 * i))]);
            a.mov(__qword_ptr[rax + (Output + XmmOffset + (8 * i))], rcx);
        }
        a.lea(rcx, __qword_ptr[recovery]);
        a.mov(__qword_ptr[rdx + (RegistersInContext + (8 * Rip))], rcx);
        a.ret();
        a.Label(ref recovery);
        a.mov(rax, Exchange);
        a.mov(rsp, __qword_ptr[rax + HostStack]);
        a.push(2);
        a.popfq();
        WriteReturn(a);
    }

    private static void WriteReturn(Assembler a)
    {
        a.cld();
        foreach (var register in (AssemblerRegister64[])[r15, r14, r13, r12, rbp, rbx]) a.pop(register);
        a.ret();
    }

    // jmp [rip+0] and the address: touches no register and no flag.
    private static void WriteJump(ulong at, ulong target)
    {
        *(ushort*)at = 0x25FF;
        *(uint*)(at + 2) = 0;
        *(ulong*)(at + 6) = target;
    }

    private static int FlagsOffset => (int)Marshal.OffsetOf<Picture>(nameof(Picture.Flags));

    private static int XmmOffset => (int)Marshal.OffsetOf<Picture>(nameof(Picture.Xmm));

    private static AssemblerRegister64 RegisterOf(int number) =>
        ((AssemblerRegister64[])[rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15])[number];

    private static AssemblerRegisterXMM XmmOf(int number) =>
        ((AssemblerRegisterXMM[])[xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15])[number];

    private static void Map(ulong address, ulong size, int protection)
    {
        // MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE.
        if ((ulong)mmap((void*)address, (nuint)size, protection, 0x10_0022, -1, 0) != address)
            throw new InvalidOperationException($"mmap of 0x{address:x} failed: error {Marshal.GetLastPInvokeError()}");
    }

    private static void Handle(int signal, ulong handler)
    {
        var stack = stackalloc ulong[3];
        (stack[0], stack[1], stack[2]) = (AlternateStack, 0, AlternateStackSize);
        if (sigaltstack(stack, null) != 0) throw new InvalidOperationException("sigaltstack failed");
        // struct sigaction: handler, 128 bytes of mask, flags, restorer. Flags: SA_SIGINFO, SA_ONSTACK, SA_NODEFER.
        var action = stackalloc ulong[19];
        new Span<ulong>(action, 19).Clear();
        action[0] = handler;
        action[17] = 0x4800_0004;
        if (sigaction(signal, action, null) != 0) throw new InvalidOperationException("sigaction failed");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial void* mmap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc")]
    private static partial int sigaction(int signal, ulong* action, ulong* old);

    [LibraryImport("libc")]
    private static partial int sigaltstack(ulong* stack, ulong* old);
}
