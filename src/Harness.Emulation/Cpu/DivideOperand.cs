using Harness.Emulation.Memory;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>
/// The divisor of the instruction that a processor refused with a divide error: it has one fault for a divisor of zero and for a quotient
/// that is too large, and a kernel reads the instruction to tell them apart.
/// </summary>
internal static class DivideOperand
{
    /// <summary>The divisor, zero-extended; null when the instruction at RIP isn't one that divides.</summary>
    public static ulong? At(GuestMemory memory, CpuState registers)
    {
        Span<byte> code = stackalloc byte[InstructionDecoder.LongestInstruction];
        var length = 0;
        while (length < code.Length && memory.TryRead(registers.Rip + (ulong)length, code.Slice(length, 1))) length++;
        var instruction = Decoder.Create(64, code[..length].ToArray(), registers.Rip).Decode();
        if (instruction.Mnemonic is not (Mnemonic.Div or Mnemonic.Idiv)) return null;
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
            })) return null;
        Span<byte> divisor = stackalloc byte[8];
        divisor.Clear();
        return memory.TryRead(address, divisor[..instruction.MemorySize.GetSize()]) ? BitConverter.ToUInt64(divisor) : null;
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
            _ => throw new InvalidOperationException($"{register} is no general register"),
        };
        return register switch
        {
            Register.AH or Register.CH or Register.DH or Register.BH => full >> 8 & 0xFF,
            _ => full & (ulong.MaxValue >> (64 - (8 * register.GetSize()))),
        };
    }
}
