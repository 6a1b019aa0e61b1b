using System.Buffers.Binary;

namespace Harness.Emulation.Kernel;

/// <summary>One atomic action of nt on a processor. It ends in exactly one of Call, Goto, Return or a switch of threads; <see cref="Next"/> is the proof.</summary>
internal delegate Next Step(Processor p);

/// <summary>Proof that a step said how the processor goes on. Only <see cref="Processor"/> makes one.</summary>
internal readonly struct Next;

/// <summary>How a routine's stack frame is made, and so how it is unwound.</summary>
internal enum FrameKind
{
    /// <summary><c>sub rsp, N</c>: outgoing arguments, then locals.</summary>
    Ordinary,

    /// <summary>Stands on a KTRAP_FRAME: entered by a system call or an interrupt, rbp = trap frame + 0x80 as nt has it.</summary>
    Trap,

    /// <summary>KiSwapContext: a KEXCEPTION_FRAME with the nonvolatile registers.</summary>
    Switch,

    /// <summary>No frame, and nothing of the caller's is touched: not its registers, not the homes above the return address.</summary>
    Leaf,
}

/// <summary>A routine of nt: a name, a frame and the steps it is made of.</summary>
internal sealed class Routine
{
    /// <summary>From the RSP of a trap routine up to its KTRAP_FRAME.</summary>
    public const uint TrapFrameOffset = 0x70;

    /// <summary>sizeof(KTRAP_FRAME), and the offset of its machine frame (ksamd64.inc; Nt/nt-offsets.json).</summary>
    public const uint TrapFrameSize = 0x190, MachineFrameOffset = 0x168;

    /// <summary>sizeof(KEXCEPTION_FRAME) without its return address (ksamd64.inc).</summary>
    public const uint ExceptionFrameSize = 0x138;

    /// <summary>Bytes of the instruction that makes the frame.</summary>
    public const uint PrologueSize = 7;

    private readonly byte[]? _unwind;

    public Routine(string name, FrameKind kind, int locals, Step[] steps)
    {
        Name = name;
        Kind = kind;
        Steps = steps;
        // RSP is 8 mod 16 at entry and 0 mod 16 in the body.
        var size = NtImage.OutgoingArguments + (8 * (uint)locals);
        Frame = kind switch
        {
            FrameKind.Ordinary => size % 16 == 8 ? size : size + 8,
            FrameKind.Switch => ExceptionFrameSize,
            FrameKind.Leaf => 0,
            _ => TrapFrameOffset + MachineFrameOffset,
        };
        _unwind = kind switch
        {
            // SET_FPREG rbp, SAVE_NONVOL rbp, ALLOC_LARGE, PUSH_MACHFRAME; codes stand in reverse order of the prologue. The interrupted
            // code's rbp is the only nonvolatile register that a trap routine changes; the trap frame has it at +0x158.
            FrameKind.Trap => Codes(5, (TrapFrameOffset + 0x80) / 16, [0x03 << 8, .. Save(5, TrapFrameOffset + 0x158), .. AllocLarge(Frame), 0x0A << 8]),
            // SAVE_NONVOL rbx rdi rsi r12 r13 r14 r15 at their places in KEXCEPTION_FRAME, then ALLOC_LARGE.
            FrameKind.Switch => Codes(0, 0, [.. Save(3, 0x100), .. Save(7, 0x108), .. Save(6, 0x110), .. Save(12, 0x118), .. Save(13, 0x120), .. Save(14, 0x128), .. Save(15, 0x130), .. AllocLarge(Frame)]),
            FrameKind.Leaf => Codes(0, 0, []),
            _ => Codes(0, 0, AllocLarge(Frame)),
        };
    }

    public string Name { get; }

    /// <summary>Address of the first slot; set when the image is laid out.</summary>
    public ulong Address { get; set; }

    /// <summary>Address of a step's slot.</summary>
    public ulong AddressOf(int step) => Address + ((ulong)step * NtImage.SlotSize);

    public FrameKind Kind { get; }

    public Step[] Steps { get; }

    /// <summary>Who is asked when an exception passes this routine's frame, and when the frame is unwound; null: nobody.</summary>
    public Routine? Handler { get; set; }

    /// <summary>Arguments that point to an object of the caller's, and how many bytes of it the routine works on.</summary>
    public IReadOnlyList<(int Argument, uint Bytes)> Objects { get; set; } = [];

    /// <summary>What is asked of a driver that calls it.</summary>
    public IReadOnlyList<Action<Processor>> Contracts { get; set; } = [];

    /// <summary>Bytes from RSP in the body to the return address (or to the machine frame of a trap routine).</summary>
    public uint Frame { get; }

    public byte[] Prologue()
    {
        // 48 81 EC imm32: sub rsp, N; and a nop to fill the slot.
        byte[] code = [0x48, 0x81, 0xEC, 0, 0, 0, 0, 0x90];
        BinaryPrimitives.WriteUInt32LittleEndian(code.AsSpan(3), Frame);
        return code;
    }

    /// <summary>UNWIND_INFO (x64 exception handling, learn.microsoft.com/cpp/build/exception-handling-x64).</summary>
    public byte[] UnwindInfo()
    {
        if (Handler is null) return _unwind!;
        // UNW_FLAG_EHANDLER | UNW_FLAG_UHANDLER, and the handler's RVA after the codes.
        byte[] info = [.. _unwind!, .. BitConverter.GetBytes((uint)(Handler.Address - NtImage.Base))];
        info[0] |= 3 << 3;
        return info;
    }

    private static byte[] Codes(byte frameRegister, uint frameOffset, ushort[] codes)
    {
        var info = new byte[4 + (2 * ((codes.Length + 1) & ~1))];
        info[0] = 1;
        info[1] = (byte)PrologueSize;
        info[2] = (byte)codes.Length;
        info[3] = (byte)(frameRegister | frameOffset << 4);
        for (var i = 0; i < codes.Length; i++) BinaryPrimitives.WriteUInt16LittleEndian(info.AsSpan(4 + (2 * i)), codes[i]);
        // The low byte of an operation is its offset in the prologue; operand slots keep theirs.
        for (var i = 0; i < codes.Length; i++)
        {
            info[4 + (2 * i)] |= (byte)PrologueSize;
            i += (codes[i] >> 8 & 0xF) is 1 or 4 ? 1 : 0;
        }
        return info;
    }

    private static ushort[] AllocLarge(uint size) => [0x01 << 8, (ushort)(size / 8)];

    private static ushort[] Save(int register, uint offset) => [(ushort)((0x04 | register << 4) << 8), (ushort)(offset / 8)];
}
