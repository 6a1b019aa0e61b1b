namespace Harness.Emulation.Kernel;

/// <summary>Bitmaps. RTL_BITMAP: SizeOfBitMap +0, Buffer +8 (wdm.h). A search that finds nothing returns 0xFFFFFFFF.</summary>
internal static partial class Rtl
{
    private const uint NotThere = 0xFFFFFFFF;

    private static void DefineBitmaps(NtRoutines nt)
    {
        nt.Add("RtlInitializeBitMap", p =>
        {
            DriverMemory.WriteU32(p, p.Arg(0), p.Arg32(2));
            DriverMemory.WriteU64(p, p.Arg(0) + 8, p.Arg(1));
            return p.Return();
        });
        nt.Add("RtlSetBit", p => ChangeBits(p, p.Arg32(1), 1, true));
        nt.Add("RtlClearBit", p => ChangeBits(p, p.Arg32(1), 1, false));
        nt.Add("RtlSetBits", p => ChangeBits(p, p.Arg32(1), p.Arg32(2), true));
        nt.Add("RtlClearBits", p => ChangeBits(p, p.Arg32(1), p.Arg32(2), false));
        nt.Add("RtlSetAllBits", p => ChangeBits(p, 0, SizeOfBitmap(p), true));
        nt.Add("RtlClearAllBits", p => ChangeBits(p, 0, SizeOfBitmap(p), false));
        nt.Add("RtlTestBit", p => p.Return(p.Arg32(1) < SizeOfBitmap(p) && Bits(p)[(int)p.Arg32(1)]));
        nt.Add("RtlCheckBit", p => p.Return(p.Arg32(1) < SizeOfBitmap(p) && Bits(p)[(int)p.Arg32(1)]));
        nt.Add("RtlAreBitsSet", p => p.Return(AreAll(p, true)));
        nt.Add("RtlAreBitsClear", p => p.Return(AreAll(p, false)));
        nt.Add("RtlNumberOfSetBits", p => p.Return((ulong)Bits(p).Count(bit => bit)));
        nt.Add("RtlNumberOfClearBits", p => p.Return((ulong)Bits(p).Count(bit => !bit)));
        nt.Add("RtlFindSetBits", p => p.Return(FindRun(Bits(p), true, p.Arg32(1), p.Arg32(2))));
        nt.Add("RtlFindClearBits", p => p.Return(FindRun(Bits(p), false, p.Arg32(1), p.Arg32(2))));
        nt.Add("RtlFindSetBitsAndClear", p => FindAndChange(p, true));
        nt.Add("RtlFindClearBitsAndSet", p => FindAndChange(p, false));
        // (BitMap, StartingIndex*): the length of the run.
        nt.Add("RtlFindFirstRunClear", p => ReturnRun(p, NextRun(Bits(p), 0), 1));
        nt.Add("RtlFindNextForwardRunClear", p => ReturnRun(p, NextRun(Bits(p), p.Arg32(1)), 2));
        nt.Add("RtlFindLongestRunClear", p =>
        {
            var bits = Bits(p);
            var best = (Start: 0u, Length: 0u);
            for (var run = NextRun(bits, 0); run.Length != 0; run = NextRun(bits, run.Start + run.Length))
                if (run.Length > best.Length) best = run;
            return ReturnRun(p, best, 1);
        });
        nt.Add("RtlFindMostSignificantBit", p => p.Return(p.Arg(0) == 0 ? 0xFFul : 63ul - (ulong)System.Numerics.BitOperations.LeadingZeroCount(p.Arg(0))));
        nt.Add("RtlFindLeastSignificantBit", p => p.Return(p.Arg(0) == 0 ? 0xFFul : (ulong)System.Numerics.BitOperations.TrailingZeroCount(p.Arg(0))));
        nt.Add("RtlNumberOfSetBitsUlongPtr", p => p.Return((ulong)System.Numerics.BitOperations.PopCount(p.Arg(0))));
    }

    private static uint SizeOfBitmap(Processor p) => DriverMemory.ReadU32(p, p.Arg(0));

    private static bool[] Bits(Processor p)
    {
        var size = SizeOfBitmap(p);
        // The buffer is made of ULONGs.
        var bytes = DriverMemory.Read(p, DriverMemory.ReadU64(p, p.Arg(0) + 8), (size + 31) / 32 * 4);
        var bits = new bool[size];
        for (var i = 0; i < bits.Length; i++) bits[i] = (bytes[i / 8] >> (i % 8) & 1) != 0;
        return bits;
    }

    private static Next ChangeBits(Processor p, uint start, uint count, bool value)
    {
        Change(p, start, count, value);
        return p.Return();
    }

    private static void Change(Processor p, uint start, uint count, bool value)
    {
        var buffer = DriverMemory.ReadU64(p, p.Arg(0) + 8);
        for (var i = start; i - start < count && i < SizeOfBitmap(p); i++)
        {
            var at = buffer + (i / 8);
            var mask = (byte)(1 << (int)(i % 8));
            var old = DriverMemory.ReadU8(p, at);
            DriverMemory.WriteU8(p, at, (byte)(value ? old | mask : old & ~mask));
        }
    }

    private static bool AreAll(Processor p, bool value)
    {
        var bits = Bits(p);
        var (start, count) = (p.Arg32(1), p.Arg32(2));
        if (count == 0 || (ulong)start + count > (ulong)bits.Length) return false;
        for (var i = start; i < start + count; i++)
            if (bits[i] != value) return false;
        return true;
    }

    /// <summary>The first run of <paramref name="count"/> equal bits, looked for from the hint and then from the start.</summary>
    private static uint FindRun(bool[] bits, bool value, uint count, uint hint)
    {
        if (hint >= bits.Length) hint = 0;
        if (count == 0) return hint & ~7u;
        var from = Search(bits, value, count, hint);
        return from != NotThere || hint == 0 ? from : Search(bits, value, count, 0);
    }

    private static uint Search(bool[] bits, bool value, uint count, uint from)
    {
        var length = 0u;
        for (var i = from; i < bits.Length; i++)
        {
            length = bits[i] == value ? length + 1 : 0;
            if (length == count) return i + 1 - count;
        }
        return NotThere;
    }

    private static Next FindAndChange(Processor p, bool value)
    {
        var start = FindRun(Bits(p), value, p.Arg32(1), p.Arg32(2));
        if (start != NotThere) Change(p, start, p.Arg32(1), !value);
        return p.Return(start);
    }

    private static (uint Start, uint Length) NextRun(bool[] bits, uint from)
    {
        while (from < bits.Length && bits[from]) from++;
        var end = from;
        while (end < bits.Length && !bits[end]) end++;
        return (from, end - from);
    }

    private static Next ReturnRun(Processor p, (uint Start, uint Length) run, int result)
    {
        DriverMemory.WriteU32(p, p.Arg(result), run.Start);
        return p.Return(run.Length);
    }
}
