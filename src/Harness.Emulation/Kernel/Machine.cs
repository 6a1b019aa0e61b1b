using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Targets;
using Harness.Emulation.Cpu;
using Harness.Emulation.Image;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// One emulated computer: memory, processors, the driver under test, the clients of a story. It makes no decision of its own but two,
/// and both from the seed: which processor acts next, and which of several equal threads.
/// </summary>
internal sealed class Machine
{
    public const int Build = 19041;

    /// <summary>System time at which every machine starts, in 100 ns units since 1601: 2020-01-01.</summary>
    public const ulong BootTime = 132_223_104_000_000_000;

    /// <summary>A clock tick: 15.625 ms in 100 ns units.</summary>
    public const uint TickLength = 156_250;

    /// <summary>Instructions that one processor executes before another may be chosen.</summary>
    private const uint Slice = 20_000;

    /// <summary>Virtual time that a whole slice takes, in 100 ns units: two instructions a nanosecond.</summary>
    private const ulong SliceTime = 100;

    /// <summary>Instructions that a step of nt counts for.</summary>
    private const uint StepWork = 20;

    /// <summary>Instructions that one thread may execute without waiting, a tenth of a second, before it is taken to loop for ever.</summary>
    private const uint MostWork = 200_000_000;

    private readonly EvidenceLog _evidence;
    private readonly List<Module> _modules = [];
    private readonly bool _fromSeed;

    public Machine(ulong seed, int processors, EvidenceLog evidence)
    {
        _evidence = evidence;
        _fromSeed = seed != 0;
        Memory = new GuestMemory { Space = 0x1AA000 };
        NtImage.Instance.Map(Memory);
        NtData.Initialize(Memory, seed, processors);
        MapSharedData();
        Processors = [.. Enumerable.Range(0, processors).Select(i => new Processor(this, i))];
        Ob.CreateTypes(this);
        AddModule("ntoskrnl.exe", "\\SystemRoot\\system32\\ntoskrnl.exe", NtImage.Base, NtImage.SizeOfImage, 0, 0);
        StartProcessors();
        Unmodelled = new UnmodelledExports(Memory);
        Clients = new Clients(this);
        KernelMemory = new GuestKernelMemory(this);
    }

    public GuestMemory Memory { get; }

    public IReadOnlyList<Processor> Processors { get; }

    public Clients Clients { get; }

    public UnmodelledExports Unmodelled { get; }

    public GuestKernelMemory KernelMemory { get; }

    /// <summary>The processor that takes the clock interrupt.</summary>
    public Processor ClockProcessor => Processors[0];

    /// <summary>The run is over: the story ended, or the machine can't go on.</summary>
    public bool Finished { get; set; }

    /// <summary>Called when DriverEntry of the driver under test has returned success.</summary>
    public Action? Ready { get; set; }

    private TimeSpan Now => TimeSpan.FromTicks((long)NtData.InterruptTime(Memory));

    public void Log(Observation observation, string source = Sources.Emulator) => _evidence.Add(Now, source, observation);

    /// <summary>One of <paramref name="count"/> equal choices: the first without a seed, else chance from the state in guest memory (splitmix64).</summary>
    public int Choose(int count)
    {
        if (count <= 1 || !_fromSeed) return 0;
        var state = NtData.Chance(Memory) + 0x9E3779B97F4A7C15;
        NtData.SetChance(Memory, state);
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9;
        state = (state ^ state >> 27) * 0x94D049BB133111EB;
        return (int)((state ^ state >> 31) % (ulong)count);
    }

    // Building.

    private void MapSharedData()
    {
        Memory.Map(AddressMap.SharedUserData, 0x1000, PageAccess.Read);
        Memory.WriteU32(AddressMap.SharedUserData + 0x260, Build);
        Memory.WriteU32(AddressMap.SharedUserData + 0x26C, 10);
        AdvanceTo(0);
    }

    private void StartProcessors()
    {
        var idle = Ps.CreateProcess(this, "Idle", 0, 0x1AA000, listed: false);
        var system = Ps.CreateProcess(this, "System", 4, 0x1AA000);
        NtData.SetSystem(Memory, system);
        foreach (var p in Processors)
        {
            var control = AddressMap.ProcessorControl + ((ulong)p.Number * 0x10000);
            Memory.Map(control, 0x10000, PageAccess.Read | PageAccess.Write);
            // KPCR: Self +0x18, CurrentPrcb +0x20 (public symbols).
            Memory.WriteU64(control + 0x18, control);
            Memory.WriteU64(control + 0x20, p.Prcb);
            Memory.WriteU32(p.Prcb + 0x24, (uint)p.Number);
            Memory.WriteU64(NtData.ProcessorBlockEntry(p.Number), p.Prcb);
            var thread = Ps.CreateThread(this, idle, system: true, priority: 0);
            thread.UniqueThread = 0;
            Ke.PrepareIdleThread(thread);
            p.IdleThread = thread;
            p.CurrentThread = thread;
            ref var r = ref p.Registers;
            r.GsBase = control;
            r.Rflags = 0x202;
            r.Cr3 = 0x1AA000;
            p.Irql = Ke.DispatchLevel;
            Ke.Load(p, thread);
        }
    }

    private LoaderEntry AddModule(string name, string path, ulong start, uint size, ulong entry, uint timestamp)
    {
        _modules.Add(new Module(name, start, size));
        var loader = new LoaderEntry(Memory, Ex.Allocate(this, Ex.NonPaged, LoaderEntry.Size, "MmLd"));
        Memory.Fill(loader.Address, LoaderEntry.Size, 0);
        loader.DllBase = start;
        loader.EntryPoint = entry;
        loader.SizeOfImage = size;
        loader.TimeDateStamp = timestamp;
        loader.LoadCount = 1;
        Ob.WriteString(this, loader.FullDllName.Address, path);
        Ob.WriteString(this, loader.BaseDllName.Address, name);
        NtData.Modules(Memory).InsertTail(loader.InLoadOrderLinks);
        return loader;
    }

    /// <summary>Maps a driver and has a system thread call its DriverEntry.</summary>
    /// <exception cref="UnusableDriverException">The file is no driver for this machine.</exception>
    public void LoadDriver(byte[] file, string fileName)
    {
        var image = DriverImage.Parse(file, fileName);
        var start = NtData.TakeImage(Memory, (image.SizeOfImage + 0xFFFFFul) & ~0xFFFFFul);
        var missing = new SortedSet<string>(StringComparer.Ordinal);
        image.Map(Memory, start, import => Resolve(import, missing));
        var loader = AddModule(fileName, "\\SystemRoot\\System32\\drivers\\" + fileName, start, image.SizeOfImage, start + image.EntryPointRva, image.TimeDateStamp);
        Log(new DriverLoaded(fileName, new(start), image.SizeOfImage));
        if (missing.Count > 0) Log(new ExportsMissing(fileName, [.. missing]));
        var service = Path.GetFileNameWithoutExtension(fileName);
        var driver = Io.CreateDriver(this, service, start, image.SizeOfImage, start + image.EntryPointRva, loader.Address);
        Ps.StartSystemThread(this, NtImage.Instance["IopLoadDriver"], driver.Address);
    }

    /// <summary>An export's address; one that isn't modelled gets an address at which the run says so.</summary>
    private ulong Resolve(ImageImport import, SortedSet<string> missing)
    {
        if (import.Name is { } name && NtImage.Instance.TryFind(name, out var address)) return address;
        var text = import.Name ?? $"{import.Library}!#{import.Ordinal}";
        missing.Add(text);
        return Unmodelled.Import(text);
    }

    public void DriverEntryReturned(DriverObject driver, NtStatus status, IReadOnlyList<string> devices)
    {
        Log(new DriverEntryReturned(ModuleOf(driver.DriverStart), status, devices));
        if (status.IsSuccess) Ready?.Invoke();
        else Finished = true;
    }

    // Running.

    /// <summary>Runs until the story is over.</summary>
    public void Run()
    {
        while (!Finished)
        {
            if (ChooseProcessor() is { } p)
            {
                Act(p);
                Clients.SignalConditions();
            }
            else if (!Idle())
            {
                return;
            }
        }
    }

    private Processor? ChooseProcessor()
    {
        Span<int> able = stackalloc int[Processors.Count];
        var count = 0;
        foreach (var p in Processors)
            if (CanAct(p)) able[count++] = p.Number;
        return count == 0 ? null : Processors[able[Choose(count)]];
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
        try
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
            var exit = p.Cpu.Run(Slice - (p.CurrentThread.CurrentRunTime % Slice));
            Spend(p, (uint)(p.Cpu.InstructionsRetired - retired) + (exit.Kind == CpuExitKind.Slot ? StepWork : 0));
            if (!Finished) Handle(p, exit);
        }
        catch (BugCheckException stop)
        {
            Stop(p, stop);
        }
        catch (UnmodelledException unmodelled)
        {
            Log(new Unmodelled(unmodelled.What, CallerOf(p), unmodelled.Detail));
            Finished = true;
        }
        catch (RaisedStatusException raised)
        {
            p.Raise(raised.Status);
        }
        catch (DriverFaultException fault)
        {
            Fault(p, fault.Id, fault.By, fault.Detail);
        }
        catch (PoisonedAccessException poisoned)
        {
            Violation(p, CallerOf(p), poisoned.Address, poisoned.Length, poisoned.Write, poisoned.Shadow);
        }
        catch (GuestAccessException access)
        {
            // nt itself touched what a driver gave it.
            if (AddressMap.IsUser(access.Address) && p.Irql < Ke.DispatchLevel && NtImage.Contains(p.Registers.Rip)) p.FaultInStep(access.Address, access.IsWrite);
            else Stop(p, p.Irql >= Ke.DispatchLevel ? new BugCheckException(0xA, access.Address, p.Irql, access.IsWrite ? 1u : 0, p.Registers.Rip) : new BugCheckException(0x50, access.Address, access.IsWrite ? 2u : 0, p.Registers.Rip, 0));
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
        if (p.Irql >= Ke.DispatchLevel) throw new BugCheckException(0xD1, exit.Address, p.Irql, write ? 1ul : fetch ? 8ul : 0, rip);
        if (AddressMap.IsUser(exit.Address))
        {
            p.EnterTrap("KiPageFault", exit.Detail, exit.Address);
            return;
        }
        if (present && write) throw new BugCheckException(0xBE, exit.Address, exit.Detail, rip, 0xB);
        throw new BugCheckException(0x50, exit.Address, write ? 2ul : fetch ? 0x10ul : 0, rip, 2);
    }

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

    /// <summary>Work takes time: with every slice of it the clock moves, a timer may be due, and so may another thread of the same priority.</summary>
    private void Spend(Processor p, uint work)
    {
        var thread = p.CurrentThread;
        var was = thread.CurrentRunTime;
        var now = thread.CurrentRunTime = was + work;
        if (now / Slice == was / Slice) return;
        AdvanceTo(NtData.InterruptTime(Memory) + SliceTime);
        if (now >= thread.QuantumTarget) p.Request(Ke.DispatchLevel);
        if (now > MostWork) Fault(p, "endless-loop", CallerOf(p), $"The driver executed {MostWork:N0} instructions without waiting; it was at {CallerOf(p)}.");
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

    /// <summary>No processor can act: the clock goes to the next moment at which something is due.</summary>
    private bool Idle()
    {
        foreach (var p in Processors)
        {
            // A processor that spins above PASSIVE_LEVEL on a lock which nobody who could run will release is a deadlock.
            if (p.SpinsOn == 0) continue;
            var self = Ke.HoldsSpinLock(p, p.SpinsOn);
            Log(new DriverFault("spin-lock-deadlock", CallerOf(p), self
                ? $"{CallerOf(p)} acquires the spin lock {NameOfLock(p.SpinsOn)}, which this processor holds already: it spins for ever."
                : $"{CallerOf(p)} acquires the spin lock {NameOfLock(p.SpinsOn)}, which nobody is left to release.", Fatal: true, StackOf(p)));
            Finished = true;
            return false;
        }
        if (!Ke.TryNextDue(Memory, out var due))
        {
            Log(new RunStopped("every thread waits and no timer is counting: nothing can happen any more, and the story is not over"));
            return false;
        }
        AdvanceTo(due);
        return true;
    }

    private static string NameOfLock(ulong address) => address == NtData.CancelSpinLock ? "nt!IopCancelSpinLock" : new KernelAddress(address).ToString();

    /// <summary>Moves the clock forward and lets every timer that is due by then expire.</summary>
    public void AdvanceTo(ulong interruptTime)
    {
        NtData.SetInterruptTime(Memory, interruptTime);
        NtData.SetTimesRead(Memory, 0);
        // KUSER_SHARED_DATA: InterruptTime +8, SystemTime +0x14, TickCount +0x320; KSYSTEM_TIME repeats its high part.
        WriteSystemTime(AddressMap.SharedUserData + 0x08, interruptTime);
        WriteSystemTime(AddressMap.SharedUserData + 0x14, BootTime + interruptTime);
        WriteSystemTime(AddressMap.SharedUserData + 0x320, interruptTime / TickLength);
        Memory.WriteU64(NtImage.Instance["KeTickCount"], interruptTime / TickLength);
        if (!NtData.Timers(Memory).IsEmpty) Ke.ExpireTimers(this);
    }

    /// <summary>
    /// The time as a routine of nt tells it. The clock stands still while code runs; but code that asks again and again waits for a moment
    /// to come, and from the sixteenth time on each question takes a microsecond.
    /// </summary>
    public ulong ReadTime()
    {
        var reads = NtData.TimesRead(Memory) + 1;
        var now = NtData.InterruptTime(Memory);
        NtData.SetTimesRead(Memory, reads);
        if (reads < 16) return now;
        AdvanceTo(now + 10);
        NtData.SetTimesRead(Memory, reads);
        return now + 10;
    }

    private void WriteSystemTime(ulong at, ulong value)
    {
        Memory.WriteU64(at, value);
        Memory.WriteU32(at + 8, (uint)(value >> 32));
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

    // Naming.

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

    private sealed record Module(string Name, ulong Base, uint Size);
}
