using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Traces;

namespace Harness.Emulation.Kernel;

/// <summary>
/// What nt logs for a session of the kernel's logger, at the places where it does, read from guest memory at that moment. It keeps what was
/// logged, which a saved state takes back, and nothing else of the run.
/// </summary>
internal sealed class KernelTrace
{
    /// <summary>THREAD_ADJUST_REASON of a wait that is over (learn.microsoft.com, ReadyThread).</summary>
    private const byte AdjustUnwait = 1;

    /// <summary>The time stamp counter's, three hundred for each unit of the clock.</summary>
    private const uint MegaHertz = 3000;

    private const uint NoSession = 0xFFFFFFFF;
    private const int MostFrames = StackUnwinder.MostFrames;

    private readonly Machine _machine;
    private readonly KernelSession _session;
    private readonly ulong _started;
    private readonly ulong[] _frames = new ulong[MostFrames];

    /// <summary>Reads stacks; it remembers which images there are, and is made anew when that changes.</summary>
    private KernelView? _view;

    /// <summary>Begins the session: what exists is listed.</summary>
    public KernelTrace(Machine machine)
    {
        _machine = machine;
        _started = Now;
        _session = new KernelSession(machine.Processors.Count, _started);
        Rundown(started: true);
    }

    private KernelView View => _view ??= new KernelView(_machine.KernelMemory, readLimit: long.MaxValue);

    private ulong Now => NtData.InterruptTime(_machine.Memory);

    /// <summary>How far the session is.</summary>
    public TraceMark Mark => _session.Mark;

    /// <summary>Forgets what was logged after a mark.</summary>
    public void CutBackTo(TraceMark mark)
    {
        _session.CutBackTo(mark);
        _view = null;
    }

    /// <summary>Ends the session: what still exists is listed.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> Stop()
    {
        Rundown(started: false);
        return _session.File(new SessionFacts(Machine.Build, (uint)_machine.Processors.Count, MegaHertz, Machine.TickLength, Machine.BootTime, _started, Now));
    }

    // Processes, threads and images.

    public void ProcessStarted(Process process) => _session.Process(Here(), KernelTraceEvents.ProcessStart, Facts(process));

    public void ProcessEnded(Process process)
    {
        if (_machine.Clients.ImageOf(process) is { } image) _session.Image(Here(), KernelTraceEvents.ImageUnload, image);
        _session.Process(Here(), KernelTraceEvents.ProcessEnd, Facts(process));
    }

    /// <summary>NtTerminateProcess: the current thread asks for it.</summary>
    public void TerminateRequested(Process victim) => _session.TerminateProcess(Here(), (uint)victim.UniqueProcessId);

    public void ThreadStarted(Structures.Thread thread) => _session.Thread(Here(), KernelTraceEvents.ThreadStart, Facts(thread));

    public void ThreadEnded(Structures.Thread thread) => _session.Thread(Here(), KernelTraceEvents.ThreadEnd, Facts(thread));

    public void ImageLoaded(LoaderEntry module)
    {
        _view = null;
        ImageLoaded(Facts(module));
    }

    public void ImageLoaded(ImageFacts image) => _session.Image(Here(), KernelTraceEvents.ImageLoad, image);

    // The dispatcher.

    /// <summary>A processor was given to another thread, whose stack it is on now.</summary>
    public void Switched(Processor p, Structures.Thread old, Structures.Thread next)
    {
        if (old == next) return;
        var idle = next == p.IdleThread;
        var ticks = idle || next.WaitTime == 0 ? 0 : (uint)(Now / Machine.TickLength) - next.WaitTime;
        var change = new SwitchFacts((uint)next.UniqueThread, (uint)old.UniqueThread, next.Priority, old.Priority, (byte)old.WaitReason, (byte)old.State, ticks);
        _session.ContextSwitch(On(p), change, idle ? [] : Stack(p));
    }

    /// <summary>A wait has ended.</summary>
    /// <param name="thread">Whose.</param>
    /// <param name="byClock">A timer expired: that is seen by a DPC of the processor that takes the clock interrupt.</param>
    public void Unwaited(Structures.Thread thread, bool byClock) => Readied(thread, byClock ? _machine.ClockProcessor : _machine.ActingProcessor, AdjustUnwait, byClock);

    /// <summary>A thread that has begun can run.</summary>
    public void Readied(Structures.Thread thread) => Readied(thread, _machine.ActingProcessor, 0, byClock: false);

    private void Readied(Structures.Thread thread, Processor p, byte adjustReason, bool byClock) =>
        _session.ReadyThread(On(p), (uint)thread.UniqueThread, adjustReason, byClock || Ke.IsExecutingDpc(p), Stack(p));

    // Drivers.

    /// <summary>IoCallDriver enters a dispatch routine. Gives the number that the return has too.</summary>
    public uint DriverCalled(Processor p, IoStackLocation location, Irp irp, ulong routine)
    {
        var id = _session.NextMatchId();
        _session.MajorFunctionCall(On(p), (uint)location.MajorFunction, location.MinorFunction, routine, location.FileObject.Address, irp.Address, id);
        return id;
    }

    public void DriverReturned(Processor p, ulong irp, uint id) => _session.Return(On(p), KernelTraceEvents.DriverMajorFunctionReturn, irp, id);

    /// <summary>IoCompleteRequest begins, called for the driver at the current stack location. Gives the number that its return has too.</summary>
    public uint CompletionBegan(Processor p, Irp irp)
    {
        var id = _session.NextMatchId();
        _session.Completion(On(p), KernelTraceEvents.DriverCompleteRequest, irp.CurrentLocation <= irp.StackCount ? DispatchRoutineOf(irp.Current) : 0, irp.Address, id);
        return id;
    }

    /// <summary>0: the location names no driver. A driver that makes IRPs may leave anything in them.</summary>
    private ulong DispatchRoutineOf(IoStackLocation location)
    {
        const ulong driverObject = 0x8, majorFunction = 0x70;
        ulong Pointer(ulong address)
        {
            Span<byte> bytes = stackalloc byte[8];
            return _machine.Memory.TryRead(address, bytes) ? BitConverter.ToUInt64(bytes) : 0;
        }

        var driver = Pointer(location.DeviceObject.Address + driverObject);
        return driver == 0 || location.MajorFunction > IrpMajor.Pnp ? 0 : Pointer(driver + majorFunction + ((ulong)location.MajorFunction * 8));
    }

    /// <summary>A completion routine has returned.</summary>
    public void CompletionRoutineReturned(Processor p, ulong routine, ulong irp, uint id) => _session.Completion(On(p), KernelTraceEvents.DriverCompletionRoutine, routine, irp, id);

    public void CompletionEnded(Processor p, ulong irp, uint id) => _session.Return(On(p), KernelTraceEvents.DriverCompleteRequestReturn, irp, id);

    // Where an event is logged.

    private EventOrigin Here() => On(_machine.ActingProcessor);

    private EventOrigin On(Processor p)
    {
        var thread = p.CurrentThread;
        return new EventOrigin(p.Number, (uint)thread.UniqueThread, (uint)thread.UniqueProcess, Now);
    }

    /// <summary>The stack a processor is on, innermost first: the kernel's frames, then the place in user mode that they lead to.</summary>
    private ReadOnlySpan<ulong> Stack(Processor p)
    {
        ref var r = ref p.Registers;
        ReadOnlySpan<ulong> general = [r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15];
        var registers = new UnwindRegisters(new(r.Rip), new(r.Rsp));
        for (var i = 0; i < general.Length; i++)
            if (i != UnwindRegisters.RspNumber) registers[i] = general[i];
        var count = 0;
        while (count < MostFrames && registers.Rip.Value != 0)
        {
            _frames[count++] = registers.Rip.Value;
            if (!registers.Rip.IsKernel || View.Modules.Containing(registers.Rip) is null || View.Stacks.Unwind(registers, out _) is null) break;
        }
        return _frames.AsSpan(0, count);
    }

    // Rundown.

    private void Rundown(bool started)
    {
        var m = _machine.Memory;
        var at = new EventOrigin(_machine.ClockProcessor.Number, 0, 0, Now);
        _session.BeginRundown(at, started);
        if (started) _session.KernelBase(at, NtImage.Base);
        RunDown(at, started, _machine.ClockProcessor.IdleThread.Process);
        foreach (var entry in NtData.ActiveProcesses(m).Entries()) RunDown(at, started, new Process(m, entry - 0x448));
        foreach (var entry in NtData.Modules(m).Entries())
            _session.Image(at, started ? KernelTraceEvents.ImageDCStart : KernelTraceEvents.ImageDCEnd, Facts(new LoaderEntry(m, entry)));
        if (started) _session.Names(at, NtImage.Base, NtImage.Instance.Routines.Select(routine => ((uint)(routine.Address - NtImage.Base), routine.Name)));
        _session.EndRundown(at);
    }

    private void RunDown(EventOrigin at, bool started, Process process)
    {
        _session.RunDown(at, started, Facts(process));
        foreach (var entry in process.ThreadListHead.Entries())
        {
            var thread = new Structures.Thread(process.Memory, entry - 0x4E8);
            if (thread.State != ThreadState.Terminated) _session.Thread(at, started ? KernelTraceEvents.ThreadDCStart : KernelTraceEvents.ThreadDCEnd, Facts(thread));
        }
        if (process.ExitTime == 0 && _machine.Clients.ImageOf(process) is { } image) _session.Image(at, started ? KernelTraceEvents.ImageDCStart : KernelTraceEvents.ImageDCEnd, image);
    }

    // What the structures tell.

    private ProcessFacts Facts(Process process) => new(process.Address, (uint)process.UniqueProcessId, (uint)process.InheritedFromUniqueProcessId,
        process.DirectoryTableBase == NtData.SystemDirectory ? NoSession : 0, process.ExitStatus.Value, process.DirectoryTableBase, process.ImageFileName, process.ExitTime);

    private ThreadFacts Facts(Structures.Thread thread) => new((uint)thread.UniqueProcess, (uint)thread.UniqueThread, thread.StackBase, thread.StackLimit,
        (1ul << _machine.Processors.Count) - 1, thread.Win32StartAddress != 0 ? thread.Win32StartAddress : thread.StartAddress, thread.Teb, thread.Priority);

    private ImageFacts Facts(LoaderEntry module)
    {
        var m = _machine.Memory;
        var image = module.DllBase;
        // IMAGE_OPTIONAL_HEADER64, 0x18 behind the signature: ImageBase +0x18, CheckSum +0x40.
        var optional = image + m.ReadU32(image + 0x3C) + 0x18;
        return new ImageFacts(image, module.SizeOfImage, 0, m.ReadU32(optional + 0x40), module.TimeDateStamp, m.ReadU64(optional + 0x18), module.FullDllName.Text,
            View.Modules.Containing(new(image)) is { } loaded ? View.Modules.PdbOf(loaded) : null);
    }
}
