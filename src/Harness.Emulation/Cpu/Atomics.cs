using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>cmpxchg, cmpxchg8b, cmpxchg16b, xadd. Every instruction is atomic here, so the lock prefix adds nothing.</summary>
internal static unsafe class Atomics
{
    public static delegate*<CpuCore*, Op*, Op*> CompareExchange(in Instruction i) => Operands.SizeOf(i, 0) switch
    {
        1 => CompareExchange<W8>(i),
        2 => CompareExchange<W16>(i),
        4 => CompareExchange<W32>(i),
        8 => CompareExchange<W64>(i),
        _ => null,
    };

    public static delegate*<CpuCore*, Op*, Op*> ExchangeAdd(in Instruction i) => Operands.SizeOf(i, 0) switch
    {
        1 => ExchangeAdd<W8>(i),
        2 => ExchangeAdd<W16>(i),
        4 => ExchangeAdd<W32>(i),
        8 => ExchangeAdd<W64>(i),
        _ => null,
    };

    public static Op* CompareExchange8Bytes(CpuCore* c, Op* op)
    {
        var memory = CpuCore.Writable<W64>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var value = *(ulong*)memory;
        var equal = value == ((c->State.Rdx << 32) | (uint)c->State.Rax);
        if (equal)
        {
            *(ulong*)memory = (c->State.Rcx << 32) | (uint)c->State.Rbx;
            CpuCore.Commit<W64>(c, memory);
        }
        else
        {
            c->State.Rax = (uint)value;
            c->State.Rdx = value >> 32;
        }
        SetZero(c, equal);
        return op + 1;
    }

    public static Op* CompareExchange16Bytes(CpuCore* c, Op* op)
    {
        var address = CpuCore.AddressOf(c, op);
        if ((address & 15) != 0) return CpuCore.Refuse(c, CpuExitKind.GeneralProtection, address);
        var memory = (ulong*)CpuCore.Writable16(c, address);
        if (memory is null) return null;
        var equal = memory[0] == c->State.Rax && memory[1] == c->State.Rdx;
        if (equal)
        {
            memory[0] = c->State.Rbx;
            memory[1] = c->State.Rcx;
            CpuCore.Commit16(c, (byte*)memory);
        }
        else
        {
            c->State.Rax = memory[0];
            c->State.Rdx = memory[1];
        }
        SetZero(c, equal);
        return op + 1;
    }

    private static delegate*<CpuCore*, Op*, Op*> CompareExchange<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) == Form.MemReg ? &CompareExchangeMem<W> : &CompareExchangeReg<W>;

    private static delegate*<CpuCore*, Op*, Op*> ExchangeAdd<W>(in Instruction i)
        where W : struct, IWidth => Operands.FormOf(i) == Form.MemReg ? &ExchangeAddMem<W> : &ExchangeAddReg<W>;

    private static Op* CompareExchangeReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        var value = W.Load(destination);
        Sub.Apply<W>(c, W.Load((byte*)&c->State.Rax), value);
        if (c->Zf) W.Put(destination, W.Load((byte*)c + op->Source));
        else W.Put((byte*)&c->State.Rax, value);
        return op + 1;
    }

    private static Op* CompareExchangeMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var value = W.Load(memory);
        Sub.Apply<W>(c, W.Load((byte*)&c->State.Rax), value);
        if (c->Zf)
        {
            W.Store(memory, W.Load((byte*)c + op->Source));
            CpuCore.Commit<W>(c, memory);
        }
        else
        {
            W.Put((byte*)&c->State.Rax, value);
        }
        return op + 1;
    }

    private static Op* ExchangeAddReg<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var destination = (byte*)c + op->Destination;
        var old = W.Load(destination);
        var sum = Add.Apply<W>(c, old, W.Load((byte*)c + op->Source));
        // In this order: of `xadd eax, eax` the sum remains.
        W.Put((byte*)c + op->Source, old);
        W.Put(destination, sum);
        return op + 1;
    }

    private static Op* ExchangeAddMem<W>(CpuCore* c, Op* op)
        where W : struct, IWidth
    {
        var memory = CpuCore.Writable<W>(c, CpuCore.AddressOf(c, op));
        if (memory is null) return null;
        var old = W.Load(memory);
        W.Store(memory, Add.Apply<W>(c, old, W.Load((byte*)c + op->Source)));
        CpuCore.Commit<W>(c, memory);
        W.Put((byte*)c + op->Source, old);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void SetZero(CpuCore* c, bool zero) => c->ArithmeticFlags = (c->ArithmeticFlags & ~0x40UL) | (zero ? 0x40UL : 0);
}
