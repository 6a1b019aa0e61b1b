using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Unwinding: from a frame to its caller's with every register, and out of many frames at once with their __finally blocks run.</summary>
internal static partial class Rtl
{
    // RtlUnwindEx: the CONTEXT of the caller of the frame at hand, the DISPATCHER_CONTEXT for handlers, a record of its own.
    private const int
        UnwindCaller = 0, UnwindDispatch = UnwindCaller + (int)(ContextRecord.Size / 8), UnwindRecord = UnwindDispatch + (int)(DispatcherContext.Size / 8),
        UnwindFlags = UnwindRecord + (int)(ExceptionRecord.Size / 8), UnwindFrame = UnwindFlags + 1, UnwindLow = UnwindFlags + 2, UnwindHigh = UnwindFlags + 3, UnwindLocals = UnwindFlags + 4;

    private static void DefineUnwinding(NtRoutines nt)
    {
        nt.Add("RtlUnwindEx", UnwindLocals, BeginUnwind, UnwindNextFrame, UnwindAnswered, TargetReached);
        var collided = nt.Add("RtlpUnwindHandler", CollidedUnwind);
        var executeTermination = nt.Add("RtlpExecuteHandlerForUnwind", CallHandler, p => p.Return(p.Result));
        executeTermination.Handler = collided;
        // RtlUnwind(TargetFrame, TargetIp, ExceptionRecord, ReturnValue); its frame has room for the CONTEXT.
        nt.Add("RtlUnwind", (int)(ContextRecord.Size / 8), p => p.Call("RtlUnwindEx", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3), p.LocalAddress(0), 0), NeverComesBack);
        nt.Add("_local_unwind", p => p.Call("RtlUnwind", 1, p.Arg(0), p.Arg(1), 0, 0), NeverComesBack);

        nt.Add("RtlCaptureContext", p =>
        {
            CaptureCaller(p, new ContextRecord(p.Memory, p.Arg(0)));
            return p.Return(p.Result);
        });
        nt.Add("RtlRestoreContext", RestoreContext);
        nt.Add("RtlLookupFunctionEntry", p =>
        {
            var found = new KernelView(p.Machine.KernelMemory).Stacks.FunctionEntry(new(p.Arg(0)));
            if (found is { } entry) p.Memory.WriteU64(p.Arg(1), entry.ImageBase.Value);
            return p.Return(found?.Entry.Value ?? 0);
        });
        nt.Add("RtlVirtualUnwind", VirtualUnwind);
        nt.Add("RtlPcToFileHeader", p =>
        {
            var start = new KernelView(p.Machine.KernelMemory).Modules.Containing(new(p.Arg(0)))?.Base.Value ?? 0;
            p.Memory.WriteU64(p.Arg(1), start);
            return p.Return(start);
        });
    }

    private static Next NeverComesBack(Processor p) => throw new InvalidOperationException($"nt!{p.RoutineName}: an unwind came back");

    /// <summary>A context becomes that of the caller of its frame; null when the frame can't be unwound.</summary>
    private static UnwoundFrame? Unwind(Processor p, ContextRecord context)
    {
        var registers = new UnwindRegisters(new(context.Rip), new(context.Rsp));
        for (var i = 0; i < 16; i++) registers[i] = context[i];
        if (new KernelView(p.Machine.KernelMemory).Stacks.Unwind(registers, out _) is not { } frame) return null;
        for (var i = 0; i < 16; i++) context[i] = registers[i] ?? throw new InvalidOperationException($"register {i} was lost in unwinding");
        context.Rip = registers.Rip.Value;
        for (var i = 0; i < 16; i++)
            if (registers.XmmSavedAt(i) is { } slot) p.Machine.Copy(context.XmmAddress(i), slot.Value, 16);
        return frame;
    }

    // RtlUnwindEx(TargetFrame, TargetIp, ExceptionRecord, ReturnValue, OriginalContext, HistoryTable). The context of the frame at hand is in
    // the caller's OriginalContext.

    private static ContextRecord FrameContext(Processor p) => new(p.Memory, p.Arg(4));

    private static Next BeginUnwind(Processor p)
    {
        var context = FrameContext(p);
        CaptureCaller(p, context);
        if (p.Arg(2) == 0)
        {
            var own = new ExceptionRecord(p.Memory, p.LocalAddress(UnwindRecord));
            own.Fill(NtStatus.Unwind, ExceptionFlags.None, p.ReturnAddress);
            p.SetArg(2, own.Address);
        }
        var code = new ExceptionRecord(p.Memory, p.Arg(2)).Code;
        // Both give the record's parameters a meaning of their own; C has no use for them.
        if (code == NtStatus.UnwindConsolidate || code == NtStatus.LongJump) throw new UnmodelledException("nt!RtlUnwindEx", $"an unwind with the exception code {code}");
        if (p.Arg(0) == 0) throw new UnmodelledException("nt!RtlUnwindEx", "an exit unwind, out of the whole stack");
        var (low, high) = Ke.StackOf(p, context.Rsp);
        p[UnwindLow] = low;
        p[UnwindHigh] = high;
        p[UnwindFlags] = (ulong)ExceptionFlags.Unwinding;
        return p.Goto(1);
    }

    private static Next UnwindNextFrame(Processor p)
    {
        var context = FrameContext(p);
        var caller = new ContextRecord(p.Memory, p.LocalAddress(UnwindCaller));
        for (var i = 0; i < MostFrames; i++)
        {
            if (context.Rsp < p[UnwindLow] || context.Rsp >= p[UnwindHigh] || AddressMap.IsUser(context.Rip) && !IsCalledBadAddress(p, context)) break;
            if (Step(p) is not { } frame) break;
            if (frame.FunctionEntry is not null)
            {
                var establisher = frame.Establisher.Value;
                if (establisher > p.Arg(0)) throw new RaisedStatusException(NtStatus.InvalidUnwindTarget);
                if (frame.Handler is { } handler && (handler.Kinds & HandlerKinds.Termination) != 0) return TellFrame(p, frame, handler, scopeIndex: 0);
                if (establisher == p.Arg(0)) return p.Goto(3);
            }
            p.Machine.Copy(context.Address, caller.Address, ContextRecord.Size);
        }
        throw new RaisedStatusException(NtStatus.BadStack);
    }

    /// <summary>A frame at a user address in the middle of a kernel stack: kernel code jumped to a bad pointer, and the exception is that.</summary>
    private static bool IsCalledBadAddress(Processor p, ContextRecord context) => new ExceptionRecord(p.Memory, p.Arg(2)).ExceptionAddress == context.Rip;

    /// <summary>Makes the context of the frame's caller; the frame's own stays as it is.</summary>
    private static UnwoundFrame? Step(Processor p)
    {
        var caller = new ContextRecord(p.Memory, p.LocalAddress(UnwindCaller));
        p.Machine.Copy(caller.Address, FrameContext(p).Address, ContextRecord.Size);
        return Unwind(p, caller);
    }

    private static Next TellFrame(Processor p, UnwoundFrame frame, FrameHandler handler, uint scopeIndex)
    {
        var context = FrameContext(p);
        var record = new ExceptionRecord(p.Memory, p.Arg(2));
        var dispatch = new DispatcherContext(p.Memory, p.LocalAddress(UnwindDispatch));
        FillDispatch(dispatch, frame, handler, context.Rip, scopeIndex);
        dispatch.TargetIp = p.Arg(1);
        dispatch.ContextRecord = context;
        dispatch.HistoryTable = p.Arg(5);
        context.Rax = p.Arg(3);
        p[UnwindFrame] = frame.Establisher.Value;
        if (frame.Establisher.Value == p.Arg(0)) p[UnwindFlags] |= (ulong)ExceptionFlags.TargetUnwind;
        record.Flags = (record.Flags & ExceptionFlags.NonContinuable) | (ExceptionFlags)p[UnwindFlags];
        p[UnwindFlags] &= ~(ulong)(ExceptionFlags.CollidedUnwind | ExceptionFlags.TargetUnwind);
        return p.Call("RtlpExecuteHandlerForUnwind", 2, record.Address, frame.Establisher.Value, context.Address, dispatch.Address);
    }

    private static Next UnwindAnswered(Processor p)
    {
        var context = FrameContext(p);
        switch ((Disposition)(uint)p.Result)
        {
            case Disposition.ContinueSearch:
                if (p[UnwindFrame] == p.Arg(0)) return p.Goto(3);
                p.Machine.Copy(context.Address, p.LocalAddress(UnwindCaller), ContextRecord.Size);
                return p.Goto(1);
            case Disposition.CollidedUnwind:
                // An earlier unwind had come further and was left by an exception: this one goes on from there.
                var dispatch = new DispatcherContext(p.Memory, p.LocalAddress(UnwindDispatch));
                p.Machine.Copy(context.Address, dispatch.ContextRecord.Address, ContextRecord.Size);
                var scope = dispatch.ScopeIndex;
                if (Step(p) is not { Handler: { } handler } frame) throw new RaisedStatusException(NtStatus.BadStack);
                p[UnwindFlags] |= (ulong)ExceptionFlags.CollidedUnwind;
                return TellFrame(p, frame, handler, scope);
            default:
                throw new RaisedStatusException(NtStatus.InvalidDisposition);
        }
    }

    private static Next TargetReached(Processor p)
    {
        var context = FrameContext(p);
        context.Rax = p.Arg(3);
        context.Rip = p.Arg(1);
        context.Load(ref p.Registers);
        return p.RegistersSet();
    }

    private static Next CollidedUnwind(Processor p)
    {
        var dispatch = new DispatcherContext(p.Memory, p.Arg(3));
        p.Machine.Copy(dispatch.Address, InterruptedDispatch(p, UnwindExecutor).Address, DispatcherContext.Size);
        return p.Return((ulong)Disposition.CollidedUnwind);
    }

    // RtlRestoreContext(ContextRecord, ExceptionRecord)
    private static Next RestoreContext(Processor p)
    {
        if (p.Arg(1) != 0 && new ExceptionRecord(p.Memory, p.Arg(1)).Code is var code && (code == NtStatus.UnwindConsolidate || code == NtStatus.LongJump))
            throw new UnmodelledException("nt!RtlRestoreContext", $"the exception code {code}");
        new ContextRecord(p.Memory, p.Arg(0)).Load(ref p.Registers);
        return p.RegistersSet();
    }

    // RtlVirtualUnwind(HandlerType, ImageBase, ControlPc, FunctionEntry, ContextRecord, *HandlerData, *EstablisherFrame, ContextPointers)
    private static Next VirtualUnwind(Processor p)
    {
        var m = p.Memory;
        var context = new ContextRecord(m, p.Arg(4));
        if (p.Arg(7) != 0) throw new UnmodelledException("nt!RtlVirtualUnwind", "ContextPointers");
        var stacks = new KernelView(p.Machine.KernelMemory).Stacks;
        if (context.Rip != p.Arg(2) || stacks.FunctionEntry(new(p.Arg(2)))?.Entry.Value != p.Arg(3))
            throw new UnmodelledException("nt!RtlVirtualUnwind", "a function entry or a ControlPc that aren't those of the context");
        if (Unwind(p, context) is not { } frame) throw new RaisedStatusException(NtStatus.BadStack);
        m.WriteU64(p.Arg(6), frame.Establisher.Value);
        if (frame.Handler is not { } handler || ((uint)handler.Kinds & p.Arg32(0)) == 0) return p.Return(0);
        m.WriteU64(p.Arg(5), handler.Data.Value);
        return p.Return(handler.Routine.Value);
    }
}
