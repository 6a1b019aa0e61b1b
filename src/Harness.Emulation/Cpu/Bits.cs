using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>What bt, bts, btr and btc do to the bit.</summary>
internal interface IBitChange
{
    static abstract bool Writes { get; }

    static abstract ulong Apply(ulong value, ulong bit);
}

internal readonly struct Leave : IBitChange
{
    public static bool Writes => false;

    public static ulong Apply(ulong value, ulong bit) => value;
}

internal readonly struct Set : IBitChange
{
    public static bool Writes => true;

    public static ulong Apply(ulong value, ulong bit) => value | bit;
}

internal readonly struct Reset : IBitChange
{
    public static bool Writes => true;

    public static ulong Apply(ulong value, ulong bit) => value & ~bit;
}

internal readonly struct Complement : IBitChange
{
    public static bool Writes => true;

    public static ulong Apply(ulong value, ulong bit) => value ^ bit;
}

/// <summary>
/// bt and its family (all flags but CF stay); bsf, bsr, tzcnt, lzcnt, popcnt, crc32. After bsf and bsr the flags beside ZF, which the
/// architecture leaves undefined, tell of the source; of a zero source the destination stays. After tzcnt and lzcnt they tell of the result.
/// </summary>
internal static unsafe class Bits
{
    public static delegate*<CpuCore*, Op*, Op*> Test<T>(in Instruction i)
        where T : struct, IBitChange => Operands.SizeOf(i, 0) switch
        {
            2 => Test<T, W16>(i),
            4 => Test<T, W32>(i),
            8 => Test<T, W64>(i),
            _ => null,
        };

    public static delegate*<CpuCore*, Op*, Op*> Scan<T>(in Instruction i)
        where T : struct, IScan => Operands.SizeOf(i, 0) switch
        {
            2 => Scan<T, W16>(i),
            4 => Scan<T, W32>(i),
            8 => Scan<T, W64>(i),
            _ => null,
        };

    public static delegate*<CpuCore*, Op*, Op*> Crc32(in Instruction i) => Operands.SizeOf(i, 1) switch
    {
        1 => Crc32<W8>(i),
        2 => Crc32<W16>(i),
        4 => Crc32<W32>(i),
        8 => Crc32<W64>(i),
        _ => null,
    };

    private static delegate*<CpuCore*, Op*, Op*> Test<T, W>(in Instruction i)
        where T : struct, IBitChange
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegReg => &RegReg<T, W>,
            Form.RegImm => &RegImm<T, W>,
            Form.MemReg => &MemReg<T, W>,
            Form.MemImm => &MemImm<T, W>,
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> Scan<T, W>(in Instruction i)
        where T : struct, IScan
        where W : struct, IWidth => Operands.FormOf(i) == Form.RegMem ? &ScanMem<T, W> : &ScanReg<T, W>;

    private static delegate*<CpuCore*, Op*, Op*> Crc32<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) == Form.RegMem ? &CrcMem<W> : &CrcReg<W>;

    private static Op* RegReg<T, W>(CpuCore* c, Op* op)
        where T : struct, IBitChange
        where W : struct, IWidth => OnRegister<T, W>(c, op, W.Load((byte*)c + op->Source));

    private static Op* RegImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IBitChange
        where W : struct, IWidth => OnRegister<T, W>(c, op, op->Immediate);

    private static Op* MemImm<T, W>(CpuCore* c, Op* op)
        where T : struct, IBitChange
        where W : struct, IWidth => OnMemory<T, W>(c, op, CpuCore.AddressOf(c, op), op->Immediate);

    // A register's bit offset is signed and reaches beyond the operand: memory is a string of bits.
    private static Op* MemReg<T, W>(CpuCore* c, Op* op)
        where T : struct, IBitChange
        where W : struct, IWidth
    {
        var bit = Width<W>.Signed(W.Load((byte*)c + op->Source));
        var address = CpuCore.AddressOf(c, op) + (ulong)((bit >> BitOperations.Log2((uint)Width<W>.Bits)) * W.Bytes);
        // 32-bit addressing cuts the sum, too; no compiler emits that with a bit string.
        return OnMemory<T, W>(c, op, address, (ulong)bit);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* OnRegister<T, W>(CpuCore* c, Op* op, ulong bit)
        where T : struct, IBitChange
        where W : struct, IWidth
    {
        var mask = 1UL << ((int)bit & (Width<W>.Bits - 1));
        var register = (byte*)c + op->Destination;
        var value = W.Load(register);
        if (T.Writes) W.Put(register, T.Apply(value, mask));
        c->SetCarry((value & mask) != 0 ? 1UL : 0);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Op* OnMemory<T, W>(CpuCore* c, Op* op, ulong address, ulong bit)
        where T : struct, IBitChange
        where W : struct, IWidth
    {
        var mask = 1UL << ((int)bit & (Width<W>.Bits - 1));
        var memory = T.Writes ? CpuCore.Writable<W>(c, address) : CpuCore.Readable<W>(c, address);
        if (memory is null) return null;
        var value = W.Load(memory);
        if (T.Writes)
        {
            W.Store(memory, T.Apply(value, mask));
            CpuCore.Commit<W>(c, memory);
        }
        c->SetCarry((value & mask) != 0 ? 1UL : 0);
        return op + 1;
    }

    private static Op* ScanReg<T, W>(CpuCore* c, Op* op)
        where T : struct, IScan
        where W : struct, IWidth
    {
        T.Apply<W>(c, (byte*)c + op->Destination, W.Load((byte*)c + op->Source));
        return op + 1;
    }

    private static Op* ScanMem<T, W>(CpuCore* c, Op* op)
        where T : struct, IScan
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        T.Apply<W>(c, (byte*)c + op->Destination, W.Load(memory));
        return op + 1;
    }

    private static Op* CrcReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        AddToCrc<W>((byte*)c + op->Destination, W.Load((byte*)c + op->Source));
        return op + 1;
    }

    private static Op* CrcMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        AddToCrc<W>((byte*)c + op->Destination, W.Load(memory));
        return op + 1;
    }

    private static void AddToCrc<W>(byte* register, ulong data)
        where W : struct, IWidth
    {
        var crc = *(uint*)register;
        *(ulong*)register = W.Bytes switch
        {
            1 => BitOperations.Crc32C(crc, (byte)data),
            2 => BitOperations.Crc32C(crc, (ushort)data),
            4 => BitOperations.Crc32C(crc, (uint)data),
            _ => BitOperations.Crc32C(crc, data),
        };
    }
}

/// <summary>A bit scan or count.</summary>
internal unsafe interface IScan
{
    static abstract void Apply<W>(CpuCore* c, byte* destination, ulong source)
        where W : struct, IWidth;
}

internal readonly unsafe struct Bsf : IScan
{
    public static void Apply<W>(CpuCore* c, byte* destination, ulong source)
        where W : struct, IWidth
    {
        if (source != 0) W.Put(destination, (ulong)BitOperations.TrailingZeroCount(source));
        c->SetFlags<W>(source, 0);
    }
}

internal readonly unsafe struct Bsr : IScan
{
    public static void Apply<W>(CpuCore* c, byte* destination, ulong source)
        where W : struct, IWidth
    {
        if (source != 0) W.Put(destination, (ulong)BitOperations.Log2(source));
        c->SetFlags<W>(source, 0);
    }
}

internal readonly unsafe struct Tzcnt : IScan
{
    public static void Apply<W>(CpuCore* c, byte* destination, ulong source)
        where W : struct, IWidth
    {
        var count = source == 0 ? (ulong)Width<W>.Bits : (ulong)BitOperations.TrailingZeroCount(source);
        W.Put(destination, count);
        c->SetFlags<W>(count, source == 0 ? 1UL : 0, 0);
    }
}

internal readonly unsafe struct Lzcnt : IScan
{
    public static void Apply<W>(CpuCore* c, byte* destination, ulong source)
        where W : struct, IWidth
    {
        var count = (ulong)(BitOperations.LeadingZeroCount(source) - Width<W>.Shift);
        W.Put(destination, count);
        c->SetFlags<W>(count, source == 0 ? 1UL : 0, 0);
    }
}

internal readonly unsafe struct Popcnt : IScan
{
    public static void Apply<W>(CpuCore* c, byte* destination, ulong source)
        where W : struct, IWidth
    {
        W.Put(destination, (ulong)BitOperations.PopCount(source));
        c->ArithmeticFlags = source == 0 ? 0x40UL : 0;
    }
}
