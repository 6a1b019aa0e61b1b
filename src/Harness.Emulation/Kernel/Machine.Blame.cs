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
        // The access may begin well and end badly: what counts is the first byte that is nobody's.
        var at = address;
        while (at < address + (ulong)length - 1 && (Memory.ReadShadow(at) & 0x80) == 0) at++;
        var block = Ex.BlockAt(Memory, at);
        var id = shadow switch
        {
            Ex.ShadowFreed => "use-after-free",
            Ex.ShadowCompleted => "irp-touched-after-completion",
            _ => block is { } near && at < near.Block ? "pool-underrun" : "pool-overrun",
        };
        var what = shadow == Ex.ShadowCompleted ? "an IRP that has been completed and is not the driver's any more" : block is { } known ? PlaceIn(known, at) : "pool outside any allocation";
        Fault(p, id, by, $"{by} {(write ? "wrote" : "read")} {Bytes((ulong)length)} at {new KernelAddress(address)}: {what}.", block is { } told ? Ex.Told(this, told) : null);
    }

    private void PageableTouched(Processor p, string by, ulong address, int length, bool write)
    {
        var block = Ex.BlockAt(Memory, address);
        Fault(p, "pageable-at-dispatch", by,
            $"{by} {(write ? "wrote" : "read")} {Bytes((ulong)length)} at {new KernelAddress(address)} at IRQL {p.Irql}: {(block is { } paged ? PlaceIn(paged, address) : AddressMap.IsUser(address) ? "the client's memory, which is not locked" : "a pageable section of an image")}. Where it happens to be paged out, Windows stops with bug check 0xD1.",
            block is { } told ? Ex.Told(this, told) : null);
    }

    private void PageableExecuted(Processor p)
    {
        var by = NameOf(p.Registers.Rip);
        Fault(p, "pageable-at-dispatch", by, $"{by}, in a pageable section of the image, is executed at IRQL {p.Irql}. Where it happens to be paged out, Windows stops with bug check 0xD1.");
    }

    /// <summary>"1 byte past the end of 64 bytes of nonpaged pool with tag 'Test', allocated by driver.sys+0x1040, freed by driver.sys+0x1080".</summary>
    private string PlaceIn(PoolRecord block, ulong address)
    {
        var offset = (long)(address - block.Block);
        var where = offset < 0 ? $"{Bytes((ulong)-offset)} before"
            : (ulong)offset >= block.Length ? $"{Bytes((ulong)offset - block.Length + 1)} past the end of"
            : $"{Bytes((ulong)offset)} into";
        var told = Ex.Told(this, block);
        var by = told.AllocatedBy.Count > 0 ? told.AllocatedBy[0] : "nt";
        var freed = told.FreedBy is null ? "" : $", freed by {(told.FreedBy.Count > 0 ? told.FreedBy[0] : "nt")}";
        return $"{where} {Bytes(told.Length)} of {told.Pool} pool with tag '{told.Tag}', allocated by {by}{freed}";
    }

    private static string Bytes(ulong count) => count == 1 ? "1 byte" : $"{count} bytes";

    /// <summary>Return addresses of the driver code that called the routine of nt which runs, innermost first; none: nt works for itself.</summary>
    public IReadOnlyList<ulong> DriverStack()
    {
        if (_acting is not { CalledByDriver: true } p) return [];
        // After a tail call nothing of the driver's routine is on the stack any more.
        if (!IsInDriver(p.ReturnAddress)) return [p.EnteredFrom];
        return [.. Frames(p).SkipWhile(frame => frame.Module is null or "nt").Select(frame => frame.Address.Value).Take(PoolRecord.MostFrames)];
    }

    /// <summary>The first byte of the image an address is in; 0: none.</summary>
    public ulong ImageOf(ulong address) => _modules.Find(module => address - module.Base < module.Size)?.Base ?? 0;

    /// <summary>A story that was told to its end can be judged, whatever its driver's DriverUnload needs.</summary>
    private void NotModelled(Processor p, UnmodelledException unmodelled)
    {
        if (NtData.StoryIsOver(Memory)) NotUnloaded($"{CallerOf(p)} needs {unmodelled.What}, which is not modelled, so what it leaves behind is not known");
        else Log(new Unmodelled(unmodelled.What, CallerOf(p), unmodelled.Detail));
        Finished = true;
    }

    private void NotUnloaded(string why) => Log(new DriverNotUnloaded(ModuleOf(new DriverObject(Memory, NtData.DriverUnderTest(Memory)).DriverStart), why));

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

    private void Fault(Processor p, string id, string by, string detail, PoolBlock? block = null)
    {
        Log(new DriverFault(id, by, detail, Fatal: true, StackOf(p)) { Block = block });
        Finished = true;
    }

    private void Stop(Processor p, BugCheckException stop)
    {
        // From where it happened: the registers of the code to blame, not of nt's routines that found nobody to handle its exception.
        var frames = stop.Context == 0 ? Frames(p) : KernelMemory.Unwind(p, new ContextRecord(Memory, stop.Context));
        // Where no driver is on the stack, one of the parameters may be an address in a driver, as it is of a cancel routine that came back.
        var guilty = (frames.FirstOrDefault(frame => frame.Module is not (null or "nt"))?.Address ?? stop.Parameters.Cast<KernelAddress?>().FirstOrDefault(parameter => IsInDriver(parameter!.Value.Value)))?.Value;
        // Else whoever's code ran last on this thread: what it left behind is what nt stumbles over.
        if (guilty is null && p.CurrentThread.LastDriverCode is not 0 and var last) guilty = last;
        NtData.SetBugCheck(Memory, stop.Code, stop.Parameters);
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

    public static string NameOfLock(ulong address) => address == NtData.CancelSpinLock ? "nt!IopCancelSpinLock" : new KernelAddress(address).ToString();

    /// <summary>"nt!KeSetEvent+0x8", "driver.sys+0x1234", or the address.</summary>
    public string NameOf(ulong address)
    {
        if (NtImage.Contains(address)) return NtImage.Instance.NameOf(address);
        foreach (var module in _modules)
            if (address - module.Base < module.Size) return $"{module.Name}+0x{address - module.Base:x}";
        return new KernelAddress(address).ToString();
    }

    /// <summary>In the image of a driver.</summary>
    public bool IsInDriver(ulong address) => !NtImage.Contains(address) && _modules.Any(module => address - module.Base < module.Size);

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
        if (p.CalledByDriver && !IsInDriver(p.ReturnAddress)) return NameOf(p.EnteredFrom);
        // The innermost driver frame: a wrapper of nt's may lie between.
        foreach (var frame in Frames(p))
            if (frame.Module is not (null or "nt")) return NameOf(frame.Address.Value);
        return NameOf(p.ReturnAddress);
    }

    private IReadOnlyList<string> StackOf(Processor p) => [.. Frames(p).Select(frame => frame.Name)];

    private IReadOnlyList<Core.Diagnosis.StackFrame> Frames(Processor p) => KernelMemory.Unwind(p);

    /// <summary>The story's name of a process.</summary>
    public string ProcessName(Structures.Process process) => Clients.NameOf(process);

    /// <summary>The story's name for the request an IRP carries; null when no client's request.</summary>
    public string? RequestOf(Irp irp) =>
        Clients.RequestAt(irp.UserIosb) ?? ((irp.Flags & Irp.FlagCreateOperation) != 0 && !irp.Thread.IsNull ? Clients.RequestOf(irp.Thread) : null);

    /// <summary>The story's name for the request the current thread is in a system call for.</summary>
    public string? CurrentRequest(Processor p) => Clients.RequestOf(p.CurrentThread);
}
