using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Harness.Emulation.Traces;

namespace Harness.Emulation.Kernel;

/// <summary>
/// A whole machine at one step: guest memory, which holds all of the kernel's own state, what each processor holds, and how far the story and
/// its evidence were. Valid until an older state is restored.
/// </summary>
internal sealed class MachineState(MemoryState memory, ProcessorState[] processors, int clients, int observations, TraceMark? trace, bool finished)
{
    public MemoryState Memory { get; } = memory;

    public IReadOnlyList<ProcessorState> Processors { get; } = processors;

    /// <summary>None or all: the story's processes are created in one step.</summary>
    public int Clients { get; } = clients;

    public int Observations { get; } = observations;

    /// <summary>How far the session of the kernel's logger was; null: none was on.</summary>
    public TraceMark? Trace { get; } = trace;

    public bool Finished { get; } = finished;
}

/// <summary>What a processor holds: its registers, interrupts that wait for the IRQL to fall, and whether it is halted or spinning.</summary>
/// <param name="Registers">All of them; the IRQL is CR8.</param>
/// <param name="Requested">Software interrupts: bit 1 APC, bit 2 DPC/dispatch.</param>
/// <param name="Halted">In the idle loop with nothing to do.</param>
/// <param name="SpinsOn">The spin lock it spins on; 0: none.</param>
internal readonly record struct ProcessorState(CpuState Registers, byte Requested, bool Halted, ulong SpinsOn);
