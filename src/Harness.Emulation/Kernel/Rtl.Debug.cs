using Harness.Core.Evidence;
using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>What drivers say to a debugger, and printf into buffers.</summary>
internal static partial class Rtl
{
    private static void DefineDebug(NtRoutines nt)
    {
        // Variable arguments lie behind the fixed ones: homes first, then the stack.
        nt.Add("DbgPrint", p => Print(p, p.Arg(0), Arguments(p, 1), ""));
        nt.Add("DbgPrintEx", p => Print(p, p.Arg(2), Arguments(p, 3), ""));
        nt.Add("vDbgPrintEx", p => Print(p, p.Arg(2), p.Arg(3), ""));
        nt.Add("vDbgPrintExWithPrefix", p => Print(p, p.Arg(3), p.Arg(4), DriverMemory.Text(p, p.Arg(0), wide: false)));
        nt.Add("DbgPrintReturnControlC", p => Print(p, p.Arg(0), Arguments(p, 1), ""));
        nt.Add("DbgQueryDebugFilterState", p => p.Return(true));
        nt.Add("DbgSetDebugFilterState", p => p.Return(NtStatus.Success));
        nt.Add("DbgBreakPoint", p => throw new RaisedStatusException(NtStatus.Breakpoint));
        nt.Add("DbgBreakPointWithStatus", p => throw new RaisedStatusException(NtStatus.Breakpoint));
        // RtlAssert(VoidFailedAssertion, VoidFileName, LineNumber, MutableMessage)
        nt.Add("RtlAssert", p =>
        {
            var file = p.Arg(1) == 0 ? "" : DriverMemory.Text(p, p.Arg(1), wide: false);
            p.Machine.Log(new DebugPrinted($"*** Assertion failed: {(p.Arg(0) == 0 ? "" : DriverMemory.Text(p, p.Arg(0), wide: false))}\n***   Source File: {file}, line {p.Arg32(2)}\n"));
            // Without a debugger the prompt that follows is a breakpoint nobody takes.
            throw new RaisedStatusException(NtStatus.Breakpoint);
        });

        nt.Add("sprintf", p => PrintTo(p, wide: false, ulong.MaxValue, 1, Arguments(p, 2), Overflow.Never));
        nt.Add("vsprintf", p => PrintTo(p, wide: false, ulong.MaxValue, 1, p.Arg(2), Overflow.Never));
        nt.Add("swprintf", p => PrintTo(p, wide: true, ulong.MaxValue, 1, Arguments(p, 2), Overflow.Never));
        nt.Add("vswprintf", p => PrintTo(p, wide: true, ulong.MaxValue, 1, p.Arg(2), Overflow.Never));
        nt.Add("_snprintf", p => PrintTo(p, wide: false, p.Arg(1), 2, Arguments(p, 3), Overflow.Cut));
        nt.Add("_vsnprintf", p => PrintTo(p, wide: false, p.Arg(1), 2, p.Arg(3), Overflow.Cut));
        nt.Add("_snwprintf", p => PrintTo(p, wide: true, p.Arg(1), 2, Arguments(p, 3), Overflow.Cut));
        nt.Add("_vsnwprintf", p => PrintTo(p, wide: true, p.Arg(1), 2, p.Arg(3), Overflow.Cut));
        nt.Add("sprintf_s", p => PrintTo(p, wide: false, p.Arg(1), 2, Arguments(p, 3), Overflow.Empty));
        nt.Add("vsprintf_s", p => PrintTo(p, wide: false, p.Arg(1), 2, p.Arg(3), Overflow.Empty));
        nt.Add("swprintf_s", p => PrintTo(p, wide: true, p.Arg(1), 2, Arguments(p, 3), Overflow.Empty));
        nt.Add("vswprintf_s", p => PrintTo(p, wide: true, p.Arg(1), 2, p.Arg(3), Overflow.Empty));
        // _snprintf_s(Buffer, Size, Count, Format, …): Count -1 is _TRUNCATE.
        nt.Add("_snprintf_s", p => PrintSecure(p, wide: false, Arguments(p, 4)));
        nt.Add("_vsnprintf_s", p => PrintSecure(p, wide: false, p.Arg(4)));
        nt.Add("_snwprintf_s", p => PrintSecure(p, wide: true, Arguments(p, 4)));
        nt.Add("_vsnwprintf_s", p => PrintSecure(p, wide: true, p.Arg(4)));
    }

    /// <summary>What printf does with a text that has no room.</summary>
    private enum Overflow
    {
        /// <summary>The buffer is as long as the caller says: it has none.</summary>
        Never,

        /// <summary>Fills the buffer without a terminator and returns -1.</summary>
        Cut,

        /// <summary>Leaves an empty string and returns -1.</summary>
        Empty,
    }

    private static ulong Arguments(Processor p, int first) => p.FrameTop + 8 + ((ulong)first * 8);

    private static Next Print(Processor p, ulong format, ulong arguments, string prefix)
    {
        p.Machine.Log(new DebugPrinted(prefix + FormattedText.Of(p, DriverMemory.Text(p, format, wide: false), arguments, wide: false, toDebugger: true)));
        return p.Return(NtStatus.Success);
    }

    private static Next PrintTo(Processor p, bool wide, ulong room, int format, ulong arguments, Overflow overflow)
    {
        var text = FormattedText.Of(p, DriverMemory.Text(p, p.Arg(format), wide), arguments, wide);
        const ulong minusOne = 0xFFFFFFFF;
        if ((ulong)text.Length < room)
        {
            DriverMemory.Write(p, p.Arg(0), DriverMemory.Bytes(text + "\0", wide));
            return p.Return((ulong)text.Length);
        }
        if (overflow == Overflow.Empty)
        {
            if (room > 0) DriverMemory.Write(p, p.Arg(0), DriverMemory.Bytes("\0", wide));
            return p.Return(minusOne);
        }
        DriverMemory.Write(p, p.Arg(0), DriverMemory.Bytes(text.AsSpan(0, (int)room), wide));
        return p.Return((ulong)text.Length == room ? room : minusOne);
    }

    private static Next PrintSecure(Processor p, bool wide, ulong arguments)
    {
        var text = FormattedText.Of(p, DriverMemory.Text(p, p.Arg(3), wide), arguments, wide);
        var (size, count) = (p.Arg(1), p.Arg(2));
        var truncate = count == ulong.MaxValue;
        var kept = truncate ? Math.Min((ulong)text.Length, size - 1) : Math.Min((ulong)text.Length, count);
        if (kept >= size)
        {
            DriverMemory.Write(p, p.Arg(0), DriverMemory.Bytes("\0", wide));
            return p.Return(0xFFFFFFFF);
        }
        DriverMemory.Write(p, p.Arg(0), DriverMemory.Bytes(text[..(int)kept] + "\0", wide));
        return p.Return(kept < (ulong)text.Length ? 0xFFFFFFFF : kept);
    }
}
