using System.Runtime.CompilerServices;
using Harness.Emulation.Memory;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>How a string instruction repeats.</summary>
internal interface IRepetition
{
    static abstract bool Repeats { get; }

    /// <summary>Does a comparison with this result (ZF) go on?</summary>
    static abstract bool GoesOn(bool equal);
}

internal readonly struct Once : IRepetition
{
    public static bool Repeats => false;

    public static bool GoesOn(bool equal) => false;
}

/// <summary>rep, and repe of a comparison.</summary>
internal readonly struct WhileEqual : IRepetition
{
    public static bool Repeats => true;

    public static bool GoesOn(bool equal) => equal;
}

internal readonly struct WhileUnequal : IRepetition
{
    public static bool Repeats => true;

    public static bool GoesOn(bool equal) => !equal;
}

/// <summary>
/// movs, stos, lods, scas, cmps. A repeated one works in steps of at most one page; each step counts as one instruction, between steps
/// Rip stays at it. So it can be preempted, and a fault leaves what came before it done, as on a real processor.
/// </summary>
internal static unsafe class Strings
{
    private const ulong DirectionFlag = 0x400;
    private const ulong StepBytes = GuestMemory.PageSize;

    private enum Kind
    {
        Move,
        Store,
        Load,
        Scan,
        Compare,
    }

    public static delegate*<CpuCore*, Op*, Op*> HandlerOf(in Instruction i)
    {
        if (UsesAddress32(i)) return null;
        return i.Code switch
        {
            Code.Movsb_m8_m8 => Pick<W8>(i, Kind.Move),
            Code.Movsw_m16_m16 => Pick<W16>(i, Kind.Move),
            Code.Movsd_m32_m32 => Pick<W32>(i, Kind.Move),
            Code.Movsq_m64_m64 => Pick<W64>(i, Kind.Move),
            Code.Stosb_m8_AL => Pick<W8>(i, Kind.Store),
            Code.Stosw_m16_AX => Pick<W16>(i, Kind.Store),
            Code.Stosd_m32_EAX => Pick<W32>(i, Kind.Store),
            Code.Stosq_m64_RAX => Pick<W64>(i, Kind.Store),
            Code.Lodsb_AL_m8 => Pick<W8>(i, Kind.Load),
            Code.Lodsw_AX_m16 => Pick<W16>(i, Kind.Load),
            Code.Lodsd_EAX_m32 => Pick<W32>(i, Kind.Load),
            Code.Lodsq_RAX_m64 => Pick<W64>(i, Kind.Load),
            Code.Scasb_AL_m8 => Pick<W8>(i, Kind.Scan),
            Code.Scasw_AX_m16 => Pick<W16>(i, Kind.Scan),
            Code.Scasd_EAX_m32 => Pick<W32>(i, Kind.Scan),
            Code.Scasq_RAX_m64 => Pick<W64>(i, Kind.Scan),
            Code.Cmpsb_m8_m8 => Pick<W8>(i, Kind.Compare),
            Code.Cmpsw_m16_m16 => Pick<W16>(i, Kind.Compare),
            Code.Cmpsd_m32_m32 => Pick<W32>(i, Kind.Compare),
            Code.Cmpsq_m64_m64 => Pick<W64>(i, Kind.Compare),
            _ => null,
        };
    }

    private static delegate*<CpuCore*, Op*, Op*> Pick<W>(in Instruction i, Kind kind)
        where W : struct, IWidth => i.HasRepnePrefix ? Pick<W, WhileUnequal>(kind) : i.HasRepPrefix ? Pick<W, WhileEqual>(kind) : Pick<W, Once>(kind);

    private static delegate*<CpuCore*, Op*, Op*> Pick<W, R>(Kind kind)
        where W : struct, IWidth
        where R : struct, IRepetition => kind switch
        {
            Kind.Move => &Move<W, R>,
            Kind.Store => &Store<W, R>,
            Kind.Load => &Load<W, R>,
            Kind.Scan => &Scan<W, R>,
            _ => &Compare<W, R>,
        };

    private static bool UsesAddress32(in Instruction i) =>
        Operands.Uses(i, OpKind.MemorySegESI) || Operands.Uses(i, OpKind.MemorySegEDI) || Operands.Uses(i, OpKind.MemoryESEDI);

    private static Op* Move<W, R>(CpuCore* c, Op* op)
        where W : struct, IWidth
        where R : struct, IRepetition
    {
        if (R.Repeats && c->State.Rcx == 0) return op + 1;
        var segment = *(ulong*)((byte*)c + op->Segment);
        var done = R.Repeats ? MoveMany<W>(c, segment) : 0;
        if (done == 0)
        {
            var from = CpuCore.Readable<W>(c, c->State.Rsi + segment);
            if (from is null) return null;
            var value = W.Load(from);
            var to = CpuCore.Writable<W>(c, c->State.Rdi);
            if (to is null) return null;
            W.Store(to, value);
            CpuCore.Commit<W>(c, to);
            done = 1;
        }
        var distance = DistanceOf<W>(c, done);
        c->State.Rsi += distance;
        c->State.Rdi += distance;
        return AfterStep<R>(c, op, done);
    }

    private static Op* Store<W, R>(CpuCore* c, Op* op)
        where W : struct, IWidth
        where R : struct, IRepetition
    {
        if (R.Repeats && c->State.Rcx == 0) return op + 1;
        var done = R.Repeats ? StoreMany<W>(c) : 0;
        if (done == 0)
        {
            var to = CpuCore.Writable<W>(c, c->State.Rdi);
            if (to is null) return null;
            W.Store(to, W.Load((byte*)&c->State.Rax));
            CpuCore.Commit<W>(c, to);
            done = 1;
        }
        c->State.Rdi += DistanceOf<W>(c, done);
        return AfterStep<R>(c, op, done);
    }

    private static Op* Load<W, R>(CpuCore* c, Op* op)
        where W : struct, IWidth
        where R : struct, IRepetition
    {
        if (R.Repeats && c->State.Rcx == 0) return op + 1;
        var segment = *(ulong*)((byte*)c + op->Segment);
        var limit = LimitOf<W, R>(c);
        ulong done = 0;
        for (; done < limit; done++)
        {
            var from = CpuCore.Readable<W>(c, c->State.Rsi + segment);
            if (from is null) break;
            W.Put((byte*)&c->State.Rax, W.Load(from));
            c->State.Rsi += DistanceOf<W>(c, 1);
        }
        return done == 0 ? null : AfterStep<R>(c, op, done);
    }

    private static Op* Scan<W, R>(CpuCore* c, Op* op)
        where W : struct, IWidth
        where R : struct, IRepetition
    {
        if (R.Repeats && c->State.Rcx == 0) return op + 1;
        var limit = LimitOf<W, R>(c);
        var flags = c->ArithmeticFlags;
        ulong done = 0;
        while (done < limit)
        {
            var with = CpuCore.Readable<W>(c, c->State.Rdi);
            if (with is null) return AfterFault<R>(c, op, done, flags);
            Sub.Apply<W>(c, W.Load((byte*)&c->State.Rax), W.Load(with));
            c->State.Rdi += DistanceOf<W>(c, 1);
            done++;
            if (R.Repeats && !R.GoesOn(c->Zf)) return AfterLast(c, op, done);
        }
        return AfterStep<R>(c, op, done);
    }

    private static Op* Compare<W, R>(CpuCore* c, Op* op)
        where W : struct, IWidth
        where R : struct, IRepetition
    {
        if (R.Repeats && c->State.Rcx == 0) return op + 1;
        var segment = *(ulong*)((byte*)c + op->Segment);
        var limit = LimitOf<W, R>(c);
        var flags = c->ArithmeticFlags;
        ulong done = 0;
        while (done < limit)
        {
            var left = CpuCore.Readable<W>(c, c->State.Rsi + segment);
            if (left is null) return AfterFault<R>(c, op, done, flags);
            var value = W.Load(left);
            var right = CpuCore.Readable<W>(c, c->State.Rdi);
            if (right is null) return AfterFault<R>(c, op, done, flags);
            Sub.Apply<W>(c, value, W.Load(right));
            c->State.Rsi += DistanceOf<W>(c, 1);
            c->State.Rdi += DistanceOf<W>(c, 1);
            done++;
            if (R.Repeats && !R.GoesOn(c->Zf)) return AfterLast(c, op, done);
        }
        return AfterStep<R>(c, op, done);
    }

    /// <summary>Moves upwards as much as lies on one page at both ends and isn't poisoned; 0 when that is less than one element.</summary>
    private static ulong MoveMany<W>(CpuCore* c, ulong segment)
        where W : struct, IWidth
    {
        if ((c->State.Rflags & DirectionFlag) != 0) return 0;
        var source = c->State.Rsi + segment;
        var bytes = Math.Min(BytesOf<W>(c, source), BytesOf<W>(c, c->State.Rdi));
        if (bytes < (ulong)W.Bytes) return 0;
        var from = Direct(c, CpuCore.Readable<W8>(c, source), source, write: false);
        if (from is null) return 0;
        var to = Direct(c, CpuCore.Writable<W8>(c, c->State.Rdi), c->State.Rdi, write: true);
        if (to is null) return 0;
        bytes = Math.Min(Clean(from, bytes), Clean(to, bytes)) / (ulong)W.Bytes * (ulong)W.Bytes;
        if (to > from && to < from + bytes)
        {
            // What was just stored is loaded again: the elements must go one by one.
            for (var at = 0UL; at < bytes; at += (ulong)W.Bytes) W.Store(to + at, W.Load(from + at));
            new Span<byte>(to + PageFrames.ShadowOffset, (int)bytes).Clear();
        }
        else
        {
            // With the bytes goes whether they were ever written.
            Buffer.MemoryCopy(from, to, bytes, bytes);
            Buffer.MemoryCopy(from + PageFrames.ShadowOffset, to + PageFrames.ShadowOffset, bytes, bytes);
        }
        return bytes / (ulong)W.Bytes;
    }

    private static ulong StoreMany<W>(CpuCore* c)
        where W : struct, IWidth
    {
        if ((c->State.Rflags & DirectionFlag) != 0) return 0;
        var bytes = BytesOf<W>(c, c->State.Rdi);
        if (bytes < (ulong)W.Bytes) return 0;
        var to = Direct(c, CpuCore.Writable<W8>(c, c->State.Rdi), c->State.Rdi, write: true);
        if (to is null) return 0;
        var count = Clean(to, bytes) / (ulong)W.Bytes;
        var value = W.Load((byte*)&c->State.Rax);
        for (var i = 0UL; i < count; i++) W.Store(to + (i * (ulong)W.Bytes), value);
        new Span<byte>(to + PageFrames.ShadowOffset, (int)(count * (ulong)W.Bytes)).Clear();
        return count;
    }

    /// <summary>Whole elements from an address to the end of its page, as many as rcx asks for; in bytes.</summary>
    private static ulong BytesOf<W>(CpuCore* c, ulong address)
        where W : struct, IWidth
    {
        var toPageEnd = StepBytes - (address & (StepBytes - 1));
        return Math.Min(c->State.Rcx, toPageEnd / (ulong)W.Bytes) * (ulong)W.Bytes;
    }

    /// <summary>The first access to a page is answered from aside; the second from the page itself.</summary>
    private static byte* Direct(CpuCore* c, byte* first, ulong address, bool write)
    {
        if (first != c->Bounce) return first;
        var second = write ? CpuCore.Writable<W8>(c, address) : CpuCore.Readable<W8>(c, address);
        return second == c->Bounce ? null : second;
    }

    /// <summary>How many of the bytes come before the first poisoned one.</summary>
    private static ulong Clean(byte* at, ulong bytes)
    {
        var shadow = new ReadOnlySpan<byte>(at + PageFrames.ShadowOffset, (int)bytes);
        var poisoned = shadow.IndexOfAnyInRange((byte)0x80, (byte)0xFF);
        return poisoned < 0 ? bytes : (ulong)poisoned;
    }

    private static ulong LimitOf<W, R>(CpuCore* c)
        where W : struct, IWidth
        where R : struct, IRepetition => R.Repeats ? Math.Min(c->State.Rcx, StepBytes / (ulong)W.Bytes) : 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong DistanceOf<W>(CpuCore* c, ulong elements)
        where W : struct, IWidth
    {
        var up = elements * (ulong)W.Bytes;
        return (c->State.Rflags & DirectionFlag) == 0 ? up : 0 - up;
    }

    private static Op* AfterStep<R>(CpuCore* c, Op* op, ulong done)
        where R : struct, IRepetition
    {
        if (!R.Repeats) return op + 1;
        c->State.Rcx -= done;
        return c->State.Rcx == 0 ? op + 1 : op;
    }

    // A comparison that faults leaves the flags it began with; what was done before is done, and the next step faults at once.
    private static Op* AfterFault<R>(CpuCore* c, Op* op, ulong done, ulong flags)
        where R : struct, IRepetition
    {
        if (done == 0) return null;
        c->ArithmeticFlags = flags;
        return AfterStep<R>(c, op, done);
    }

    private static Op* AfterLast(CpuCore* c, Op* op, ulong done)
    {
        c->State.Rcx -= done;
        return op + 1;
    }
}
