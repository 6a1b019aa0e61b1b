using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Faults of kernel code become exceptions, and exceptions that nobody handles become bug checks.</summary>
internal static partial class Ke
{
    // KiExceptionDispatch: an EXCEPTION_RECORD. KiDispatchException: a CONTEXT.
    private const int RecordQuads = (int)(ExceptionRecord.Size / 8), ContextQuads = (int)(ContextRecord.Size / 8);

    private static void DefineExceptions(NtRoutines nt)
    {
        // A page fault's parameters: 0 read, 1 write, 8 execute; and the address (EXCEPTION_RECORD, Microsoft Learn).
        nt.Trap("KiPageFault", p =>
        {
            var (frame, error) = (p.TrapFrame, p.TrapFrame.ErrorCode);
            return RaiseFault(p, NtStatus.AccessViolation, 2, (error & 0x10) != 0 ? 8u : (error & 2) != 0 ? 1u : 0, frame.FaultAddress);
        }, FaultHandled);
        // The processor doesn't tell the address of a general protection fault; nt says -1.
        nt.Trap("KiGeneralProtectionFault", p => RaiseFault(p, NtStatus.AccessViolation, 2, 0, ulong.MaxValue), FaultHandled);
        nt.Trap("KiDivideErrorFault", p => RaiseFault(p, DivideStatus(p), 0), FaultHandled);
        nt.Trap("KiInvalidOpcodeFault", p => RaiseFault(p, NtStatus.IllegalInstruction, 0), FaultHandled);
        // BREAKPOINT_BREAK 0 is the first parameter.
        nt.Trap("KiBreakpointTrap", p => RaiseFault(p, NtStatus.Breakpoint, 1), FaultHandled);
        nt.Trap("KiRaiseAssertion", p => RaiseFault(p, NtStatus.AssertionFailure, 0), FaultHandled);
        nt.Add("KiExceptionDispatch", RecordQuads, DispatchFault, p => p.Return());
        nt.Add("KiDispatchException", ContextQuads, SearchHandler, HandlerSearched);

        nt.Defined("KiStartSystemThread").Handler = nt.Add("PspSystemThreadStartup$filt$0", SystemThreadHandler);
        nt.Defined("KiSystemServiceCopyEnd").Handler = nt.Add("KiSystemServiceHandler", SystemServiceHandler);
    }

    /// <summary>The stack an address is on: the current thread's, or else the processor's DPC stack.</summary>
    public static (ulong Low, ulong High) StackOf(Processor p, ulong rsp)
    {
        var thread = p.CurrentThread;
        // A full stack has its pointer in the guard pages.
        return rsp >= thread.StackLimit - GuardBytes && rsp < thread.StackBase ? (thread.StackLimit, thread.StackBase) : (p.DpcStack - 0x4000, p.DpcStack + 0x10);
    }

    /// <summary>Just below the current thread's stack, where no page ever is.</summary>
    public static bool IsGuardPage(Processor p, ulong address) => p.CurrentThread.StackLimit - address - 1 < GuardBytes;

    private const ulong GuardBytes = AddressMap.StackStride - AddressMap.StackBytes;

    private static Next RaiseFault(Processor p, NtStatus status, uint parameters, ulong first = 0, ulong second = 0) =>
        p.Call("KiExceptionDispatch", 1, status.Value, p.TrapFrame.Address, parameters, first, second);

    private static Next FaultHandled(Processor p) => p.ReturnFromTrap();

    /// <summary>STATUS_INTEGER_OVERFLOW is a quotient that doesn't fit.</summary>
    private static NtStatus DivideStatus(Processor p)
    {
        var registers = p.Registers;
        p.TrapFrame.Restore(ref registers);
        var divisor = Emulation.Cpu.DivideOperand.At(p.Memory, registers) ?? throw new UnmodelledException("a divide error", "its divisor can't be found");
        return divisor == 0 ? NtStatus.IntegerDivideByZero : NtStatus.IntegerOverflow;
    }

    // KiExceptionDispatch(status, trap frame, number of parameters, two parameters)
    private static Next DispatchFault(Processor p)
    {
        var frame = new TrapFrame(p.Memory, p.Arg(1));
        var record = new ExceptionRecord(p.Memory, p.LocalAddress(0));
        record.Fill(new NtStatus(p.Arg32(0)), ExceptionFlags.None, frame.Rip, ((ReadOnlySpan<ulong>)[p.Arg(3), p.Arg(4)])[..(int)p.Arg32(2)]);
        // KiDispatchException(ExceptionRecord, ExceptionFrame, TrapFrame, PreviousMode, FirstChance). There is no KEXCEPTION_FRAME: no step
        // of nt changes the registers it would save.
        return p.Call("KiDispatchException", 1, record.Address, 0, frame.Address, (ulong)ProcessorMode.KernelMode, 1);
    }

    private static Next SearchHandler(Processor p)
    {
        var faulted = p.Registers;
        new TrapFrame(p.Memory, p.Arg(2)).Restore(ref faulted);
        var context = new ContextRecord(p.Memory, p.LocalAddress(0));
        context.Capture(ref faulted);
        return p.Call("RtlDispatchException", 1, p.Arg(0), context.Address);
    }

    private static Next HandlerSearched(Processor p)
    {
        var context = new ContextRecord(p.Memory, p.LocalAddress(0));
        if ((byte)p.Result == 0) throw NobodyHandles(new ExceptionRecord(p.Memory, p.Arg(0)), context);
        // EXCEPTION_CONTINUE_EXECUTION: with the registers as the filter left them in the CONTEXT.
        var frame = new TrapFrame(p.Memory, p.Arg(2));
        var goesOn = p.Registers;
        context.Load(ref goesOn);
        goesOn.Cr8 = frame.PreviousIrql;
        frame.Save(ref goesOn, user: false, frame.ErrorCode, frame.FaultAddress);
        LoadNonvolatile(p, context);
        return p.Return();
    }

    /// <summary>What a trap frame has no place for: r12 to r15, xmm6 to xmm15.</summary>
    private static void LoadNonvolatile(Processor p, ContextRecord context)
    {
        ref var r = ref p.Registers;
        (r.R12, r.R13, r.R14, r.R15) = (context[12], context[13], context[14], context[15]);
        Span<byte> xmm = stackalloc byte[16];
        for (var i = 6; i < 16; i++)
        {
            p.Memory.Read(context.XmmAddress(i), xmm);
            Emulation.Cpu.CpuRegisters.WriteXmm(ref r, i, xmm);
        }
    }

    /// <summary>KMODE_EXCEPTION_NOT_HANDLED.</summary>
    public static BugCheckException NobodyHandles(ExceptionRecord record, ContextRecord context) =>
        new(0x1E, record.Code.Value, record.ExceptionAddress, record.Information(0), record.Information(1)) { Context = context.Address };

    // Language handlers of nt's outermost frames: (record, establisher frame, context, dispatcher context). An exception that comes to one
    // of them has passed every driver. Unwinds never do: their targets lie further in.

    private static Next SystemServiceHandler(Processor p) =>
        // SYSTEM_SERVICE_EXCEPTION: code, address, context record.
        throw new BugCheckException(0x3B, RecordOf(p).Code.Value, RecordOf(p).ExceptionAddress, p.Arg(2), 0) { Context = p.Arg(2) };

    private static Next SystemThreadHandler(Processor p) =>
        // SYSTEM_THREAD_EXCEPTION_NOT_HANDLED: code, address, exception record, context record.
        throw new BugCheckException(0x7E, RecordOf(p).Code.Value, RecordOf(p).ExceptionAddress, p.Arg(0), p.Arg(2)) { Context = p.Arg(2) };

    private static ExceptionRecord RecordOf(Processor p) => new(p.Memory, p.Arg(0));
}
