using System.Numerics;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Iced.Intel;

namespace HostProcessor;

/// <summary>
/// Makes trials out of compiled instructions, compiled instructions that were changed, and random bytes: those that are an instruction the
/// interpreter models and a user-mode process may execute. Registers are then chosen so that operands in memory lie in the window, or now and
/// then where they make it fault.
/// </summary>
internal sealed unsafe class TrialGenerator(ulong seed)
{
    private const ulong Middle = Picture.Window + (Picture.WindowSize / 2);
    private const ulong MappedEnd = Picture.ReadOnlyRegion + GuestMemory.PageSize;
    private const ulong Nowhere = 0x5000_0000;
    private const ulong NotCanonical = 0x8000_0000_0000_0000;

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
            or Mnemonic.Rdmsr or Mnemonic.Wrmsr or Mnemonic.Wbinvd or Mnemonic.Wbnoinvd or Mnemonic.Invlpg or Mnemonic.Invpcid
            or Mnemonic.Clflushopt or Mnemonic.Clwb or Mnemonic.Serialize or Mnemonic.Prefetchwt1
            or Mnemonic.Str or Mnemonic.Sldt or Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fxrstor or Mnemonic.Fxrstor64
        || i.MemorySegment is Register.FS or Register.GS || i.SegmentPrefix is Register.FS or Register.GS
        || UsesControlRegister(i.Op0Register) || UsesControlRegister(i.Op1Register);

    public bool TryNext(out Trial trial, out Instruction instruction)
    {
        trial = default;
        Encode();
        var decoder = Decode(DecoderOptions.None, out instruction);
        var wronglyLocked = instruction.IsInvalid && IsWronglyLocked(out instruction);
        if (instruction.IsInvalid || IsExcluded(instruction) || IsLacking(instruction) || DiffersByMaker(instruction, _bytes) || !IsModelled(instruction)) return false;
        if (!wronglyLocked && !TryAimBranch(decoder, ref instruction)) return false;

        FillRegisters(ref trial.Before);
        FillMemory(ref trial.Before);
        if (!wronglyLocked && !TryPlaceOperands(decoder, ref instruction, ref trial.Before)) return false;
        trial.Length = (byte)instruction.Length;
        for (var i = 0; i < instruction.Length; i++) trial.Code[i] = _bytes[i];
        return true;
    }

    private Decoder Decode(DecoderOptions options, out Instruction instruction)
    {
        var decoder = Decoder.Create(64, _bytes, options);
        decoder.IP = Trial.CodeRegion;
        decoder.Decode(out instruction);
        return decoder;
    }

    /// <summary>An instruction that a lock prefix makes invalid: #UD.</summary>
    private bool IsWronglyLocked(out Instruction instruction)
    {
        Decode(DecoderOptions.NoInvalidCheck, out instruction);
        return !instruction.IsInvalid && instruction.HasLockPrefix;
    }

    private static bool UsesControlRegister(Register register) => register.IsCR() || register.IsDR() || register.IsSegmentRegister();

    private static bool IsLacking(in Instruction i)
    {
        foreach (var feature in i.CpuidFeatures)
            if (HostFeatures.Missing.Contains(feature)) return true;
        return false;
    }

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
        var from = Below(100);
        if (from >= 60)
        {
            EncodeRandom();
            return;
        }
        var compiled = CompiledCode.Instructions[Below(CompiledCode.Instructions.Length)];
        compiled.CopyTo(_bytes, 0);
        if (from < 25) return;
        for (var changes = 1 + Below(2); changes > 0; changes--) Change(compiled.Length);
    }

    /// <summary>Another operand, prefix, immediate or opcode.</summary>
    private void Change(int length)
    {
        switch (Below(5))
        {
            case 0:
                _bytes[Below(length)] = (byte)Bits();
                break;
            case 1:
                _bytes[Below(length)] ^= (byte)(1 << Below(8));
                break;
            case 2:
                // The end is an immediate, a displacement or ModRM.
                for (var i = length - 1 - Below(Math.Min(length, 4)); i < length; i++) _bytes[i] = (byte)Value();
                break;
            case 3 when (_bytes[0] & 0xF0) == 0x40:
                _bytes[0] = (byte)(0x40 | Below(16));
                break;
            default:
                Array.Copy(_bytes, 0, _bytes, 1, _bytes.Length - 1);
                _bytes[0] = Below(6) switch { 0 => 0xF0, 1 => 0xF2, 2 => 0xF3, 3 => (byte)(0x40 | Below(16)), _ => 0x66 };
                break;
        }
    }

    private void EncodeRandom()
    {
        var at = 0;
        if (Chance(3)) _bytes[at++] = 0xF0;
        if (Chance(2)) _bytes[at++] = 0x67;
        var prefix = Below(100);
        if (prefix < 30) _bytes[at++] = 0x66;
        else if (prefix < 40) _bytes[at++] = 0xF2;
        else if (prefix < 52) _bytes[at++] = 0xF3;
        if (Chance(4))
        {
            // VEX, three bytes: maps 2 and 3, where the general-purpose instructions are.
            at = 0;
            _bytes[at++] = 0xC4;
            _bytes[at] = (byte)((_bytes[at] & 0xE0) | (2 + Below(2)));
            _bytes[at + 1] &= 0xFB;
            if (Chance(60)) _bytes[at + 2] = (byte)(0xF0 | Below(8));
            return;
        }
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
        Decode(DecoderOptions.None, out instruction);
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

    /// <summary>Where an operand of so many bytes lies: in the window, or sometimes where it can't be read, can't be written, or ends too late.</summary>
    private ulong Place(int size) => Below(150) switch
    {
        0 => NotCanonical + Bits() % Picture.DataSize,
        1 => Nowhere + (ulong)Below(GuestMemory.PageSize),
        2 or 3 => Picture.ReadOnlyRegion + (ulong)Below(GuestMemory.PageSize - 64),
        4 or 5 => Picture.ReadOnlyRegion - (ulong)Below(size + 1),
        6 or 7 => MappedEnd - (ulong)Below(size + 1),
        8 => Picture.DataRegion - 1 - (ulong)Below(Math.Max(1, size)),
        _ => Middle - 100 + (ulong)Below(200),
    };

    private bool TryPlaceOperands(Decoder decoder, ref Instruction i, ref Picture before)
    {
        if (i.Mnemonic == Mnemonic.Leave) before.Registers[5] = Chance(95) ? Middle - (ulong)Below(64) : Place(8);
        if (i.Mnemonic == Mnemonic.Xlatb) before.Registers[3] = Place(1) - (byte)before.Registers[0];
        if (i.Mnemonic == Mnemonic.Maskmovdqu) before.Registers[7] = Middle - 64 + (ulong)Below(128);
        if (i.IsStringInstruction)
        {
            before.Registers[6] = Chance(90) ? Middle - 64 + (ulong)Below(128) : Place(16);
            before.Registers[7] = Chance(90) ? Middle - 64 + (ulong)Below(128) : Place(16);
            before.Registers[1] = (ulong)Below(9);
        }
        // A stack that is full or empty.
        if (i.StackPointerIncrement != 0 && Chance(3)) before.Registers[4] = i.StackPointerIncrement < 0 ? Picture.DataRegion + (ulong)Below(8) : MappedEnd - (ulong)Below(8);
        else if (i.FlowControl == FlowControl.Return) return Put(ref before, Middle, Trial.BranchTarget);
        if (i.FlowControl is FlowControl.IndirectBranch or FlowControl.IndirectCall && i.Op0Kind == OpKind.Register)
        {
            before.Registers[i.Op0Register.GetNumber()] = Trial.BranchTarget;
            return i.Op0Register is not Register.RSP;
        }
        if (!Operands.Uses(i, OpKind.Memory) || i.Mnemonic is Mnemonic.Lea or Mnemonic.Nop or Mnemonic.Reservednop) return true;
        return TryPlaceMemory(decoder, ref i, ref before);
    }

    private bool TryPlaceMemory(Decoder decoder, ref Instruction i, ref Picture before)
    {
        var isBranch = i.FlowControl is FlowControl.IndirectBranch or FlowControl.IndirectCall;
        var target = isBranch ? Middle + (ulong)Below(64) : Place(i.MemorySize.GetSize());
        if (i.MemorySize.GetSize() >= 16 && Chance(95)) target &= ~15UL;
        if (i.MemoryBase is Register.None or Register.RIP)
        {
            if (!TryMoveDisplacement(decoder, ref i, target)) return false;
        }
        else if (!TryMoveBase(i, ref before, target))
        {
            return false;
        }

        if (isBranch) return Put(ref before, target, Trial.BranchTarget);
        if (i.Mnemonic is Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b && Chance(50)) MakeEqual(i, ref before, target);
        return true;
    }

    /// <summary>Relative to rip and absolute: the address is in the code.</summary>
    private bool TryMoveDisplacement(Decoder decoder, ref Instruction i, ulong target)
    {
        var offsets = decoder.GetConstantOffsets(i);
        if (i.MemoryIndex != Register.None || offsets.DisplacementSize != 4 || target >= NotCanonical) return false;
        if (i.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && i.Op1Kind == OpKind.Register) return false;
        var displacement = i.MemoryBase == Register.RIP ? target - i.NextIP : target;
        BitConverter.TryWriteBytes(_bytes.AsSpan((int)offsets.DisplacementOffset), (int)displacement);
        Decode(DecoderOptions.None, out i);
        return true;
    }

    /// <summary>The base register makes the address fit.</summary>
    private bool TryMoveBase(in Instruction i, ref Picture before, ulong target)
    {
        var baseRegister = i.MemoryBase;
        if (baseRegister == Register.EIP || baseRegister.GetBaseRegister() == i.MemoryIndex.GetBaseRegister()) return false;
        if (i.StackPointerIncrement != 0 && (baseRegister.GetFullRegister() == Register.RSP || i.Mnemonic == Mnemonic.Pop)) return false;
        if (i.MemoryIndex != Register.None) before.Registers[i.MemoryIndex.GetNumber()] = (ulong)(sbyte)Bits();
        var index = i.MemoryIndex == Register.None ? 0 : before.Registers[i.MemoryIndex.GetNumber()] * (ulong)i.MemoryIndexScale;
        var offset = baseRegister.GetSize() == 4 ? (uint)(target - index - i.MemoryDisplacement64) : target - index - i.MemoryDisplacement64;
        before.Registers[baseRegister.GetNumber()] = offset;

        if (i.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && i.Op1Kind == OpKind.Register)
        {
            var register = i.Op1Register.GetNumber();
            if (register == baseRegister.GetNumber() || (i.MemoryIndex != Register.None && register == i.MemoryIndex.GetNumber())) return false;
            // The processor cuts a bit string's address to 32 bits, the interpreter doesn't.
            if (baseRegister.GetSize() == 4) return false;
            before.Registers[register] = (ulong)(long)(Below(1000) - 500);
        }
        return true;
    }

    private static void MakeEqual(in Instruction i, ref Picture before, ulong target)
    {
        if (target < Picture.Window || target > Picture.ReadOnlyRegion - 16 || i.MemoryBase is Register.None or Register.RIP) return;
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
