using System.Numerics;
using System.Runtime.Intrinsics;
using Iced.Intel;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Harness.Emulation.Cpu;

/// <summary>
/// pcmpistri, pcmpistrm, pcmpestri, pcmpestrm: compare two texts of bytes or words, that end at a zero or have a length. The immediate, after
/// Intel's manual (volume 1, "String and text processing"): bit 0 words, bit 1 signed, bits 2–3 how to compare, bits 4–5 what to negate, bit 6
/// the last match or a mask of whole elements.
/// </summary>
internal static unsafe class VectorTexts
{
    private const int Words = 1;
    private const int Signed = 2;
    private const int LastOrWhole = 0x40;

    // Op.Third: where lengths come from, and that the result is a mask.
    private const ushort Lengths32 = 1;
    private const ushort Lengths64 = 2;
    private const ushort MaskResult = 4;

    public static delegate*<CpuCore*, Op*, Op*> HandlerOf(in Instruction i, Op* op)
    {
        op->Third = i.Mnemonic switch
        {
            Mnemonic.Pcmpistrm => MaskResult,
            Mnemonic.Pcmpestri => Lengths32,
            Mnemonic.Pcmpestri64 => Lengths64,
            Mnemonic.Pcmpestrm => Lengths32 | MaskResult,
            Mnemonic.Pcmpestrm64 => Lengths64 | MaskResult,
            _ => 0,
        };
        return i.Op1Kind == OpKind.Memory ? &Mem : &Reg;
    }

    private static Op* Reg(CpuCore* c, Op* op) => Apply(c, op, *(V*)((byte*)c + op->Source));

    private static Op* Mem(CpuCore* c, Op* op)
    {
        var memory = (V*)CpuCore.Readable16(c, CpuCore.AddressOf(c, op));
        return memory is null ? null : Apply(c, op, *memory);
    }

    private static Op* Apply(CpuCore* c, Op* op, V second)
    {
        var how = (int)op->Immediate;
        var first = *(V*)((byte*)c + op->Destination);
        var count = (how & Words) != 0 ? 8 : 16;
        var (firstLength, secondLength) = (op->Third & (Lengths32 | Lengths64)) switch
        {
            Lengths32 => (Length((int)c->State.Rax, count), Length((int)c->State.Rdx, count)),
            Lengths64 => (Length((long)c->State.Rax, count), Length((long)c->State.Rdx, count)),
            _ => (Length(first, how, count), Length(second, how, count)),
        };
        var matches = Matches(first, firstLength, second, secondLength, how, count);
        if ((how & 0x10) != 0) matches ^= (how & 0x20) != 0 ? (1U << secondLength) - 1 : (1U << count) - 1;

        if ((op->Third & MaskResult) != 0) c->State.Xmm0 = Mask(matches, how, count);
        else if (matches == 0) c->State.Rcx = (ulong)count;
        else c->State.Rcx = (ulong)((how & LastOrWhole) != 0 ? BitOperations.Log2(matches) : BitOperations.TrailingZeroCount(matches));
        c->ArithmeticFlags = (matches != 0 ? 1UL : 0) | (secondLength < count ? 0x40UL : 0) | (firstLength < count ? 0x80UL : 0) | ((matches & 1) != 0 ? 0x800UL : 0);
        return op + 1;
    }

    private static int Length(long given, int count) => given <= -count || given >= count ? count : (int)Math.Abs(given);

    private static int Length(V text, int how, int count)
    {
        var length = 0;
        while (length < count && Element(text, length, how) != 0) length++;
        return length;
    }

    private static int Element(V text, int at, int how) => (how & (Words | Signed)) switch
    {
        0 => text[at],
        Words => text.AsUInt16()[at],
        Signed => text.AsSByte()[at],
        _ => text.AsInt16()[at],
    };

    private static uint Matches(V first, int firstLength, V second, int secondLength, int how, int count)
    {
        var matches = 0U;
        for (var at = 0; at < count; at++)
        {
            var holds = ((how >> 2) & 3) switch
            {
                0 => at < secondLength && IsAnyOf(first, firstLength, Element(second, at, how), how),
                1 => at < secondLength && IsInRangeOf(first, firstLength, Element(second, at, how), how),
                2 => at < firstLength && at < secondLength ? Element(first, at, how) == Element(second, at, how) : at >= firstLength && at >= secondLength,
                _ => BeginsAt(first, firstLength, second, secondLength, at, how, count),
            };
            if (holds) matches |= 1U << at;
        }
        return matches;
    }

    private static bool IsAnyOf(V set, int length, int element, int how)
    {
        for (var i = 0; i < length; i++)
            if (Element(set, i, how) == element) return true;
        return false;
    }

    private static bool IsInRangeOf(V ranges, int length, int element, int how)
    {
        for (var i = 0; i + 1 < length; i += 2)
            if (Element(ranges, i, how) <= element && element <= Element(ranges, i + 1, how)) return true;
        return false;
    }

    // What would lie behind the register's end counts as equal.
    private static bool BeginsAt(V what, int length, V text, int textLength, int at, int how, int count)
    {
        for (var i = 0; i < length && at + i < count; i++)
            if (at + i >= textLength || Element(what, i, how) != Element(text, at + i, how)) return false;
        return true;
    }

    private static V Mask(uint matches, int how, int count)
    {
        if ((how & LastOrWhole) == 0) return VectorIntegers.Low(matches);
        var mask = default(V);
        for (var at = 0; at < 16; at++)
            if ((matches & (1U << (at * count / 16))) != 0) mask = mask.WithElement(at, byte.MaxValue);
        return mask;
    }
}
