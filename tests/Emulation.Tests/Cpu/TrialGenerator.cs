using System.Numerics;
using Harness.Emulation.Cpu;
using HostProcessor;
using Iced.Intel;

namespace Emulation.Tests.Cpu;

/// <summary>
/// Makes trials out of random bytes: those that are an instruction the interpreter models and a user-mode process may execute. Registers
/// are then chosen so that operands in memory lie in the window.
/// </summary>
internal sealed unsafe class TrialGenerator(ulong seed)
{
    private const ulong Middle = Picture.Window + (Picture.WindowSize / 2);

    private readonly byte[] _bytes = new byte[15];
    private ulong _state = seed;

    /// <summary>Processors of different makers differ: prefixes that mean nothing before a branch, 0F 0D without memory, a 16-bit shrd by more than 16, pause with REX.</summary>
    private static bool DiffersByMaker(in Instruction i, ReadOnlySpan<byte> bytes) =>
        i.FlowControl != FlowControl.Next && bytes[..i.Length].IndexOfAny<byte>(0x66, 0xF2, 0xF3) is >= 0 and < 4
        || i.Mnemonic == Mnemonic.Reservednop
        || i.Mnemonic == Mnemonic.Pause && i.Length > 2
        || i.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd && Operands.SizeOf(i, 0) == 2;

    /// <summary>Without privilege, without a fixed answer, or with more in mind than registers and memory.</summary>
    private static bool IsExcluded(in Instruction i) =>
        i.IsPrivileged || i.Mnemonic is Mnemonic.Cpuid or Mnemonic.Rdtsc or Mnemonic.Rdtscp or Mnemonic.Swapgs or Mnemonic.Int or Mnemonic.Int3
            or Mnemonic.Ldmxcsr or Mnemonic.Stmxcsr or Mnemonic.Popfq or Mnemonic.Popf or Mnemonic.Pushfq or Mnemonic.Pushf or Mnemonic.Enter
            or Mnemonic.Hlt or Mnemonic.Cli or Mnemonic.Sti or Mnemonic.In or Mnemonic.Out or Mnemonic.Clflush
            or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd or Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd
            or Mnemonic.Rdmsr or Mnemonic.Wrmsr or Mnemonic.Wbinvd
        || i.MemorySegment is Register.FS or Register.GS || i.SegmentPrefix is Register.FS or Register.GS
        || UsesControlRegister(i.Op0Register) || UsesControlRegister(i.Op1Register);

    public bool TryNext(out Trial trial, out Instruction instruction)
    {
        trial = default;
        Encode();
        var decoder = Decoder.Create(64, _bytes);
        decoder.IP = Trial.CodeRegion;
        decoder.Decode(out instruction);
        if (instruction.IsInvalid || IsExcluded(instruction) || DiffersByMaker(instruction, _bytes) || !IsModelled(instruction)) return false;
        if (!TryAimBranch(decoder, ref instruction)) return false;

        trial.Length = (byte)instruction.Length;
        for (var i = 0; i < instruction.Length; i++) trial.Code[i] = _bytes[i];
        FillRegisters(ref trial.Before);
        FillMemory(ref trial.Before);
        return TryPlaceOperands(instruction, ref trial.Before);
    }

    private static bool UsesControlRegister(Register register) => register.IsCR() || register.IsDR();

    private static bool IsModelled(in Instruction i)
    {
        Op op;
        Operands.Fill(i, &op);
        return Selection.HandlerOf(i, &op) is not null;
    }

    private ulong Bits()
    {
        // SplitMix64.
        _state += 0x9E37_79B9_7F4A_7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }

    private int Below(int limit) => (int)(Bits() % (ulong)limit);

    private bool Chance(int percent) => Below(100) < percent;

    private void Encode()
    {
        for (var i = 0; i < _bytes.Length; i++) _bytes[i] = (byte)Bits();
        var at = 0;
        if (Chance(3)) _bytes[at++] = 0xF0;
        if (Chance(2)) _bytes[at++] = 0x67;
        var prefix = Below(100);
        if (prefix < 30) _bytes[at++] = 0x66;
        else if (prefix < 40) _bytes[at++] = 0xF2;
        else if (prefix < 52) _bytes[at++] = 0xF3;
        if (Chance(45)) _bytes[at++] = (byte)(0x40 | Below(16));
        var map = Below(100);
        if (map >= 45) _bytes[at++] = 0x0F;
        if (map >= 92) _bytes[at++] = 0x3A;
        else if (map >= 84) _bytes[at++] = 0x38;
        at++;
        // Registers only, for half of what has a ModRM byte.
        if (Chance(50)) _bytes[at] |= 0xC0;
    }

    private bool TryAimBranch(Decoder decoder, ref Instruction instruction)
    {
        if (instruction.FlowControl is FlowControl.Next) return true;
        if (instruction.Op0Kind != OpKind.NearBranch64) return instruction.FlowControl is FlowControl.Return or FlowControl.IndirectBranch or FlowControl.IndirectCall;
        var offsets = decoder.GetConstantOffsets(instruction);
        var distance = (int)(Trial.BranchTarget - Trial.CodeRegion) - instruction.Length;
        if (offsets.ImmediateSize == 1) _bytes[offsets.ImmediateOffset] = (byte)distance;
        else BitConverter.TryWriteBytes(_bytes.AsSpan((int)offsets.ImmediateOffset), distance);
        var again = Decoder.Create(64, _bytes);
        again.IP = Trial.CodeRegion;
        again.Decode(out instruction);
        return true;
    }

    private ulong Value() => Below(12) switch
    {
        0 => 0,
        1 => 1,
        2 => ulong.MaxValue,
        3 => 1UL << Below(64),
        4 => (1UL << Below(64)) - 1,
        5 => (ulong)(sbyte)Bits(),
        6 => (ulong)(short)Bits(),
        7 => (ulong)(int)Bits(),
        8 => (byte)Bits(),
        9 => Bits() & 0x8080_8080_8080_8080,
        _ => Bits(),
    };

    private ulong Floating() => Below(8) switch
    {
        0 => Value(),
        1 => BitConverter.DoubleToUInt64Bits((long)Bits() >> Below(64)),
        2 => BitConverter.DoubleToUInt64Bits(((int)Bits() >> Below(32)) + (0.25 * Below(4))),
        3 => SinglePair(),
        4 => Below(8) switch { 0 => 0x7FF0_0000_0000_0000UL, 1 => 0xFFF0_0000_0000_0000, 2 => 0x7FF8_0000_0000_1234, 3 => 0xFFF0_0000_0000_0001, 4 => 1, 5 => 0x8000_0000_0000_0000, 6 => 0x7F80_0000_FF80_0000, _ => 0x7FC0_0001_FFA0_0000 },
        _ => Bits(),
    };

    private ulong SinglePair()
    {
        var low = BitConverter.SingleToUInt32Bits(((int)Bits() >> Below(32)) + (0.5f * Below(4)));
        var high = BitConverter.SingleToUInt32Bits((int)Bits() >> Below(32));
        return ((ulong)high << 32) | low;
    }

    private void FillRegisters(ref Picture before)
    {
        for (var i = 0; i < 16; i++) before.Registers[i] = Value();
        before.Registers[4] = Middle;
        if (Chance(30)) before.Registers[2] = Chance(50) ? 0 : (ulong)((long)before.Registers[0] >> 63);
        before.Flags = Bits() & 0x8D5;
        if (Chance(10)) before.Flags |= 0x400;
        fixed (byte* xmm = before.Xmm)
            for (var i = 0; i < 32; i++) ((ulong*)xmm)[i] = Chance(60) ? Floating() : Value();
        // Equal registers make comparisons meet.
        if (Chance(15)) before.Registers[Below(16)] = before.Registers[0];
        before.Registers[4] = Middle;
    }

    private void FillMemory(ref Picture before)
    {
        fixed (byte* memory = before.Memory)
            for (var i = 0; i < Picture.WindowSize / 8; i++) ((ulong*)memory)[i] = Chance(50) ? Floating() : Value();
    }

    private bool TryPlaceOperands(in Instruction i, ref Picture before)
    {
        if (i.Mnemonic == Mnemonic.Leave) before.Registers[5] = Middle - (ulong)Below(64);
        if (i.Mnemonic == Mnemonic.Xlatb) before.Registers[3] = Middle - (byte)before.Registers[0];
        if (i.IsStringInstruction)
        {
            before.Registers[6] = Middle - 64 + (ulong)Below(128);
            before.Registers[7] = Middle - 64 + (ulong)Below(128);
            before.Registers[1] = (ulong)Below(9);
        }
        if (i.FlowControl == FlowControl.Return) return Put(ref before, Middle, Trial.BranchTarget);
        if (i.FlowControl is FlowControl.IndirectBranch or FlowControl.IndirectCall && i.Op0Kind == OpKind.Register)
        {
            before.Registers[i.Op0Register.GetNumber()] = Trial.BranchTarget;
            return i.Op0Register is not Register.RSP;
        }
        if (!Operands.Uses(i, OpKind.Memory) || i.Mnemonic is Mnemonic.Lea or Mnemonic.Nop or Mnemonic.Reservednop) return true;
        return TryPlaceMemory(i, ref before);
    }

    private bool TryPlaceMemory(in Instruction i, ref Picture before)
    {
        // The address in rip-relative and absolute operands is in the code; elsewhere the base register makes it fit.
        var baseRegister = i.MemoryBase;
        if (baseRegister is Register.None or Register.RIP or Register.EIP || i.MemoryBase.GetBaseRegister() == i.MemoryIndex.GetBaseRegister()) return false;
        if (i.StackPointerIncrement != 0 && (baseRegister.GetFullRegister() == Register.RSP || i.Mnemonic == Mnemonic.Pop)) return false;
        if (i.MemoryIndex != Register.None) before.Registers[i.MemoryIndex.GetNumber()] = (ulong)(sbyte)Bits();
        var index = i.MemoryIndex == Register.None ? 0 : before.Registers[i.MemoryIndex.GetNumber()] * (ulong)i.MemoryIndexScale;
        var target = Middle - 100 + (ulong)Below(200);
        if (i.MemorySize.GetSize() >= 16 && Chance(95)) target &= ~15UL;
        var offset = baseRegister.GetSize() == 4 ? (uint)(target - index - i.MemoryDisplacement64) : target - index - i.MemoryDisplacement64;
        before.Registers[baseRegister.GetNumber()] = offset;

        if (i.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && i.Op1Kind == OpKind.Register)
        {
            var register = i.Op1Register.GetNumber();
            if (register == baseRegister.GetNumber() || (i.MemoryIndex != Register.None && register == i.MemoryIndex.GetNumber())) return false;
            // Iced does the cutting of a bit string's address to 32 bits, the interpreter doesn't.
            if (baseRegister.GetSize() == 4) return false;
            before.Registers[register] = (ulong)(long)(Below(1000) - 500);
        }
        if (i.FlowControl is FlowControl.IndirectBranch or FlowControl.IndirectCall) return i.StackPointerIncrement == 0 || baseRegister != Register.RSP ? Put(ref before, target, Trial.BranchTarget) : false;
        if (i.Mnemonic is Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b && Chance(50)) MakeEqual(i, ref before, target);
        return true;
    }

    private static void MakeEqual(in Instruction i, ref Picture before, ulong target)
    {
        fixed (byte* memory = before.Memory)
        {
            var at = memory + (target - Picture.Window);
            if (i.MemoryBase.GetNumber() == 0 || (i.MemoryIndex != Register.None && i.MemoryIndex.GetNumber() == 0)) return;
            before.Registers[0] = i.Mnemonic == Mnemonic.Cmpxchg8b ? *(uint*)at : *(ulong*)at;
            if (i.Mnemonic == Mnemonic.Cmpxchg || i.MemoryBase.GetNumber() == 2 || (i.MemoryIndex != Register.None && i.MemoryIndex.GetNumber() == 2)) return;
            before.Registers[2] = i.Mnemonic == Mnemonic.Cmpxchg8b ? *(uint*)(at + 4) : *(ulong*)(at + 8);
        }
    }

    private static bool Put(ref Picture before, ulong address, ulong value)
    {
        fixed (byte* memory = before.Memory) *(ulong*)(memory + (address - Picture.Window)) = value;
        return true;
    }
}
