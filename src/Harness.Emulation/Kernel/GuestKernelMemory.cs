using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>The machine's kernel memory for the diagnosis: the same reader that opens dumps reads this.</summary>
internal sealed class GuestKernelMemory(Machine machine) : IKernelMemory
{
    public int Build => Machine.Build;

    public KernelAddress ActiveProcessHead { get; } = new(NtImage.Instance["PsActiveProcessHead"]);

    public KernelAddress LoadedModuleList { get; } = new(NtImage.Instance["PsLoadedModuleList"]);

    public bool TryRead(KernelAddress address, Span<byte> destination) => machine.Memory.TryRead(address.Value, destination);

    /// <summary>The stack a processor is on now, innermost first.</summary>
    public IReadOnlyList<StackFrame> Unwind(Processor p)
    {
        ref var r = ref p.Registers;
        ReadOnlySpan<ulong> general = [r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15];
        return Unwind(p, r.Rip, general);
    }

    /// <summary>The stack as it was when these registers were recorded, innermost first.</summary>
    public IReadOnlyList<StackFrame> Unwind(Processor p, ContextRecord context)
    {
        Span<ulong> general = stackalloc ulong[16];
        for (var i = 0; i < general.Length; i++) general[i] = context[i];
        return Unwind(p, context.Rip, general);
    }

    private List<StackFrame> Unwind(Processor p, ulong rip, ReadOnlySpan<ulong> general)
    {
        var frames = new List<StackFrame>();
        var rsp = general[UnwindRegisters.RspNumber];
        var view = new KernelView(this);
        if (view.Modules.Containing(new(rip)) is null)
        {
            // Code jumped to where there is none: the address of whoever called it is on top of the stack.
            frames.Add(new StackFrame(new(rip), new(rsp), new KernelAddress(rip).ToString(), null));
            Span<byte> top = stackalloc byte[8];
            if (!TryRead(new(rsp), top)) return frames;
            rip = BitConverter.ToUInt64(top);
            rsp += 8;
        }
        var registers = new UnwindRegisters(new(rip), new(rsp));
        for (var i = 0; i < general.Length; i++)
            if (i != UnwindRegisters.RspNumber) registers[i] = general[i];
        var (low, high) = Ke.StackOf(p, rsp);
        frames.AddRange(view.Stacks.From(registers, new(low), new(high)));
        return frames;
    }
}
