using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;

namespace HostProcessor;

/// <summary>What the interpreter makes of trials.</summary>
internal sealed unsafe class Interpreted
{
    // A repeated string instruction comes back at every page.
    private const int MostSteps = 100;

    private readonly GuestMemory _memory = new();
    private readonly Harness.Emulation.Cpu.Cpu _cpu;

    public Interpreted()
    {
        _memory.Map(Picture.DataRegion, Picture.DataSize, PageAccess.Read | PageAccess.Write);
        _memory.Map(Picture.ReadOnlyRegion, GuestMemory.PageSize, PageAccess.Read);
        _memory.Map(Trial.CodeRegion, GuestMemory.PageSize, PageAccess.Read | PageAccess.Execute);
        _cpu = new Harness.Emulation.Cpu.Cpu(_memory);
    }

    public void Run(in Trial trial, ref Outcome outcome)
    {
        fixed (byte* code = trial.Code) _memory.Write(Trial.CodeRegion, new ReadOnlySpan<byte>(code, trial.Length));
        Load(trial.Before);
        CpuExit exit;
        var steps = 0;
        do exit = _cpu.Run(1);
        while (exit.Kind == CpuExitKind.Budget && _cpu.State.Rip == Trial.CodeRegion && ++steps < MostSteps);

        outcome = default;
        outcome.Trap = exit.Kind switch
        {
            CpuExitKind.Budget => Outcome.NoTrap,
            CpuExitKind.DivideError => 0,
            CpuExitKind.InvalidOpcode => 6,
            CpuExitKind.GeneralProtection => 13,
            CpuExitKind.PageFault => 14,
            _ => throw new InvalidOperationException($"a trial ended with {exit}"),
        };
        if (outcome.Trap == Outcome.NoTrap)
            outcome.Branched = _cpu.State.Rip == Trial.CodeRegion + trial.Length ? 0 : _cpu.State.Rip == Trial.BranchTarget ? 1 : -1;
        if (exit.Kind == CpuExitKind.PageFault) (outcome.FaultAddress, outcome.ErrorCode) = (exit.Address, exit.Detail);
        Store(ref outcome.After);
    }

    private void Load(in Picture before)
    {
        _memory.Fill(Picture.DataRegion, Picture.DataSize, 0);
        fixed (Picture* picture = &before)
        {
            _memory.Write(Picture.Window, new ReadOnlySpan<byte>(picture->Memory, Picture.WindowSize));
            ref var state = ref _cpu.State;
            var registers = MemoryMarshal.CreateSpan(ref state.Rax, 16);
            new ReadOnlySpan<ulong>(picture->Registers, 16).CopyTo(registers);
            new ReadOnlySpan<byte>(picture->Xmm, 256).CopyTo(MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref state.Xmm0, 16)));
            state.Rflags = picture->Flags | 2;
            state.Rip = Trial.CodeRegion;
        }
    }

    private void Store(ref Picture after)
    {
        fixed (Picture* picture = &after)
        {
            _memory.Read(Picture.Window, new Span<byte>(picture->Memory, Picture.WindowSize));
            ref var state = ref _cpu.State;
            MemoryMarshal.CreateSpan(ref state.Rax, 16).CopyTo(new Span<ulong>(picture->Registers, 16));
            MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref state.Xmm0, 16)).CopyTo(new Span<byte>(picture->Xmm, 256));
            picture->Flags = state.Rflags;
        }
    }
}
