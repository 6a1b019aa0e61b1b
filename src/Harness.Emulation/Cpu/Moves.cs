using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>mov, movzx, movsx, lea, xchg, bswap, movbe, the cbw family, xlat.</summary>
internal static unsafe class Moves
{
    public static delegate*<CpuCore*, Op*, Op*> Mov(in Instruction i) => Operands.SizeOf(i, 0) switch
    {
        1 => Mov<W8>(i),
        2 => Mov<W16>(i),
        4 => Mov<W32>(i),
        8 => Mov<W64>(i),
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Extend<Sign>(in Instruction i)
        where Sign : struct, IExtension => (Operands.SizeOf(i, 0), Operands.SizeOf(i, 1)) switch
        {
            (2, 1) => Extend<Sign, W16, W8>(i),
            (4, 1) => Extend<Sign, W32, W8>(i),
            (8, 1) => Extend<Sign, W64, W8>(i),
            (2, 2) => Extend<Sign, W16, W16>(i),
            (4, 2) => Extend<Sign, W32, W16>(i),
            (8, 2) => Extend<Sign, W64, W16>(i),
            (4, 4) => Extend<Sign, W32, W32>(i),
            (8, 4) => Extend<Sign, W64, W32>(i),
            _ => null,
        };

    public static delegate*<CpuCore*, Op*, Op*> Lea(in Instruction i) => Operands.SizeOf(i, 0) switch
    {
        2 => &Lea<W16>,
        4 => &Lea<W32>,
        8 => &Lea<W64>,
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Xchg(in Instruction i) => Operands.SizeOf(i, 0) switch
    {
        1 => Xchg<W8>(i),
        2 => Xchg<W16>(i),
        4 => Xchg<W32>(i),
        8 => Xchg<W64>(i),
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Bswap(in Instruction i) => Operands.SizeOf(i, 0) switch
    {
        4 => &Bswap32,
        8 => &Bswap64,
        // The architecture leaves bswap of a 16-bit register undefined.
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> Movbe(in Instruction i) => Operands.SizeOf(i, 0) switch
    {
        2 => Operands.FormOf(i) == Form.RegMem ? &MovbeLoad<W16> : &MovbeStore<W16>,
        4 => Operands.FormOf(i) == Form.RegMem ? &MovbeLoad<W32> : &MovbeStore<W32>,
        8 => Operands.FormOf(i) == Form.RegMem ? &MovbeLoad<W64> : &MovbeStore<W64>,
        _ => null,
    };

    /// <summary>The first half of an instruction with 32-bit addressing: its address, cut to 32 bits.</summary>
    public static Op* Address32(CpuCore* c, Op* op)
    {
        c->Address32 = (uint)CpuCore.AddressOf(c, op);
        var rest = op + 1;
        return rest->Handler(c, rest);
    }

    public static Op* Nop(CpuCore* c, Op* op) => op + 1;

    public static Op* Cbw(CpuCore* c, Op* op)
    {
        *(short*)&c->State.Rax = *(sbyte*)&c->State.Rax;
        return op + 1;
    }

    public static Op* Cwde(CpuCore* c, Op* op)
    {
        c->State.Rax = (uint)(short)c->State.Rax;
        return op + 1;
    }

    public static Op* Cdqe(CpuCore* c, Op* op)
    {
        c->State.Rax = (ulong)(int)c->State.Rax;
        return op + 1;
    }

    public static Op* Cwd(CpuCore* c, Op* op)
    {
        *(short*)&c->State.Rdx = (short)((short)c->State.Rax >> 15);
        return op + 1;
    }

    public static Op* Cdq(CpuCore* c, Op* op)
    {
        c->State.Rdx = (uint)((int)c->State.Rax >> 31);
        return op + 1;
    }

    public static Op* Cqo(CpuCore* c, Op* op)
    {
        c->State.Rdx = (ulong)((long)c->State.Rax >> 63);
        return op + 1;
    }

    public static Op* Xlat(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Readable<W8>(c, c->State.Rbx + (byte)c->State.Rax + *(ulong*)((byte*)c + op->Segment));
        if (memory is null) return null;
        *(byte*)&c->State.Rax = *memory;
        return op + 1;
    }

    private static delegate*<CpuCore*, Op*, Op*> Mov<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegReg => &RegReg<W>,
            Form.RegImm => &RegImm<W>,
            Form.RegMem => &RegMem<W>,
            Form.MemReg => &MemReg<W>,
            Form.MemImm => &MemImm<W>,
            _ => null,
        };

    private static delegate*<CpuCore*, Op*, Op*> Extend<Sign, Wide, Narrow>(in Instruction i)
        where Sign : struct, IExtension
        where Wide : struct, IWidth
        where Narrow : struct, IWidth => Operands.FormOf(i) == Form.RegMem ? &ExtendMem<Sign, Wide, Narrow> : &ExtendReg<Sign, Wide, Narrow>;

    private static delegate*<CpuCore*, Op*, Op*> Xchg<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) switch
        {
            Form.RegReg => &XchgReg<W>,
            Form.MemReg => &XchgMem<W>,
            _ => null,
        };

    private static Op* RegReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        W.Put((byte*)c + op->Destination, W.Load((byte*)c + op->Source));
        return op + 1;
    }

    private static Op* RegImm<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        W.Put((byte*)c + op->Destination, op->Immediate);
        return op + 1;
    }

    private static Op* RegMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Put((byte*)c + op->Destination, W.Load(memory));
        return op + 1;
    }

    private static Op* MemReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Store(memory, W.Load((byte*)c + op->Source));
        CpuCore.Commit<W>(c, memory);
        return op + 1;
    }

    private static Op* MemImm<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Store(memory, op->Immediate);
        CpuCore.Commit<W>(c, memory);
        return op + 1;
    }

    private static Op* ExtendReg<Sign, Wide, Narrow>(CpuCore* c, Op* op)
        where Sign : struct, IExtension
        where Wide : struct, IWidth
        where Narrow : struct, IWidth
    {
        Wide.Put((byte*)c + op->Destination, Sign.Extend<Narrow>(Narrow.Load((byte*)c + op->Source)));
        return op + 1;
    }

    private static Op* ExtendMem<Sign, Wide, Narrow>(CpuCore* c, Op* op)
        where Sign : struct, IExtension
        where Wide : struct, IWidth
        where Narrow : struct, IWidth
    {
        var memory = CpuCore.Readable<Narrow>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        Wide.Put((byte*)c + op->Destination, Sign.Extend<Narrow>(Narrow.Load(memory)));
        return op + 1;
    }

    // A segment's base is no part of an effective address: Operands leaves it out.
    private static Op* Lea<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        W.Put((byte*)c + op->Destination, CpuCore.AddressOf(c, op));
        return op + 1;
    }

    private static Op* XchgReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var a = W.Load((byte*)c + op->Destination);
        var b = W.Load((byte*)c + op->Source);
        W.Put((byte*)c + op->Destination, b);
        W.Put((byte*)c + op->Source, a);
        return op + 1;
    }

    private static Op* XchgMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var old = W.Load(memory);
        W.Store(memory, W.Load((byte*)c + op->Source));
        CpuCore.Commit<W>(c, memory);
        W.Put((byte*)c + op->Source, old);
        return op + 1;
    }

    private static Op* Bswap32(CpuCore* c, Op* op)
    {
        var register = (byte*)c + op->Destination;
        *(ulong*)register = BinaryPrimitives.ReverseEndianness(*(uint*)register);
        return op + 1;
    }

    private static Op* Bswap64(CpuCore* c, Op* op)
    {
        var register = (ulong*)((byte*)c + op->Destination);
        *register = BinaryPrimitives.ReverseEndianness(*register);
        return op + 1;
    }

    private static Op* MovbeLoad<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Readable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Put((byte*)c + op->Destination, Reversed<W>(W.Load(memory)));
        return op + 1;
    }

    private static Op* MovbeStore<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        W.Store(memory, Reversed<W>(W.Load((byte*)c + op->Source)));
        CpuCore.Commit<W>(c, memory);
        return op + 1;
    }

    private static ulong Reversed<W>(ulong value)
        where W : struct, IWidth => BinaryPrimitives.ReverseEndianness(value) >> Width<W>.Shift;
}

/// <summary>How a narrow value fills a wide register.</summary>
internal interface IExtension
{
    static abstract ulong Extend<Narrow>(ulong value)
        where Narrow : struct, IWidth;
}

internal readonly struct ZeroExtension : IExtension
{
    public static ulong Extend<Narrow>(ulong value)
        where Narrow : struct, IWidth => value;
}

internal readonly struct SignExtension : IExtension
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Extend<Narrow>(ulong value)
        where Narrow : struct, IWidth => (ulong)Width<Narrow>.Signed(value);
}
