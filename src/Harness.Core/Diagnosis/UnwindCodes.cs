using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// Takes a prologue back: the unwind codes of a function, applied to the registers in it. Format and rules: "x64 exception handling" of
/// Microsoft Learn; the epilogue codes of version 2 from LLVM's public description (each is one slot, and they come first).
/// </summary>
internal sealed class UnwindCodes(KernelMemoryReader memory)
{
    private const byte ChainedInfo = 4;
    private const int MostChained = 32;

    private enum Operation
    {
        PushNonVolatile, AllocateLarge, AllocateSmall, SetFramePointer, SaveNonVolatile, SaveNonVolatileFar,
        Epilogue, Spare, SaveXmm, SaveXmmFar, PushMachineFrame,
    }

    /// <summary>Undoes what the function has done to the stack so far. False, with the reason in <paramref name="why"/>, when that can't be told.</summary>
    /// <param name="image">The function's module.</param>
    /// <param name="function">The function, or the piece of it that the instruction pointer is in.</param>
    /// <param name="offset">The instruction pointer's distance from the function's begin in bytes.</param>
    /// <param name="registers">In: in the function. Out: as before its first instruction, or in the interrupted code.</param>
    /// <param name="interrupted">A machine frame was popped: RIP is set, and no return address is left to pop.</param>
    /// <param name="establisher">The frame, and the handler that the function has for its body.</param>
    /// <param name="why">One clause.</param>
    public bool TryApply(MappedImage image, RuntimeFunction function, uint offset, UnwindRegisters registers, out bool interrupted, out EstablisherFrame establisher, out string why)
    {
        interrupted = false;
        establisher = default;
        KernelAddress? frame = null;
        for (var depth = 0; depth < MostChained; depth++)
        {
            if (Read(image, function, out why) is not { } info) return false;
            frame ??= FrameBase(info, offset, registers);
            if (frame is null)
            {
                why = $"its frame register {info.FrameRegister} is not known";
                return false;
            }

            // Only the piece that RIP is in can be half done; what is chained to it has run.
            if (!TryApply(info, depth == 0 ? offset : uint.MaxValue, frame.Value, registers, ref interrupted, out why)) return false;
            if ((info.Flags & ChainedInfo) == 0)
            {
                establisher = new EstablisherFrame(frame.Value, HandlerOf(image, info, inBody: depth > 0 || offset >= info.PrologueSize));
                return true;
            }

            if (image.FunctionAt(info.AfterCodes) is not { } next)
            {
                why = "its chained unwind information is not in memory";
                return false;
            }

            function = next;
        }

        why = "its unwind information is chained without end";
        return false;
    }

    /// <summary>True while the instruction pointer is in the prologue, where no epilogue can be.</summary>
    public bool IsInPrologue(MappedImage image, RuntimeFunction function, uint offset) =>
        Read(image, function, out _) is { } info && offset < info.PrologueSize;

    /// <summary>UNW_FLAG_EHANDLER 1 and UNW_FLAG_UHANDLER 2: the handler's RVA follows the codes, its data follow that. A prologue has none.</summary>
    private FrameHandler? HandlerOf(MappedImage image, Info info, bool inBody)
    {
        var kinds = (HandlerKinds)(info.Flags & 3);
        return inBody && kinds != HandlerKinds.None && memory.UInt32(info.AfterCodes) is { } rva ? new FrameHandler(kinds, image.Base + rva, info.AfterCodes + 4) : null;
    }

    private bool TryApply(Info info, uint offset, KernelAddress frame, UnwindRegisters registers, ref bool interrupted, out string why)
    {
        why = "";
        for (var i = 0; i < info.Codes.Length / 2;)
        {
            var codeOffset = info.Codes[i * 2];
            var operation = (Operation)(info.Codes[(i * 2) + 1] & 0xF);
            var operand = info.Codes[(i * 2) + 1] >> 4;
            var slots = Slots(operation, operand, info.Version);
            if (slots == 0 || i + slots > info.Codes.Length / 2)
            {
                why = $"its unwind code {operation} at slot {i} of {info.Codes.Length / 2} is malformed";
                return false;
            }

            // The offset is that of the *next* instruction, so a code counts once RIP has reached it.
            if (operation == Operation.Epilogue || offset >= codeOffset)
            {
                var argument = info.Codes.AsSpan((i * 2) + 2, (slots - 1) * 2);
                if (Failure(operation, operand, argument, info, frame, registers, ref interrupted) is { } failure)
                {
                    why = failure;
                    return false;
                }
            }

            i += slots;
        }

        return true;
    }

    private string? Failure(Operation operation, int operand, ReadOnlySpan<byte> argument, Info info, KernelAddress frame, UnwindRegisters registers, ref bool interrupted)
    {
        switch (operation)
        {
            case Operation.PushNonVolatile:
                if (memory.UInt64(registers.Rsp) is not { } pushed) return NotInMemory(registers.Rsp);
                registers.Rsp += 8;
                registers[operand] = pushed;
                return null;

            case Operation.AllocateLarge:
                registers.Rsp += operand == 0 ? BinaryPrimitives.ReadUInt16LittleEndian(argument) * 8ul : BinaryPrimitives.ReadUInt32LittleEndian(argument);
                return null;

            case Operation.AllocateSmall:
                registers.Rsp += ((ulong)operand * 8) + 8;
                return null;

            case Operation.SetFramePointer:
                if (registers[info.FrameRegister] is not { } framePointer) return $"its frame register {info.FrameRegister} is not known";
                registers.Rsp = new KernelAddress(framePointer) - (info.FrameOffset * 16ul);
                return null;

            case Operation.SaveNonVolatile:
            case Operation.SaveNonVolatileFar:
                var slot = frame + (operation == Operation.SaveNonVolatile ? BinaryPrimitives.ReadUInt16LittleEndian(argument) * 8ul : BinaryPrimitives.ReadUInt32LittleEndian(argument));
                if (memory.UInt64(slot) is not { } saved) return NotInMemory(slot);
                registers[operand] = saved;
                return null;

            case Operation.PushMachineFrame:
                // {error code}, RIP, CS, RFLAGS, RSP, SS
                var machineFrame = registers.Rsp + (operand == 0 ? 0ul : 8);
                if (memory.Pointer(machineFrame) is not { } rip || memory.Pointer(machineFrame + 24) is not { } rsp) return NotInMemory(machineFrame);
                registers.Rip = rip;
                registers.Rsp = rsp;
                interrupted = true;
                return null;

            case Operation.SaveXmm:
            case Operation.SaveXmmFar:
                registers.SetXmmSavedAt(operand, frame + (operation == Operation.SaveXmm ? BinaryPrimitives.ReadUInt16LittleEndian(argument) * 16ul : BinaryPrimitives.ReadUInt32LittleEndian(argument)));
                return null;

            default: // epilogue codes of version 2, and numbers without a meaning, change nothing
                return null;
        }
    }

    private static string NotInMemory(KernelAddress address) => $"its stack at {address} is not in memory";

    private static int Slots(Operation operation, int operand, int version) => operation switch
    {
        Operation.PushNonVolatile or Operation.AllocateSmall or Operation.SetFramePointer => 1,
        Operation.PushMachineFrame => operand <= 1 ? 1 : 0,
        Operation.AllocateLarge => operand switch { 0 => 2, 1 => 3, _ => 0 },
        Operation.SaveNonVolatile or Operation.SaveXmm => 2,
        Operation.SaveNonVolatileFar or Operation.SaveXmmFar or Operation.Spare => 3,
        // In version 1 this number once meant a 64-bit XMM save, of two slots.
        Operation.Epilogue => version == 2 ? 1 : 2,
        _ => 0,
    };

    /// <summary>Where offsets of saved registers count from: RSP after the prologue, which the frame register remembers once it is set.</summary>
    private static KernelAddress? FrameBase(Info info, uint offset, UnwindRegisters registers)
    {
        if (info.FrameRegister == 0 || (offset < info.PrologueSize && !FramePointerSet(info, offset))) return registers.Rsp;
        return registers[info.FrameRegister] is { } value ? new KernelAddress(value) - (info.FrameOffset * 16ul) : null;
    }

    private static bool FramePointerSet(Info info, uint offset)
    {
        // A chained piece begins with the frame pointer its primary has set.
        if ((info.Flags & ChainedInfo) != 0) return true;
        for (var i = 0; i < info.Codes.Length / 2;)
        {
            var operation = (Operation)(info.Codes[(i * 2) + 1] & 0xF);
            if (operation == Operation.SetFramePointer) return offset >= info.Codes[i * 2];
            i += Math.Max(1, Slots(operation, info.Codes[(i * 2) + 1] >> 4, info.Version));
        }

        return false;
    }

    private Info? Read(MappedImage image, RuntimeFunction function, out string why)
    {
        why = "its unwind information is not in memory";
        if (image.UnwindInfo(function) is not { } at || memory.UInt32(at) is not { } header) return null;
        var version = (int)(header & 7);
        if (version is not (1 or 2))
        {
            why = $"its unwind information is of version {version}";
            return null;
        }

        var count = (int)((header >> 16) & 0xFF);
        var codes = new byte[count * 2];
        if (codes.Length > 0 && !memory.TryRead(at + 4, codes)) return null;
        why = "";
        return new Info(version, (byte)(header >> 3 & 0x1F), (byte)(header >> 8), codes, (int)(header >> 24 & 0xF), header >> 28, at + 4 + (2 * (((ulong)count + 1) & ~1ul)));
    }

    /// <summary>UNWIND_INFO.</summary>
    private sealed record Info(int Version, byte Flags, byte PrologueSize, byte[] Codes, int FrameRegister, uint FrameOffset, KernelAddress AfterCodes);
}
