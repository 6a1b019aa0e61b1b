using System.Numerics;
using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>Where an instruction's operands are.</summary>
internal enum Form
{
    Other,
    None,
    Reg,
    Mem,
    Imm,
    RegReg,
    RegMem,
    RegImm,
    MemReg,
    MemImm,
    RegRegImm,
    RegMemImm,
    MemRegImm,
    RegRegReg,
    MemRegReg,
}

/// <summary>Reads operands out of Iced's instruction.</summary>
internal static unsafe class Operands
{
    private static readonly ushort Xmm;
    private static readonly ushort Zero;
    private static readonly ushort Address32;
    private static readonly ushort GsBase;
    private static readonly ushort FsBase;

    static Operands()
    {
        CpuCore core;
        var start = (byte*)&core;
        Xmm = (ushort)((byte*)&core.State.Xmm0 - start);
        Zero = (ushort)((byte*)&core.Zero - start);
        Address32 = (ushort)((byte*)&core.Address32 - start);
        GsBase = (ushort)((byte*)&core.State.GsBase - start);
        FsBase = (ushort)((byte*)&core.State.FsBase - start);
    }

    /// <summary>The operands' kinds. Registers are general or xmm; others make it <see cref="Form.Other"/>.</summary>
    public static Form FormOf(in Instruction i) => i.OpCount switch
    {
        0 => Form.None,
        1 => KindOf(i, 0) switch { 'r' => Form.Reg, 'm' => Form.Mem, 'i' => Form.Imm, _ => Form.Other },
        2 => (KindOf(i, 0), KindOf(i, 1)) switch
        {
            ('r', 'r') => Form.RegReg,
            ('r', 'm') => Form.RegMem,
            ('r', 'i') => Form.RegImm,
            ('m', 'r') => Form.MemReg,
            ('m', 'i') => Form.MemImm,
            _ => Form.Other,
        },
        3 => (KindOf(i, 0), KindOf(i, 1), KindOf(i, 2)) switch
        {
            ('r', 'r', 'i') => Form.RegRegImm,
            ('r', 'm', 'i') => Form.RegMemImm,
            ('m', 'r', 'i') => Form.MemRegImm,
            ('r', 'r', 'r') => Form.RegRegReg,
            ('m', 'r', 'r') => Form.MemRegReg,
            _ => Form.Other,
        },
        _ => Form.Other,
    };

    /// <summary>The size of an operand in bytes.</summary>
    public static int SizeOf(in Instruction i, int operand) => i.GetOpKind(operand) switch
    {
        OpKind.Register => i.GetOpRegister(operand).GetSize(),
        OpKind.Memory => i.MemorySize.GetSize(),
        _ => 0,
    };

    public static void Fill(in Instruction i, Op* op)
    {
        *op = default;
        op->Base = op->Index = op->Segment = Zero;
        for (var operand = 0; operand < i.OpCount; operand++)
        {
            switch (i.GetOpKind(operand))
            {
                case OpKind.Register:
                    FillRegister(op, operand, i.GetOpRegister(operand));
                    break;
                case OpKind.Memory:
                    FillMemory(i, op);
                    break;
                case OpKind.NearBranch16 or OpKind.NearBranch32 or OpKind.NearBranch64:
                    op->Immediate = i.NearBranchTarget;
                    break;
                case OpKind.Immediate8_2nd:
                    break;
                case >= OpKind.Immediate8 and <= OpKind.Immediate32to64:
                    op->Immediate = i.GetImmediate(operand);
                    break;
                default:
                    // A string instruction's implied operand: only its segment can vary.
                    if (i.SegmentPrefix is Register.FS or Register.GS) op->Segment = SegmentBase(i.SegmentPrefix);
                    break;
            }
        }
    }

    public static bool HasAddress32(in Instruction i) =>
        Uses(i, OpKind.Memory) && (i.MemoryBase is >= Register.EAX and <= Register.R15D || i.MemoryIndex is >= Register.EAX and <= Register.R15D);

    /// <summary>Base, index and displacement of an operand with 32-bit addressing; its segment comes later, after the sum was cut.</summary>
    public static void FillAddress32(in Instruction i, Op* op)
    {
        *op = default;
        op->Segment = Zero;
        op->Base = i.MemoryBase == Register.None ? Zero : OffsetOf(i.MemoryBase);
        op->Index = i.MemoryIndex == Register.None ? Zero : OffsetOf(i.MemoryIndex);
        op->Scale = ScaleOf(i);
        op->Displacement = i.MemoryDisplacement64;
    }

    /// <summary>The offset of a register in <see cref="CpuCore"/>; 0xFFFF for one that isn't kept.</summary>
    public static ushort OffsetOf(Register register) => register switch
    {
        >= Register.AL and <= Register.BL => (ushort)((register - Register.AL) * 8),
        >= Register.AH and <= Register.BH => (ushort)(((register - Register.AH) * 8) + 1),
        >= Register.SPL and <= Register.R15L => (ushort)((register - Register.SPL + 4) * 8),
        >= Register.AX and <= Register.R15W => (ushort)((register - Register.AX) * 8),
        >= Register.EAX and <= Register.R15D => (ushort)((register - Register.EAX) * 8),
        >= Register.RAX and <= Register.R15 => (ushort)((register - Register.RAX) * 8),
        >= Register.XMM0 and <= Register.XMM15 => (ushort)(Xmm + ((register - Register.XMM0) * 16)),
        _ => ushort.MaxValue,
    };

    public static bool Uses(in Instruction i, OpKind kind)
    {
        for (var operand = 0; operand < i.OpCount; operand++)
            if (i.GetOpKind(operand) == kind) return true;
        return false;
    }

    private static char KindOf(in Instruction i, int operand) => i.GetOpKind(operand) switch
    {
        OpKind.Register => OffsetOf(i.GetOpRegister(operand)) == ushort.MaxValue ? '?' : 'r',
        OpKind.Memory => 'm',
        >= OpKind.Immediate8 and <= OpKind.Immediate32to64 => 'i',
        _ => '?',
    };

    private static void FillRegister(Op* op, int operand, Register register)
    {
        var offset = OffsetOf(register);
        if (operand == 0) op->Destination = offset;
        else if (operand == 1) op->Source = offset;
        else op->Third = offset;
    }

    private static void FillMemory(in Instruction i, Op* op)
    {
        if (i.MemorySegment is Register.FS or Register.GS && i.Mnemonic != Mnemonic.Lea) op->Segment = SegmentBase(i.MemorySegment);
        if (HasAddress32(i))
        {
            op->Base = Address32;
            return;
        }
        // Iced has added rip to the displacement already.
        if (!i.IsIPRelativeMemoryOperand && i.MemoryBase != Register.None) op->Base = OffsetOf(i.MemoryBase);
        if (i.MemoryIndex != Register.None) op->Index = OffsetOf(i.MemoryIndex);
        op->Scale = ScaleOf(i);
        op->Displacement = i.MemoryDisplacement64;
    }

    private static byte ScaleOf(in Instruction i) => (byte)BitOperations.TrailingZeroCount(i.MemoryIndexScale);

    private static ushort SegmentBase(Register segment) => segment == Register.GS ? GsBase : FsBase;
}
