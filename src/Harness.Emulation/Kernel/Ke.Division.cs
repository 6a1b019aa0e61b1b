using Harness.Core.Nt;
using Harness.Emulation.Cpu;
using Harness.Emulation.Kernel.Structures;
using Iced.Intel;

namespace Harness.Emulation.Kernel;

/// <summary>A divide error: the processor has one fault for a divisor of zero and for a quotient that is too large; nt reads the instruction to tell them apart.</summary>
internal static partial class Ke
{
    private static NtStatus DivideStatus(Processor p)
    {
        var registers = p.Registers;
        p.TrapFrame.Restore(ref registers);
        return DivisorOf(p, registers) == 0 ? NtStatus.IntegerDivideByZero : NtStatus.IntegerOverflow;
    }

    private static ulong DivisorOf(Processor p, CpuState registers)
    {
        Span<byte> code = stackalloc byte[Emulation.Cpu.InstructionDecoder.LongestInstruction];
        var length = 0;
        while (length < code.Length && p.Memory.TryRead(registers.Rip + (ulong)length, code.Slice(length, 1))) length++;
        var instruction = Decoder.Create(64, code[..length].ToArray(), registers.Rip).Decode();
        if (instruction.Op0Kind == OpKind.Register) return ValueOf(instruction.Op0Register, registers);
        if (!instruction.TryGetVirtualAddress(0, 0, out var address, (Register register, int _, int _, out ulong value) =>
            {
                value = register switch
                {
                    Register.GS => registers.GsBase,
                    Register.FS => registers.FsBase,
                    >= Register.ES and <= Register.DS => 0,
                    _ => ValueOf(register, registers),
                };
                return true;
            })) throw new UnmodelledException("instruction " + instruction, "a divide error whose divisor can't be found");
        Span<byte> divisor = stackalloc byte[8];
        divisor.Clear();
        p.Memory.Read(address, divisor[..instruction.MemorySize.GetSize()]);
        return BitConverter.ToUInt64(divisor);
    }

    private static ulong ValueOf(Register register, CpuState r)
    {
        var full = register.GetFullRegister() switch
        {
            Register.RAX => r.Rax,
            Register.RCX => r.Rcx,
            Register.RDX => r.Rdx,
            Register.RBX => r.Rbx,
            Register.RSP => r.Rsp,
            Register.RBP => r.Rbp,
            Register.RSI => r.Rsi,
            Register.RDI => r.Rdi,
            Register.R8 => r.R8,
            Register.R9 => r.R9,
            Register.R10 => r.R10,
            Register.R11 => r.R11,
            Register.R12 => r.R12,
            Register.R13 => r.R13,
            Register.R14 => r.R14,
            Register.R15 => r.R15,
            _ => throw new UnmodelledException("register " + register, "in a divide instruction"),
        };
        return register switch
        {
            Register.AH or Register.CH or Register.DH or Register.BH => full >> 8 & 0xFF,
            _ => full & (ulong.MaxValue >> (64 - (8 * register.GetSize()))),
        };
    }
}
