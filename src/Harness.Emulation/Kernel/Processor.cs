using Harness.Core.Nt;
using Harness.Emulation.Cpu;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// One virtual processor as nt's steps see it: registers, the current frame, and the four ways a step can end. Besides the registers it
/// holds only what a processor holds: interrupts that are requested, and whether it is halted or spinning.
/// </summary>
internal sealed class Processor(Machine machine, int number)
{
    private Routine _routine = null!;
    private int _step;

    public Machine Machine { get; } = machine;

    public GuestMemory Memory { get; } = machine.Memory;

    public Cpu.Cpu Cpu { get; } = new(machine.Memory);

    public int Number { get; } = number;

    public ref CpuState Registers => ref Cpu.State;

    /// <summary>KPRCB: KPCR + 0x180 (public symbols).</summary>
    public ulong Prcb => AddressMap.ProcessorControl + ((ulong)Number * 0x10000) + 0x180;

    /// <summary>Top of the stack that DPCs run on.</summary>
    public ulong DpcStack => AddressMap.ProcessorControl + ((ulong)Number * 0x10000) + 0x10000 - 0x10;

    public Structures.Thread CurrentThread
    {
        get => new(Memory, Memory.ReadU64(Prcb + 8));
        set => Memory.WriteU64(Prcb + 8, value.Address);
    }

    public Structures.Thread IdleThread
    {
        get => new(Memory, Memory.ReadU64(Prcb + 0x18));
        set => Memory.WriteU64(Prcb + 0x18, value.Address);
    }

    public Structures.Process CurrentProcess => CurrentThread.ApcState.Process;

    /// <summary>The IRQL is the processor's CR8.</summary>
    public byte Irql
    {
        get => (byte)Registers.Cr8;
        set => Registers.Cr8 = value;
    }

    /// <summary>Software interrupts that wait for the IRQL to fall: bit 1 APC, bit 2 DPC/dispatch.</summary>
    public byte Requested { get; set; }

    /// <summary>In the idle loop with nothing to do.</summary>
    public bool Halted { get; set; }

    /// <summary>The spin lock this processor spins on; 0: none.</summary>
    public ulong SpinsOn { get; set; }

    /// <summary>All that a processor holds. Between two steps it has no more.</summary>
    public ProcessorState State
    {
        get => new(Registers, Requested, Halted, SpinsOn);
        set => (Registers, Requested, Halted, SpinsOn) = (value.Registers, value.Requested, value.Halted, value.SpinsOn);
    }

    public void Request(byte irql) => Requested |= (byte)(1 << irql);

    // The frame of the step that runs.

    /// <summary>Where the current routine's return address lies.</summary>
    public ulong FrameTop => Registers.Rsp + _routine.Frame;

    /// <summary>The current routine's name.</summary>
    public string RoutineName => _routine.Name;

    /// <summary>Who called the current routine.</summary>
    public ulong ReturnAddress => Memory.ReadU64(FrameTop);

    /// <summary>The instruction of a driver that led to this step; 0: nt itself went on. Set anew before each step.</summary>
    public ulong EnteredFrom { get; set; }

    /// <summary>This step is a routine's first, and a driver called it, or jumped to it as its own last act (a tail call).</summary>
    public bool CalledByDriver => _step == 0 && EnteredFrom != 0;

    /// <summary>The routine's argument, counted from 0, from its home on the caller's stack.</summary>
    public ulong Arg(int index) => Memory.ReadU64(FrameTop + 8 + ((ulong)index * 8));

    public uint Arg32(int index) => (uint)Arg(index);

    public byte Arg8(int index) => (byte)Arg(index);

    public void SetArg(int index, ulong value) => Memory.WriteU64(FrameTop + 8 + ((ulong)index * 8), value);

    /// <summary>A local of the routine: a quadword in its stack frame.</summary>
    public ulong this[int local]
    {
        get => Memory.ReadU64(LocalAddress(local));
        set => Memory.WriteU64(LocalAddress(local), value);
    }

    public ulong LocalAddress(int local) => Registers.Rsp + NtImage.OutgoingArguments + ((ulong)local * 8);

    /// <summary>What the call that led to this step returned.</summary>
    public ulong Result => Registers.Rax;

    public NtStatus ResultStatus => new((uint)Registers.Rax);

    /// <summary>The KTRAP_FRAME a trap routine stands on.</summary>
    public TrapFrame TrapFrame => new(Memory, Registers.Rsp + Routine.TrapFrameOffset);

    // The ways a step ends.

    /// <summary>Calls a routine of nt or of a driver; the current routine goes on at step <paramref name="then"/>.</summary>
    public Next Call(ulong target, int then, params ReadOnlySpan<ulong> arguments)
    {
        PassArguments(arguments);
        Push(_routine.AddressOf(then));
        Registers.Rip = target;
        return default;
    }

    public Next Call(string routine, int then, params ReadOnlySpan<ulong> arguments) => Call(NtImage.Instance[routine], then, arguments);

    /// <summary>As Call, on another stack. Only a trap routine may: it finds its own frame again by RBP.</summary>
    public Next CallOn(ulong stack, string routine, int then)
    {
        Registers.Rsp = stack - 0x40;
        Push(_routine.AddressOf(then));
        Registers.Rip = NtImage.Instance[routine];
        return default;
    }

    /// <summary>Goes on with another step of the same routine; other processors may act before.</summary>
    public Next Goto(int step)
    {
        if (step == 0) throw new InvalidOperationException($"nt!{_routine.Name}: step 0 makes the frame and can't be gone to");
        Registers.Rip = _routine.AddressOf(step);
        return default;
    }

    public Next Return(ulong value = 0)
    {
        Registers.Rax = value;
        Registers.Rsp = FrameTop;
        Registers.Rip = Pop();
        return default;
    }

    public Next Return(NtStatus status) => Return((ulong)status.Value);

    public Next Return(bool value) => Return(value ? 1ul : 0);

    /// <summary>The lock is held: this step is tried again when it is not.</summary>
    public Next Spin(ulong spinLock)
    {
        SpinsOn = spinLock;
        Again();
        Machine.RequireRelease(this);
        return default;
    }

    /// <summary>This step is tried again from its beginning.</summary>
    public Next Again()
    {
        if (_step == 0 && _routine.Kind == FrameKind.Ordinary) Registers.Rsp += _routine.Frame;
        Registers.Rip = _routine.AddressOf(_step);
        return default;
    }

    /// <summary>The step has set all registers itself (a switch of threads, a return from a trap).</summary>
    public Next RegistersSet() => default;

    /// <summary>Carries out the step whose slot RIP stands on.</summary>
    public void RunSlot(Slot slot)
    {
        _routine = slot.Routine;
        _step = slot.Step;
        if (_step == 0)
        {
            if (_routine.Kind == FrameKind.Ordinary) HomeArguments();
            if (_routine.Kind != FrameKind.Trap) Registers.Rsp -= _routine.Frame;
            // The prologue has run: whoever unwinds from here finds the frame.
            Registers.Rip += Routine.PrologueSize;
        }
        else if (_routine.Kind == FrameKind.Trap)
        {
            Registers.Rsp = Registers.Rbp - 0x80 - Routine.TrapFrameOffset;
        }
        if (CalledByDriver && (_routine.Contracts.Count > 0 || _routine.Objects.Count > 0))
        {
            foreach (var contract in _routine.Contracts) contract(this);
            foreach (var (argument, bytes) in _routine.Objects)
                if (Arg(argument) is not 0 and var at) DriverMemory.Require(this, at, bytes, write: true);
        }
        _routine.Steps[_step](this);
    }

    /// <summary>The step that ran has raised an exception: its routine calls ExRaiseStatus, which doesn't come back.</summary>
    public void Raise(NtStatus status) => Call("ExRaiseStatus", _step + 1, status.Value);

    /// <summary>The step that ran has touched user memory that isn't there: a page fault in nt. When it is handled, the step is tried again.</summary>
    public void FaultInStep(ulong address, bool write)
    {
        Again();
        EnterTrap("KiPageFault", write ? 2u : 0, address);
    }

    // Traps.

    /// <summary>Pushes a KTRAP_FRAME of the interrupted code and enters a trap routine of nt.</summary>
    public void EnterTrap(string routine, ulong errorCode = 0, ulong faultAddress = 0)
    {
        ref var r = ref Registers;
        // A driver that calls through a null pointer is at a user address, and in kernel mode all the same.
        var user = AddressMap.IsUser(r.Rip) && AddressMap.IsUser(r.Rsp);
        var frame = new TrapFrame(Memory, ((user ? CurrentThread.InitialStack : r.Rsp) & ~0xFul) - Routine.TrapFrameSize);
        frame.Save(ref r, user, errorCode, faultAddress);
        r.Rsp = frame.Address - Routine.TrapFrameOffset;
        r.Rbp = frame.Address + 0x80;
        r.Rflags |= 0x200;
        r.Rip = NtImage.Instance[routine];
    }

    /// <summary>iretq: everything as the trap frame has it.</summary>
    public Next ReturnFromTrap()
    {
        var frame = TrapFrame;
        frame.Restore(ref Registers);
        if (frame.PreviousMode == ProcessorMode.UserMode)
        {
            var thread = CurrentThread;
            thread.PreviousMode = ProcessorMode.UserMode;
        }
        return default;
    }

    /// <summary>Enters a system service as KiSystemCall64 does: a trap frame at the stack's top, PreviousMode = UserMode.</summary>
    public void EnterService(string service, ulong returnTo, params ReadOnlySpan<ulong> arguments)
    {
        ref var r = ref Registers;
        var thread = CurrentThread;
        r.Rip = returnTo;
        var frame = new TrapFrame(Memory, (thread.InitialStack & ~0xFul) - Routine.TrapFrameSize);
        frame.Save(ref r, user: true, 0, 0);
        thread.TrapFrame = frame.Address;
        thread.PreviousMode = ProcessorMode.UserMode;
        r.Rsp = frame.Address - Routine.TrapFrameOffset;
        r.Rbp = frame.Address + 0x80;
        PassArguments(arguments);
        Push(NtRoutines.SystemServiceExit.AddressOf(1));
        r.Rip = NtImage.Instance[service];
    }

    private void PassArguments(ReadOnlySpan<ulong> arguments)
    {
        ref var r = ref Registers;
        if (arguments.Length > 0) r.Rcx = arguments[0];
        if (arguments.Length > 1) r.Rdx = arguments[1];
        if (arguments.Length > 2) r.R8 = arguments[2];
        if (arguments.Length > 3) r.R9 = arguments[3];
        for (var i = 4; i < arguments.Length; i++) Memory.WriteU64(r.Rsp + ((ulong)i * 8), arguments[i]);
    }

    private void HomeArguments()
    {
        ref var r = ref Registers;
        Memory.WriteU64(r.Rsp + 0x08, r.Rcx);
        Memory.WriteU64(r.Rsp + 0x10, r.Rdx);
        Memory.WriteU64(r.Rsp + 0x18, r.R8);
        Memory.WriteU64(r.Rsp + 0x20, r.R9);
    }

    private void Push(ulong value)
    {
        Registers.Rsp -= 8;
        Memory.WriteU64(Registers.Rsp, value);
    }

    private ulong Pop()
    {
        var value = Memory.ReadU64(Registers.Rsp);
        Registers.Rsp += 8;
        return value;
    }
}
