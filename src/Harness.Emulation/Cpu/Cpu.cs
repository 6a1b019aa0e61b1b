using System.Runtime.InteropServices;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Cpu;

/// <summary>
/// One x64 processor in kernel mode: interprets the instructions in a <see cref="GuestMemory"/>. Several processors may share a memory;
/// one host thread runs them. Everything is deterministic: the same state and memory give the same run.
/// <para>
/// What the architecture leaves undefined has a fixed value here (a test holds each): AF after logic, shifts and multiplications is clear; OF
/// after a shift or rotate by more than 1 follows the rule for 1; CF after an 8- or 16-bit shl by more than its width is clear; SF, ZF and PF after
/// a multiplication tell of the low half; a division leaves all flags, bt and its family all but CF; bsf and bsr of zero leave the destination,
/// and their flags tell of the source; the flags of tzcnt and lzcnt tell of the result; a 16-bit shld or shrd by more than 16 goes on with
/// the destination's own bits. Where makers differ, Intel is followed: an operand-size prefix before a near branch means nothing.
/// </para>
/// <para>
/// Not modelled, hence <see cref="CpuExitKind.Unknown"/>: AVX, x87, MMX, AES, SHA, rcpps and rsqrtps; rdrand and rdseed, which would be chance; far
/// transfers, syscall, iret; xgetbv and xsave; sgdt and sidt; writes to CR0, CR3, CR4, debug and segment registers; RFLAGS.TF; floating-point
/// arithmetic with another MXCSR than Windows' default. MXCSR's sticky exception bits are not kept. Bytes are fetched once, so data shadow doesn't guard instructions.
/// </para>
/// </summary>
public sealed unsafe class Cpu
{
    private readonly CpuCore[] _pinned = GC.AllocateArray<CpuCore>(1, pinned: true);
    private readonly CpuCore* _core;

    /// <summary>A processor that runs code of a memory; its registers are <see cref="CpuState.Initial"/>.</summary>
    public Cpu(GuestMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        Memory = memory;
        Code = CodeCache.Of(memory);
        _core = (CpuCore*)Marshal.UnsafeAddrOfPinnedArrayElement(_pinned, 0);
        _core->State = CpuState.Initial;
        _core->Translations = memory.Translations;
        _core->Owner = GCHandle.ToIntPtr(GCHandle.Alloc(this, GCHandleType.Weak));
    }

    ~Cpu() => GCHandle.FromIntPtr(_core->Owner).Free();

    /// <summary>The registers. Between runs they may be changed or replaced; a reference stays valid as long as the processor does.</summary>
    public ref CpuState State => ref _pinned[0].State;

    /// <summary>Instructions completed since the processor was made; each step of a repeated string instruction is one.</summary>
    public long InstructionsRetired { get; private set; }

    /// <summary>The instruction that last went to an address which was not decoded yet; before a <see cref="CpuExitKind.Slot"/>: the one that called, jumped or returned there.</summary>
    public ulong LastTransfer { get; private set; }

    internal GuestMemory Memory { get; }

    internal CodeCache Code { get; }

    /// <summary>Executes up to <paramref name="maxInstructions"/>, fewer when something needs the kernel's attention.</summary>
    /// <param name="maxInstructions">At least 1; 1 executes exactly one instruction.</param>
    public CpuExit Run(long maxInstructions)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxInstructions, 1);
        var core = _core;
        core->ArithmeticFlags = core->State.Rflags;
        Code.BeforeRun();
        var left = maxInstructions;
        var exit = Loop(core, ref left);
        InstructionsRetired += maxInstructions - left;
        core->State.Rflags = Stack.FlagsOf(core);
        GC.KeepAlive(this);
        return exit;
    }

    private CpuExit Loop(CpuCore* core, ref long left)
    {
        while (true)
        {
            if (left == 0) return new CpuExit(CpuExitKind.Budget, 0, 0, null);
            var op = Code.Find(core->State.Rip, out var why);
            if (op is null) return why;
            if (core->State.Cr8 >= GuestMemory.DispatchLevel && Code.IsPageable(core->State.Rip)) return new CpuExit(CpuExitKind.PageableAtDispatch, core->State.Rip, 1UL << 17, null);

            var count = left;
            Op* next;
            while (true)
            {
                next = op->Handler(core, op);
                if (next is null) break;
                op = next;
                if (--count == 0) break;
            }
            left = count;
            if (next is not null)
            {
                core->State.Rip = op->Rip;
                continue;
            }
            switch (core->After)
            {
                case After.Refused:
                    core->State.Rip = op->Rip;
                    return new CpuExit(core->Exit, core->ExitAddress, core->ExitDetail, core->Exit == CpuExitKind.Unknown ? Code.Describe(op->Rip) : null);
                case After.Stop:
                    left--;
                    return new CpuExit(core->Exit, core->ExitAddress, core->ExitDetail, null);
                case After.Continue:
                    LastTransfer = op->Rip;
                    left--;
                    break;
                case After.Seam:
                    break;
            }
        }
    }
}
