using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Cpu;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Running: which processor acts, for how long, and what comes of it.</summary>
internal sealed partial class Machine
{
    /// <summary>Runs until the story is over.</summary>
    public void Run()
    {
        while (Step())
        {
        }
        BeforeStop();
    }

    /// <summary>The least that can happen: one visible action of one processor, or the clock goes on. False: the run is over.</summary>
    public bool Step()
    {
        if (Finished) return false;
        _acting = ChooseProcessor();
        try
        {
            if (_acting is null) return Idle();
            Act(_acting);
            Clients.SignalConditions();
        }
        catch (Exception trouble) when (IsTrouble(trouble))
        {
            Trouble(_acting ?? ClockProcessor, trouble);
        }
        return !Finished;
    }

    /// <summary>Saves the machine between two steps. States nest.</summary>
    public MachineState Save() => new(Memory.Save(), [.. Processors.Select(p => p.State)], Clients.Count, _evidence.Observations.Count, Trace?.Mark, Finished);

    /// <summary>Goes back to a saved state; the evidence of what is undone is gone too. States saved after it are gone.</summary>
    public void Restore(MachineState state)
    {
        Memory.Restore(state.Memory);
        foreach (var p in Processors) p.State = state.Processors[p.Number];
        Clients.CutBackTo(state.Clients);
        _evidence.CutBackTo(state.Observations);
        if (state.Trace is { } mark) Trace?.CutBackTo(mark);
        Finished = state.Finished;
    }

    /// <summary>Gives the newest saved state up.</summary>
    public void Forget(MachineState state) => Memory.Forget(state.Memory);

    /// <summary>Without a seed processors take turns; with one, chance decides.</summary>
    private Processor? ChooseProcessor()
    {
        if (Processors.Count == 1) return CanAct(Processors[0]) ? Processors[0] : null;
        Span<int> able = stackalloc int[Processors.Count];
        var count = 0;
        foreach (var p in Processors)
            if (CanAct(p)) able[count++] = p.Number;
        if (count == 0) return null;
        if (_fromSeed) return Processors[able[Choose(count)]];
        var last = NtData.LastProcessor(Memory);
        var next = able[0];
        foreach (var number in able[..count])
        {
            if (number <= last) continue;
            next = number;
            break;
        }
        NtData.SetLastProcessor(Memory, next);
        return Processors[next];
    }

    /// <summary>
    /// Instructions until another processor may act. One processor alone has its whole slice; of several, with a seed, each stretch is of
    /// another length, from one instruction to a slice, so that their code meets everywhere.
    /// </summary>
    private long StretchOf(Processor p)
    {
        var left = Math.Min(Slice - (p.CurrentThread.CurrentRunTime % Slice), LongestStretch);
        return Processors.Count == 1 || !_fromSeed ? left : Math.Min(left, 1 << Choose(15));
    }

    private static bool CanAct(Processor p) => !p.Halted && p.SpinsOn == 0;

    /// <summary>The software interrupt that would be taken now; 0: none.</summary>
    private static byte InterruptLevel(Processor p)
    {
        if (p.Requested == 0 || (p.Registers.Rflags & 0x200) == 0) return 0;
        if ((p.Requested & 1 << Ke.DispatchLevel) != 0 && p.Irql < Ke.DispatchLevel) return Ke.DispatchLevel;
        return (p.Requested & 1 << Ke.ApcLevel) != 0 && p.Irql < Ke.ApcLevel ? Ke.ApcLevel : (byte)0;
    }

    /// <summary>One visible action: an interrupt, a step of nt, an act of a client, or a stretch of driver code.</summary>
    private void Act(Processor p)
    {
        Memory.Space = p.Registers.Cr3;
        var level = InterruptLevel(p);
        if (level != 0)
        {
            p.Requested &= (byte)~(1 << level);
            p.EnterTrap(level == Ke.DispatchLevel ? "KiDispatchInterrupt" : "KiApcInterrupt");
            return;
        }
        p.Registers.Tsc = NtData.InterruptTime(Memory) * 300;
        var retired = p.Cpu.InstructionsRetired;
        var exit = p.Cpu.Run(StretchOf(p));
        // A stretch that ends with the call itself: who called is known only now.
        if (exit.Kind == CpuExitKind.Budget && NtImage.Contains(p.Registers.Rip)) exit = p.Cpu.Run(1);
        Spend(p, (uint)(p.Cpu.InstructionsRetired - retired) + (exit.Kind == CpuExitKind.Slot ? StepWork : 0));
        p.EnteredFrom = exit.Kind == CpuExitKind.Slot && p.Cpu.InstructionsRetired != retired && IsInDriver(p.Cpu.LastTransfer) ? p.Cpu.LastTransfer : 0;
        if (p.EnteredFrom != 0)
        {
            var thread = p.CurrentThread;
            thread.LastDriverCode = p.EnteredFrom;
        }
        if (!Finished) Handle(p, exit);
    }

    private static bool IsTrouble(Exception e) =>
        e is BugCheckException or UnmodelledException or RaisedStatusException or DriverFaultException or PageableAccessException or PoisonedAccessException or GuestAccessException;

    /// <summary>What a step of nt met that it could not go on with.</summary>
    private void Trouble(Processor p, Exception met)
    {
        switch (met)
        {
            case BugCheckException stop:
                Stop(p, stop);
                break;
            case UnmodelledException unmodelled:
                NotModelled(p, unmodelled);
                break;
            case RaisedStatusException raised:
                p.Raise(raised.Status);
                break;
            case DriverFaultException fault:
                Fault(p, fault.Id, fault.By, fault.Detail, fault.Block);
                break;
            case PageableAccessException pageable:
                PageableTouched(p, CallerOf(p), pageable.Address, pageable.Length, pageable.Write);
                break;
            case PoisonedAccessException poisoned:
                Violation(p, CallerOf(p), poisoned.Address, poisoned.Length, poisoned.Write, poisoned.Shadow);
                break;
            case GuestAccessException access:
                // nt itself touched what a driver gave it.
                if (Ke.IsGuardPage(p, access.Address)) Stop(p, new BugCheckException(0x7F, 8, access.Address, p.Registers.Rsp, p.Registers.Rip));
                else if (AddressMap.IsUser(access.Address) && p.Irql < Ke.DispatchLevel && NtImage.Contains(p.Registers.Rip)) p.FaultInStep(access.Address, access.IsWrite);
                else Stop(p, p.Irql >= Ke.DispatchLevel ? new BugCheckException(0xA, access.Address, p.Irql, access.IsWrite ? 1u : 0, p.Registers.Rip) : new BugCheckException(0x50, access.Address, access.IsWrite ? 2u : 0, p.Registers.Rip, 0));
                break;
        }
    }

    private void Handle(Processor p, CpuExit exit)
    {
        var rip = p.Registers.Rip;
        switch (exit.Kind)
        {
            case CpuExitKind.Slot:
                if (NtImage.Instance.TrySlot(rip, out var slot)) p.RunSlot(slot);
                else if (Unmodelled.NameAt(rip) is { } name) throw new UnmodelledException(name.Contains('!') ? name : "nt!" + name, "the driver called it; nothing after this call can be judged");
                else if (AddressMap.IsUser(rip)) Clients.Act(p);
                else throw new BugCheckException(0xFC, rip, 0, 0, 2);
                break;
            case CpuExitKind.Budget:
            case CpuExitKind.Cr8Written:
            case CpuExitKind.InterruptsEnabled:
                break;
            case CpuExitKind.PageFault:
                if (Unmodelled.NameAt(exit.Address) is { } variable) throw new UnmodelledException("nt!" + variable, "the driver read it as a variable");
                PageFault(p, exit);
                break;
            case CpuExitKind.ShadowViolation:
                Violation(p, exit);
                break;
            case CpuExitKind.PageableAtDispatch:
                if ((exit.Detail & 0x20000) != 0) PageableExecuted(p);
                else PageableTouched(p, NameOf(p.Registers.Rip), exit.Address, (int)(exit.Detail >> 8 & 0xFF), (exit.Detail & 0x10000) != 0);
                break;
            case CpuExitKind.Unknown:
                throw new UnmodelledException("instruction " + exit.Text, "the interpreter doesn't know it");
            case CpuExitKind.FastFail:
                throw new BugCheckException(0x139, exit.Detail, 0, 0, 0);
            case CpuExitKind.PortIo:
                throw new UnmodelledException("port I/O", $"port 0x{exit.Address:x}");
            case CpuExitKind.Msr:
                throw new UnmodelledException("model-specific register", $"register 0x{exit.Address:x}");
            case CpuExitKind.DivideError:
                p.EnterTrap("KiDivideErrorFault");
                break;
            case CpuExitKind.InvalidOpcode:
                p.EnterTrap("KiInvalidOpcodeFault");
                break;
            case CpuExitKind.Breakpoint:
                p.EnterTrap("KiBreakpointTrap");
                break;
            case CpuExitKind.GeneralProtection:
                p.EnterTrap("KiGeneralProtectionFault");
                break;
            case CpuExitKind.SoftwareInterrupt when exit.Detail == 0x2C:
                p.EnterTrap("KiRaiseAssertion");
                break;
            default:
                throw new UnmodelledException("instruction " + exit.Kind, $"detail 0x{exit.Detail:x}");
        }
    }

    /// <summary>
    /// A page fault of driver code. Only one on a user address, below DISPATCH_LEVEL, becomes an exception: what is wrong with kernel
    /// addresses, and any page fault above, stops Windows at once, __try or not.
    /// </summary>
    private static void PageFault(Processor p, CpuExit exit)
    {
        var rip = p.Registers.Rip;
        var (present, write, fetch) = ((exit.Detail & 1) != 0, (exit.Detail & 2) != 0, (exit.Detail & 0x10) != 0);
        if (fetch && present) throw new BugCheckException(0xFC, exit.Address, exit.Detail, 0, 2);
        if (p.Irql >= Ke.DispatchLevel && !Ke.IsGuardPage(p, exit.Address)) throw new BugCheckException(0xD1, exit.Address, p.Irql, write ? 1ul : fetch ? 8ul : 0, rip);
        if (AddressMap.IsUser(exit.Address))
        {
            p.EnterTrap("KiPageFault", exit.Detail, exit.Address);
            return;
        }
        // Nothing can be pushed on a stack that is full, not even a trap frame: the processor's double fault (8) ends the machine.
        if (Ke.IsGuardPage(p, exit.Address)) throw new BugCheckException(0x7F, 8, exit.Address, p.Registers.Rsp, rip);
        if (present && write) throw new BugCheckException(0xBE, exit.Address, exit.Detail, rip, 0xB);
        throw new BugCheckException(0x50, exit.Address, write ? 2ul : fetch ? 0x10ul : 0, rip, 2);
    }

    /// <summary>No processor can act: the clock goes to the next moment at which something is due.</summary>
    private bool Idle()
    {
        foreach (var p in Processors)
        {
            if (p.SpinsOn == 0) continue;
            Fault(p, SpinLockDeadlock, CallerOf(p), $"{CallerOf(p)} acquires the spin lock {NameOfLock(p.SpinsOn)}, which nobody is left to release.");
            return false;
        }
        var unloading = NtData.UnloadLimit(Memory);
        if (!Ke.TryNextDue(Memory, out var due) || unloading != 0 && due > unloading)
        {
            if (unloading != 0)
            {
                Log(Io.UnloadHangs(this));
                Finished = true;
                return false;
            }
            if (NtData.StoryIsOver(Memory)) NotUnloaded("every thread waits, and none for a timer");
            else Log(new RunStopped("every thread waits and no timer is counting: nothing can happen any more, and the story is not over"));
            return false;
        }
        AdvanceTo(due);
        return true;
    }

    public void LockReleased(ulong spinLock)
    {
        foreach (var p in Processors)
            if (p.SpinsOn == spinLock) p.SpinsOn = 0;
    }

    /// <summary>Copies guest memory to guest memory, bytes and nothing else.</summary>
    public void Copy(ulong to, ulong from, ulong length)
    {
        if (length == 0) return;
        var bytes = new byte[length];
        Memory.Read(from, bytes);
        Memory.Write(to, bytes);
    }
}
