using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Cpu;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>What went wrong, who did it, and what things are called.</summary>
internal sealed partial class Machine
{
    private void Violation(Processor p, CpuExit exit) =>
        Violation(p, NameOf(p.Registers.Rip), exit.Address, (int)(exit.Detail >> 8 & 0xFF), (exit.Detail & 0x10000) != 0, (byte)exit.Detail);

    private void Violation(Processor p, string by, ulong address, int length, bool write, byte shadow)
    {
        var (id, what) = shadow switch
        {
            Ex.ShadowFreed => ("use-after-free", "pool that has been freed"),
            Ex.ShadowCompleted => ("irp-touched-after-completion", "an IRP that has been completed and is not the driver's any more"),
            _ => ("pool-overrun", "pool outside any allocation"),
        };
        Fault(p, id, by, $"{by} {(write ? "wrote" : "read")} {length} bytes at {new KernelAddress(address)}: {what}.");
    }

    /// <summary>"between driver.sys+0x1040 and driver.sys+0x1056": where a processor is in its next instructions. The run is over.</summary>
    private string LoopOf(Processor p)
    {
        if (!IsInDriver(p.Registers.Rip)) return $"at {CallerOf(p)}, which calls {NameOf(p.Registers.Rip)}";
        var (first, last) = (ulong.MaxValue, 0ul);
        for (var i = 0; i < 10_000 && IsInDriver(p.Registers.Rip); i++)
        {
            first = Math.Min(first, p.Registers.Rip);
            last = Math.Max(last, p.Registers.Rip);
            if (p.Cpu.Run(1).Kind != CpuExitKind.Budget) break;
        }
        return $"between {NameOf(first)} and {NameOf(last)}";
    }

    private void Fault(Processor p, string id, string by, string detail)
    {
        Log(new DriverFault(id, by, detail, Fatal: true, StackOf(p)));
        Finished = true;
    }

    private void Stop(Processor p, BugCheckException stop)
    {
        // From where it happened: the registers of the code to blame, not of nt's routines that found nobody to handle its exception.
        var frames = stop.Context == 0 ? Frames(p) : KernelMemory.Unwind(p, new ContextRecord(Memory, stop.Context));
        // Where no driver is on the stack, one of the parameters may be an address in a driver, as it is of a cancel routine that came back.
        var guilty = (frames.FirstOrDefault(frame => frame.Module is not (null or "nt"))?.Address ?? stop.Parameters.Cast<KernelAddress?>().FirstOrDefault(parameter => IsInDriver(parameter!.Value.Value)))?.Value;
        Log(new BugChecked(stop.Code, stop.Parameters, guilty is { } address ? NameOf(address) : CallerOf(p), [.. frames.Select(frame => frame.Name)]));
        Finished = true;
    }

    /// <summary>
    /// A processor begins to spin. Whoever holds the lock must be able to go on: not this processor itself, nor one that spins on a lock of
    /// this one, over however many others. Nothing interrupts a processor that spins at DISPATCH_LEVEL, so a circle stays.
    /// </summary>
    public void RequireRelease(Processor p)
    {
        if (Ke.HoldsSpinLock(p, p.SpinsOn))
        {
            var by = CallerOf(p);
            throw new DriverFaultException(SpinLockDeadlock, by, $"{by} acquires the spin lock {NameOfLock(p.SpinsOn)}, which this processor holds already: it spins for ever.");
        }
        List<Processor> circle = [p];
        while (Processors.FirstOrDefault(owner => Ke.HoldsSpinLock(owner, circle[^1].SpinsOn)) is { SpinsOn: not 0 } next)
        {
            if (circle.Contains(next))
            {
                var told = circle.Select(one => $"{CallerOf(one)} on processor {one.Number} waits for {NameOfLock(one.SpinsOn)}");
                throw new DriverFaultException(SpinLockDeadlock, CallerOf(p), $"Each of these holds what the one before it waits for: {string.Join("; ", told)}.");
            }
            circle.Add(next);
        }
    }

    private static string NameOfLock(ulong address) => address == NtData.CancelSpinLock ? "nt!IopCancelSpinLock" : new KernelAddress(address).ToString();

    /// <summary>"nt!KeSetEvent+0x8", "driver.sys+0x1234", or the address.</summary>
    public string NameOf(ulong address)
    {
        if (NtImage.Contains(address)) return NtImage.Instance.NameOf(address);
        foreach (var module in _modules)
            if (address - module.Base < module.Size) return $"{module.Name}+0x{address - module.Base:x}";
        return new KernelAddress(address).ToString();
    }

    private bool IsInDriver(ulong address) => !NtImage.Contains(address) && _modules.Any(module => address - module.Base < module.Size);

    /// <summary>"driver.sys", "nt", or the address.</summary>
    public string ModuleOf(ulong address)
    {
        if (NtImage.Contains(address)) return "nt";
        foreach (var module in _modules)
            if (address - module.Base < module.Size) return module.Name;
        return new KernelAddress(address).ToString();
    }

    /// <summary>Who called the routine of nt that runs; for driver code, where it is.</summary>
    public string CallerOf(Processor p)
    {
        var rip = p.Registers.Rip;
        if (!NtImage.Contains(rip)) return NameOf(Unmodelled.NameAt(rip) is not null ? Memory.ReadU64(p.Registers.Rsp) : rip);
        // The innermost driver frame: after a tail call the return address is nt's.
        foreach (var frame in Frames(p))
            if (frame.Module is not (null or "nt")) return NameOf(frame.Address.Value);
        return NameOf(p.ReturnAddress);
    }

    private IReadOnlyList<string> StackOf(Processor p) => [.. Frames(p).Select(frame => frame.Name)];

    private IReadOnlyList<Core.Diagnosis.StackFrame> Frames(Processor p) => KernelMemory.Unwind(p);

    /// <summary>The story's name of a process.</summary>
    public string ProcessName(Structures.Process process) => Clients.NameOf(process);

    /// <summary>The story's name for the request an IRP carries; null when no client's request.</summary>
    public string? RequestOf(Irp irp) => Clients.RequestAt(irp.UserIosb);

    /// <summary>The story's name for the request the current thread is in a system call for.</summary>
    public string? CurrentRequest(Processor p) => Clients.RequestOf(p.CurrentThread);
}
