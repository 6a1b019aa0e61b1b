using Harness.Core.Diagnosis;
using Harness.Core.Nt;

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
        var registers = new UnwindRegisters(new(r.Rip), new(r.Rsp))
        {
            [3] = r.Rbx,
            [5] = r.Rbp,
            [6] = r.Rsi,
            [7] = r.Rdi,
            [12] = r.R12,
            [13] = r.R13,
            [14] = r.R14,
            [15] = r.R15,
        };
        var thread = p.CurrentThread;
        var onThread = r.Rsp >= thread.StackLimit && r.Rsp < thread.StackBase;
        var (low, high) = onThread ? (thread.StackLimit, thread.StackBase) : (p.DpcStack - 0x4000, p.DpcStack + 0x10);
        return new KernelView(this).Stacks.From(registers, new(low), new(high));
    }
}
