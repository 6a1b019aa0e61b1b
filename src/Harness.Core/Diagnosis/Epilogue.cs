using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// An instruction pointer inside an epilogue: part of the frame is gone already, so the unwind codes don't hold and the remaining
/// instructions are carried out instead. Only the shapes the x64 ABI allows ("prolog and epilog" of Microsoft Learn) are taken for one:
/// an optional add rsp / lea rsp, pops, then ret or a jump out of the function; and leave, which gcc writes.
/// </summary>
internal static class Epilogue
{
    private const int LongestEpilogue = 64;

    /// <summary>True when RIP is in an epilogue: the registers are then the caller's.</summary>
    public static bool TryFinish(KernelMemoryReader memory, LoadedModule module, MappedImage image, RuntimeFunction function, UnwindRegisters registers)
    {
        Span<byte> buffer = stackalloc byte[LongestEpilogue];
        var code = (ReadOnlySpan<byte>)buffer[..memory.ReadAvailable(registers.Rip, buffer)];
        var after = registers.Copy();
        var at = ReleaseFrame(code, after);
        if (at < 0) return false;
        if (at < code.Length && code[at] == 0xC9)
        {
            // leave: mov rsp, rbp; pop rbp
            if (after[UnwindRegisters.RbpNumber] is not { } rbp) return false;
            after.Rsp = new KernelAddress(rbp);
            if (!TryPop(memory, after, UnwindRegisters.RbpNumber)) return false;
            at++;
        }

        while (PoppedRegister(code[at..], out var length) is { } register)
        {
            if (!TryPop(memory, after, register)) return false;
            at += length;
        }

        if (!Leaves(code[at..], registers.Rip + (ulong)at, module, image, function, out var releases)) return false;
        if (memory.Pointer(after.Rsp) is not { } returnAddress) return false;
        registers.Rip = returnAddress;
        registers.Rsp = after.Rsp + 8 + releases;
        for (var i = 0; i < 16; i++)
            if (i != UnwindRegisters.RspNumber) registers[i] = after[i];
        return true;
    }

    /// <summary>add rsp, n or lea rsp, [register + n]: how many bytes the instruction has; 0 when there is none, -1 when it cannot be carried out.</summary>
    private static int ReleaseFrame(ReadOnlySpan<byte> code, UnwindRegisters registers)
    {
        if (code.Length < 4) return 0;
        if (code[0] == 0x48 && code[1] == 0x83 && code[2] == 0xC4)
        {
            registers.Rsp += (ulong)(sbyte)code[3];
            return 4;
        }

        if (code[0] == 0x48 && code[1] == 0x81 && code[2] == 0xC4 && code.Length >= 7)
        {
            registers.Rsp += (ulong)BinaryPrimitives.ReadInt32LittleEndian(code[3..]);
            return 7;
        }

        // lea rsp: REX.W (with B for r8…r15), 8D, mod 01 or 10, reg = rsp; an rm of 4 (rsp, r12) would need a SIB byte.
        if ((code[0] & 0xFE) != 0x48 || code[1] != 0x8D || (code[2] & 0x38) != 0x20) return 0;
        var rm = (code[2] & 7) + ((code[0] & 1) * 8);
        var mod = code[2] >> 6;
        if (mod is not (1 or 2)) return 0;
        var sib = (rm & 7) == 4 ? 1 : 0;
        var length = 3 + sib + (mod == 1 ? 1 : 4);
        if (code.Length < length || (sib == 1 && code[3] != 0x24)) return 0;
        if (registers[rm] is not { } value) return -1;
        var displacement = mod == 1 ? (sbyte)code[3 + sib] : BinaryPrimitives.ReadInt32LittleEndian(code[(3 + sib)..]);
        registers.Rsp = new KernelAddress(value) + (ulong)displacement;
        return length;
    }

    private static int? PoppedRegister(ReadOnlySpan<byte> code, out int length)
    {
        length = 1;
        if (code.Length >= 1 && (code[0] & 0xF8) == 0x58) return code[0] & 7;
        length = 2;
        return code.Length >= 2 && (code[0] & 0xF0) == 0x40 && (code[1] & 0xF8) == 0x58 ? (code[1] & 7) + ((code[0] & 1) * 8) : null;
    }

    private static bool TryPop(KernelMemoryReader memory, UnwindRegisters registers, int register)
    {
        if (register == UnwindRegisters.RspNumber || memory.UInt64(registers.Rsp) is not { } value) return false;
        registers.Rsp += 8;
        registers[register] = value;
        return true;
    }

    /// <summary>A ret, or a jump that ends the function: the stack is the caller's again but for the return address.</summary>
    private static bool Leaves(ReadOnlySpan<byte> code, KernelAddress at, LoadedModule module, MappedImage image, RuntimeFunction function, out ulong releases)
    {
        releases = 0;
        if (code.IsEmpty) return false;
        if (code[0] == 0xC3) return true;
        if (code.Length < 2) return false;
        if (code[0] is 0xF3 or 0xF2 && code[1] == 0xC3) return true;
        if (code[0] == 0xEB) return LeavesTo(at + 2 + (ulong)(sbyte)code[1]);
        if (code[0] == 0xFF && code[1] == 0x25) return true; // jmp [import]
        if (code.Length < 3) return false;
        if (code[0] == 0xC2)
        {
            releases = BinaryPrimitives.ReadUInt16LittleEndian(code[1..]);
            return true;
        }

        // A jump through a register or memory is a tail call only with REX.W: that is how compilers mark it for unwinders.
        if ((code[0] & 0xF8) == 0x48 && code[1] == 0xFF && (code[2] & 0x38) == 0x20) return true;
        return code.Length >= 5 && code[0] == 0xE9 && LeavesTo(at + 5 + (ulong)BinaryPrimitives.ReadInt32LittleEndian(code[1..]));

        bool LeavesTo(KernelAddress target)
        {
            if (!module.Contains(target)) return true;
            var rva = (uint)(target.Value - module.Base.Value);
            if (rva >= function.Begin && rva < function.End) return false;
            return image.Function(rva) is not { } there || image.Primary(there) != image.Primary(function);
        }
    }
}
