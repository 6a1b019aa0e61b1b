using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Emulation.Cpu;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Exceptions: who handles one is found by unwinding the stack frame by frame and asking each frame's language handler, as "x64 exception
/// handling" of Microsoft Learn describes it. What the search knows lies in its own stack frame, so a filter may block, and a saved state
/// of the machine may be taken in it.
/// </summary>
internal static partial class Rtl
{
    // RtlDispatchException: the CONTEXT it unwinds, the DISPATCHER_CONTEXT for handlers, and what it remembers from frame to frame.
    private const int
        SearchContext = 0, SearchDispatch = SearchContext + (int)(ContextRecord.Size / 8), SearchFlags = SearchDispatch + (int)(DispatcherContext.Size / 8),
        SearchNested = SearchFlags + 1, SearchFrame = SearchFlags + 2, SearchLow = SearchFlags + 3, SearchHigh = SearchFlags + 4, SearchLocals = SearchFlags + 5;

    // A routine that raises: the CONTEXT of its caller, an EXCEPTION_RECORD.
    private const int RaiseContext = 0, RaiseRecord = (int)(ContextRecord.Size / 8), RaiseLocals = RaiseRecord + (int)(ExceptionRecord.Size / 8);

    /// <summary>No walk over a stack of 24 KiB, or a driver's largest, is longer, in frames.</summary>
    private const int MostFrames = 4096;

    private static Routine ExceptionExecutor => NtImage.Instance.RoutineOf("RtlpExecuteHandlerForException");

    private static Routine UnwindExecutor => NtImage.Instance.RoutineOf("RtlpExecuteHandlerForUnwind");

    private static void DefineExceptions(NtRoutines nt)
    {
        nt.Add("RtlDispatchException", SearchLocals, BeginSearch, AskNextFrame, FrameAnswered);
        var nested = nt.Add("RtlpExceptionHandler", NestedException);
        var executeHandler = nt.Add("RtlpExecuteHandlerForException", CallHandler, p => p.Return(p.Result));
        executeHandler.Handler = nested;

        nt.Add("RtlRaiseException", RaiseLocals, RaiseException, Raised);
        nt.Add("RtlRaiseStatus", RaiseLocals, RaiseStatus, Raised);
        nt.Add("ExRaiseStatus", RaiseLocals, RaiseStatus, Raised);
        nt.Add("ExRaiseAccessViolation", RaiseLocals, p => Raise(p, NtStatus.AccessViolation), Raised);
        nt.Add("ExRaiseDatatypeMisalignment", RaiseLocals, p => Raise(p, NtStatus.DatatypeMisalignment), Raised);

        nt.Add("__C_specific_handler", 3, BeginScopes, NextScope, FilterAnswered, TerminationHandlerDone);
    }

    // The search for a handler: BOOLEAN RtlDispatchException(PEXCEPTION_RECORD, PCONTEXT).

    private static Next BeginSearch(Processor p)
    {
        var context = new ContextRecord(p.Memory, p.LocalAddress(SearchContext));
        p.Machine.Copy(context.Address, p.Arg(1), ContextRecord.Size);
        var (low, high) = Ke.StackOf(p, context.Rsp);
        p[SearchLow] = low;
        p[SearchHigh] = high;
        p[SearchFlags] = (ulong)(RecordOf(p).Flags & ExceptionFlags.NonContinuable);
        p[SearchNested] = 0;
        return p.Goto(1);
    }

    private static ExceptionRecord RecordOf(Processor p) => new(p.Memory, p.Arg(0));

    private static Next AskNextFrame(Processor p)
    {
        var context = new ContextRecord(p.Memory, p.LocalAddress(SearchContext));
        var first = new ContextRecord(p.Memory, p.Arg(1));
        for (var i = 0; i < MostFrames; i++)
        {
            var pc = context.Rip;
            // The exception may itself be a jump to a bad address; further out, user mode is the end of the stack.
            if (AddressMap.IsUser(pc) && context.Rsp != first.Rsp) return p.Return(false);
            if (context.Rsp < p[SearchLow] || context.Rsp >= p[SearchHigh]) return StackIsBad(p);
            if (Unwind(p, context) is not { } frame) return StackIsBad(p);
            if (frame.Handler is { } handler && (handler.Kinds & HandlerKinds.Exception) != 0) return AskFrame(p, frame, handler, pc, scopeIndex: 0);
        }
        return StackIsBad(p);
    }

    private static Next StackIsBad(Processor p)
    {
        var record = RecordOf(p);
        record.Flags |= ExceptionFlags.StackInvalid;
        return p.Return(false);
    }

    private static Next AskFrame(Processor p, UnwoundFrame frame, FrameHandler handler, ulong pc, uint scopeIndex)
    {
        var establisher = frame.Establisher.Value;
        if (establisher < p[SearchLow] || establisher >= p[SearchHigh] || establisher % 8 != 0) return StackIsBad(p);
        var dispatch = new DispatcherContext(p.Memory, p.LocalAddress(SearchDispatch));
        FillDispatch(dispatch, frame, handler, pc, scopeIndex);
        dispatch.TargetIp = 0;
        dispatch.ContextRecord = new ContextRecord(p.Memory, p.Arg(1));
        p[SearchFrame] = establisher;
        var record = RecordOf(p);
        record.Flags = (ExceptionFlags)p[SearchFlags];
        return p.Call("RtlpExecuteHandlerForException", 2, record.Address, establisher, p.Arg(1), dispatch.Address);
    }

    private static void FillDispatch(DispatcherContext dispatch, UnwoundFrame frame, FrameHandler handler, ulong pc, uint scopeIndex)
    {
        dispatch.ControlPc = pc;
        dispatch.ImageBase = frame.ImageBase.Value;
        dispatch.FunctionEntry = frame.FunctionEntry?.Value ?? 0;
        dispatch.EstablisherFrame = frame.Establisher.Value;
        dispatch.LanguageHandler = handler.Routine.Value;
        dispatch.HandlerData = handler.Data.Value;
        dispatch.HistoryTable = 0;
        dispatch.ScopeIndex = scopeIndex;
    }

    private static Next FrameAnswered(Processor p)
    {
        var record = RecordOf(p);
        var dispatch = new DispatcherContext(p.Memory, p.LocalAddress(SearchDispatch));
        p[SearchFlags] |= (ulong)(record.Flags & ExceptionFlags.NonContinuable);
        // Past the frame in which an earlier exception was being handled, this one isn't nested any more.
        if (p[SearchNested] == p[SearchFrame])
        {
            p[SearchFlags] &= ~(ulong)ExceptionFlags.NestedCall;
            p[SearchNested] = 0;
        }
        switch ((Disposition)(uint)p.Result)
        {
            case Disposition.ContinueExecution:
                if ((p[SearchFlags] & (ulong)ExceptionFlags.NonContinuable) != 0) throw new RaisedStatusException(NtStatus.NoncontinuableException);
                return p.Return(true);
            case Disposition.ContinueSearch:
                return p.Goto(1);
            case Disposition.NestedException:
                p[SearchFlags] |= (ulong)ExceptionFlags.NestedCall;
                if (dispatch.EstablisherFrame > p[SearchNested]) p[SearchNested] = dispatch.EstablisherFrame;
                return p.Goto(1);
            case Disposition.CollidedUnwind:
                // An unwind was interrupted by this exception: the search goes on in the frame that it had come to, behind the scope it was in.
                var context = new ContextRecord(p.Memory, p.LocalAddress(SearchContext));
                p.Machine.Copy(context.Address, dispatch.ContextRecord.Address, ContextRecord.Size);
                var scope = dispatch.ScopeIndex;
                var pc = context.Rip;
                if (Unwind(p, context) is not { Handler: { } handler } frame) return StackIsBad(p);
                return (handler.Kinds & HandlerKinds.Exception) != 0 ? AskFrame(p, frame, handler, pc, scope) : p.Goto(1);
            default:
                throw new RaisedStatusException(NtStatus.InvalidDisposition);
        }
    }

    // RtlpExecuteHandlerForException and …ForUnwind(record, establisher frame, context, dispatcher context) call the language handler that
    // the dispatcher context names. Their own frames have handlers, which see exceptions that the language handler raises.

    private static Next CallHandler(Processor p) =>
        p.Call(new DispatcherContext(p.Memory, p.Arg(3)).LanguageHandler, 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3));

    /// <summary>The fourth argument of RtlpExecuteHandlerForXxx, found by its establisher frame.</summary>
    private static DispatcherContext InterruptedDispatch(Processor p, Routine routine) =>
        new(p.Memory, p.Memory.ReadU64(p.Arg(1) + routine.Frame + 8 + (3 * 8)));

    private static Next NestedException(Processor p)
    {
        if ((RecordOf(p).Flags & (ExceptionFlags.Unwinding | ExceptionFlags.ExitUnwind)) != 0) return p.Return((ulong)Disposition.ContinueSearch);
        var dispatch = new DispatcherContext(p.Memory, p.Arg(3));
        dispatch.EstablisherFrame = InterruptedDispatch(p, ExceptionExecutor).EstablisherFrame;
        return p.Return((ulong)Disposition.NestedException);
    }

    // Raising.

    /// <summary>The registers as the current routine's caller has them once it returned.</summary>
    private static void CaptureCaller(Processor p, ContextRecord context)
    {
        var caller = p.Registers;
        caller.Rip = p.ReturnAddress;
        caller.Rsp = p.FrameTop + 8;
        context.Capture(ref caller);
    }

    private static Next RaiseStatus(Processor p) => Raise(p, new NtStatus(p.Arg32(0)));

    private static Next Raise(Processor p, NtStatus status)
    {
        var record = new ExceptionRecord(p.Memory, p.LocalAddress(RaiseRecord));
        // Who raises a status doesn't expect to come back.
        record.Fill(status, ExceptionFlags.NonContinuable, p.ReturnAddress);
        return Dispatch(p, record);
    }

    private static Next RaiseException(Processor p)
    {
        var record = new ExceptionRecord(p.Memory, p.LocalAddress(RaiseRecord));
        p.Machine.Copy(record.Address, p.Arg(0), ExceptionRecord.Size);
        record.ExceptionAddress = p.ReturnAddress;
        return Dispatch(p, record);
    }

    private static Next Dispatch(Processor p, ExceptionRecord record)
    {
        var context = new ContextRecord(p.Memory, p.LocalAddress(RaiseContext));
        CaptureCaller(p, context);
        return p.Call("RtlDispatchException", 1, record.Address, context.Address);
    }

    private static Next Raised(Processor p)
    {
        var context = new ContextRecord(p.Memory, p.LocalAddress(RaiseContext));
        if ((byte)p.Result == 0) throw Ke.NobodyHandles(new ExceptionRecord(p.Memory, p.LocalAddress(RaiseRecord)), context);
        context.Load(ref p.Registers);
        return p.RegistersSet();
    }

    // __C_specific_handler(record, establisher frame, context, dispatcher context): __try, __except and __finally of C.
    // SCOPE_TABLE (winnt.h): Count, then for each scope, inner ones first, BeginAddress, EndAddress, HandlerAddress, JumpTarget, all RVAs.
    // JumpTarget 0: HandlerAddress is a __finally. Otherwise it is a filter, or 1 for EXCEPTION_EXECUTE_HANDLER.

    private const int ScopePointers = 0, ScopeNext = 2;

    private static Next BeginScopes(Processor p)
    {
        // EXCEPTION_POINTERS
        p[ScopePointers] = p.Arg(0);
        p[ScopePointers + 1] = p.Arg(2);
        p[ScopeNext] = new DispatcherContext(p.Memory, p.Arg(3)).ScopeIndex;
        return p.Goto(1);
    }

    private static Next NextScope(Processor p)
    {
        var m = p.Memory;
        var dispatch = new DispatcherContext(m, p.Arg(3));
        var flags = RecordOf(p).Flags;
        var unwinding = (flags & (ExceptionFlags.Unwinding | ExceptionFlags.ExitUnwind)) != 0;
        var pc = dispatch.ControlPc - dispatch.ImageBase;
        var target = dispatch.TargetIp - dispatch.ImageBase;
        var count = m.ReadU32(dispatch.HandlerData);
        for (var i = (uint)p[ScopeNext]; i < count; i++)
        {
            var (begin, end, handler, jump) = Scope(p, dispatch, i);
            if (pc < begin || pc >= end) continue;
            p[ScopeNext] = i + 1;
            if (!unwinding)
            {
                if (jump == 0) continue;
                return handler == 1 ? ExecuteHandler(p, jump) : p.Call(dispatch.ImageBase + handler, 2, p.LocalAddress(ScopePointers), p.Arg(1));
            }
            if ((flags & ExceptionFlags.TargetUnwind) != 0)
            {
                // The unwind ends inside this scope, or in this scope's own __except: it and what lies around it stays.
                if (jump == 0 ? target >= begin && target < end : target == jump) break;
            }
            if (jump != 0) continue;
            // Should the __finally raise an exception, the next unwind through this frame goes on behind it.
            dispatch.ScopeIndex = i + 1;
            return p.Call(dispatch.ImageBase + handler, 3, 1, p.Arg(1));
        }
        return p.Return((ulong)Disposition.ContinueSearch);
    }

    private static (uint Begin, uint End, uint Handler, uint Jump) Scope(Processor p, DispatcherContext dispatch, uint index)
    {
        var at = dispatch.HandlerData + 4 + (index * 16ul);
        return (p.Memory.ReadU32(at), p.Memory.ReadU32(at + 4), p.Memory.ReadU32(at + 8), p.Memory.ReadU32(at + 12));
    }

    private static Next FilterAnswered(Processor p)
    {
        // A filter answers with a long: EXCEPTION_CONTINUE_EXECUTION -1, EXCEPTION_CONTINUE_SEARCH 0, EXCEPTION_EXECUTE_HANDLER 1.
        var answer = (int)p.Result;
        if (answer < 0) return p.Return((ulong)Disposition.ContinueExecution);
        return answer == 0 ? p.Goto(1) : ExecuteHandler(p, Scope(p, new DispatcherContext(p.Memory, p.Arg(3)), (uint)p[ScopeNext] - 1).Jump);
    }

    private static Next TerminationHandlerDone(Processor p) => p.Goto(1);

    private static Next ExecuteHandler(Processor p, uint jump)
    {
        var dispatch = new DispatcherContext(p.Memory, p.Arg(3));
        // The __except block finds the exception's code in RAX. RtlUnwindEx doesn't come back.
        return p.Call("RtlUnwindEx", 4, p.Arg(1), dispatch.ImageBase + jump, p.Arg(0), RecordOf(p).Code.Value, dispatch.ContextRecord.Address, dispatch.HistoryTable);
    }
}
