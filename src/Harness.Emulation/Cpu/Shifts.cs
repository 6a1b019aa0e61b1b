using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>A shift or rotate by a count that is masked already and not zero.</summary>
internal unsafe interface IShift
{
    static abstract ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth;
}

/// <summary>OF, defined for a count of 1 only, is computed by the same rule for every count. AF is clear. CF is 0 when more bits go out than there are.</summary>
internal readonly unsafe struct Shl : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth
    {
        var result = a << count;
        // 8- and 16-bit operands can be shifted by up to 31.
        var carry = W.Bytes >= 4 || count <= Width<W>.Bits ? (a >> (Width<W>.Bits - count)) & 1 : 0;
        c->SetFlags<W>(result, carry, Width<W>.SignBit(result) ^ carry);
        return result;
    }
}

/// <summary>As <see cref="Shl"/>; OF is the sign bit before.</summary>
internal readonly unsafe struct Shr : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth
    {
        var result = a >> count;
        c->SetFlags<W>(result, (a >> (count - 1)) & 1, Width<W>.SignBit(a));
        return result;
    }
}

/// <summary>OF is clear.</summary>
internal readonly unsafe struct Sar : IShift
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth
    {
        var signed = Width<W>.Signed(a);
        var result = (ulong)(signed >> count);
        c->SetFlags<W>(result, (ulong)(signed >> (count - 1)) & 1, 0);
        return result;
    }
}

/// <summary>Only CF and OF change.</summary>
internal readonly unsafe struct Rol : IShift
{
    public static ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth
    {
        var by = count & (Width<W>.Bits - 1);
        var result = by == 0 ? a : (a << by) | (a >> (Width<W>.Bits - by));
        c->SetCarryAndOverflow(result & 1, Width<W>.SignBit(result) ^ (result & 1));
        return result;
    }
}

/// <summary>Only CF and OF change.</summary>
internal readonly unsafe struct Ror : IShift
{
    public static ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth
    {
        var by = count & (Width<W>.Bits - 1);
        var result = by == 0 ? a : (a >> by) | (a << (Width<W>.Bits - by));
        var carry = Width<W>.SignBit(result);
        c->SetCarryAndOverflow(carry, ((result >> (Width<W>.Bits - 2)) & 1) ^ carry);
        return result;
    }
}

/// <summary>A rotate through CF: over one bit more than the operand has.</summary>
internal readonly unsafe struct Rcl : IShift
{
    public static ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth
    {
        // Once around is nothing, for the flags too.
        if ((count %= Width<W>.Bits + 1) == 0) return a;
        var carry = c->FlagCarry >> 63;
        for (; count > 0; count--)
        {
            var next = Width<W>.SignBit(a);
            a = ((a << 1) | carry) & Width<W>.Mask;
            carry = next;
        }
        c->SetCarryAndOverflow(carry, Width<W>.SignBit(a) ^ carry);
        return a;
    }
}

/// <summary>A rotate through CF: over one bit more than the operand has.</summary>
internal readonly unsafe struct Rcr : IShift
{
    public static ulong Apply<W>(CpuCore* c, ulong a, int count)
        where W : struct, IWidth
    {
        // Once around is nothing, for the flags too.
        if ((count %= Width<W>.Bits + 1) == 0) return a;
        var carry = c->FlagCarry >> 63;
        for (; count > 0; count--)
        {
            var next = a & 1;
            a = (a >> 1) | (carry << (Width<W>.Bits - 1));
            carry = next;
        }
        c->SetCarryAndOverflow(carry, ((a >> (Width<W>.Bits - 2)) & 1) ^ Width<W>.SignBit(a));
        return a;
    }
}

/// <summary>shl, shr, sar, rol, ror, rcl, rcr, shld, shrd.</summary>
internal static unsafe class Shifts
{
    private const ushort Cl = 8;

    public static delegate*<CpuCore*, Op*, Op*> HandlerOf<T>(in Instruction i, Op* op)
        where T : struct, IShift
    {
        if (Operands.FormOf(i) is Form.RegReg or Form.MemReg && op->Source != Cl) return null;
        return Operands.SizeOf(i, 0) switch
        {
            1 => HandlerOf<T, W8>(i),
            2 => HandlerOf<T, W16>(i),
            4 => HandlerOf<T, W32>(i),
            8 => HandlerOf<T, W64>(i),
            _ => null,
        };
    }

    public static delegate*<CpuCore*, Op*, Op*> Double<T>(in Instruction i)
        where T : struct, IDirection => Operands.SizeOf(i, 0) switch
        {
            2 => Double<T, W16>(i),
            4 => Double<T, W32>(i),
            8 => Double<T, W64>(i),
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> HandlerOf<T, W>(in Instruction i)
        where T : struct, IShift
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegImm => &RegImm<T, W>,
            Form.RegReg => &RegCl<T, W>,
            Form.MemImm => &MemImm<T, W>,
            Form.MemReg => &MemCl<T, W>,
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> Double<T, W>(in Instruction i)
        where T : struct, IDirection
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegRegImm => &DoubleRegImm<T, W>,
            Form.RegRegReg => &DoubleRegCl<T, W>,
            Form.MemRegImm => &DoubleMemImm<T, W>,
            Form.MemRegReg => &DoubleMemCl<T, W>,
            _ => null,
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int CountOf<W>(ulong count)
        where W : struct, IWidth => (int)count & (W.Bytes == 8 ? 63 : 31);

    private static Op* RegImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IShift
        where W : struct, IWidth => OnRegister<T, W>(c, op, CountOf<W>(op->Immediate));

    private static Op* RegCl<T, W>(CpuCore* c, Op* op)
        where T : struct, IShift
        where W : struct, IWidth => OnRegister<T, W>(c, op, CountOf<W>(c->State.Rcx));

    private static Op* MemImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IShift
        where W : struct, IWidth => OnMemory<T, W>(c, op, CountOf<W>(op->Immediate));

    private static Op* MemCl<T, W>(CpuCore* c, Op* op)
        where T : struct, IShift
        where W : struct, IWidth => OnMemory<T, W>(c, op, CountOf<W>(c->State.Rcx));

    // A count of zero changes no flag, yet the register is written: a 32-bit one loses its upper half.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* OnRegister<T, W>(CpuCore* c, Op* op, int count)
        where T : struct, IShift
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        var a = W.Load(destination);
        W.Put(destination, count == 0 ? a : T.Apply<W>(c, a, count));
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* OnMemory<T, W>(CpuCore* c, Op* op, int count)
        where T : struct, IShift
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        if (count == 0) return op + 1;
        W.Store(memory, T.Apply<W>(c, W.Load(memory), count));
        CpuCore.Commit<W>(c, memory);
        return op + 1;
    }

    private static Op* DoubleRegImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IDirection
        where W : struct, IWidth => DoubleOnRegister<T, W>(c, op, CountOf<W>(op->Immediate));

    private static Op* DoubleRegCl<T, W>(CpuCore* c, Op* op)
        where T : struct, IDirection
        where W : struct, IWidth => DoubleOnRegister<T, W>(c, op, CountOf<W>(c->State.Rcx));

    private static Op* DoubleMemImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IDirection
        where W : struct, IWidth => DoubleOnMemory<T, W>(c, op, CountOf<W>(op->Immediate));

    private static Op* DoubleMemCl<T, W>(CpuCore* c, Op* op)
        where T : struct, IDirection
        where W : struct, IWidth => DoubleOnMemory<T, W>(c, op, CountOf<W>(c->State.Rcx));

    private static Op* DoubleOnRegister<T, W>(CpuCore* c, Op* op, int count)
        where T : struct, IDirection
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        var a = W.Load(destination);
        W.Put(destination, count == 0 ? a : Shifted<T, W>(c, a, W.Load((byte*)c + op->Source), count));
        return op + 1;
    }

    private static Op* DoubleOnMemory<T, W>(CpuCore* c, Op* op, int count)
        where T : struct, IDirection
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        if (count == 0) return op + 1;
        W.Store(memory, Shifted<T, W>(c, W.Load(memory), W.Load((byte*)c + op->Source), count));
        CpuCore.Commit<W>(c, memory);
        return op + 1;
    }

    // A 16-bit operand shifted by more than 16 is undefined: here the bits that come in are destination, source, destination.
    private static ulong Shifted<T, W>(CpuCore* c, ulong a, ulong b, int count)
        where T : struct, IDirection
        where W : struct, IWidth
    {
        ulong result, carry;
        if (W.Bytes == 8)
        {
            result = T.Left ? (a << count) | (b >> (64 - count)) : (a >> count) | (b << (64 - count));
            carry = (T.Left ? a >> (64 - count) : a >> (count - 1)) & 1;
        }
        else
        {
            var bits = Width<W>.Bits;
            var wide = ((UInt128)a << (2 * bits)) | ((UInt128)b << bits) | a;
            result = (ulong)(wide >> (T.Left ? (2 * bits) - count : count)) & Width<W>.Mask;
            carry = (ulong)(wide >> (T.Left ? (3 * bits) - count : count - 1)) & 1;
        }
        c->SetFlags<W>(result, carry, Width<W>.SignBit(result ^ a));
        return result;
    }
}

/// <summary>shld or shrd.</summary>
internal interface IDirection
{
    static abstract bool Left { get; }
}

internal readonly struct Left : IDirection
{
    static bool IDirection.Left => true;
}

internal readonly struct Right : IDirection
{
    static bool IDirection.Left => false;
}
