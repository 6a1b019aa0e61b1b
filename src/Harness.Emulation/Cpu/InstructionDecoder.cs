using Iced.Intel;

namespace Harness.Emulation.Cpu;

/// <summary>Turns bytes into ops: Iced decodes, <see cref="Selection"/> picks who executes, <see cref="Operands"/> fills in what with.</summary>
internal sealed unsafe class InstructionDecoder
{
    /// <summary>In bytes; the architecture's limit.</summary>
    public const int LongestInstruction = 15;

    private readonly Window _window = new();
    private readonly Decoder _decoder;

    public InstructionDecoder() => _decoder = Decoder.Create(64, _window);

    /// <summary>Writes one op, or two with 32-bit addressing, and moves <paramref name="op"/> behind them.</summary>
    /// <returns>False when the bytes end before the instruction does, or it is longer than 15 bytes.</returns>
    public bool Decode(ReadOnlySpan<byte> bytes, ulong rip, ref Op* op, out bool endsRun)
    {
        _window.Show(bytes);
        _decoder.IP = rip;
        _decoder.Decode(out var instruction);
        if (_decoder.LastError == DecoderError.NoMoreBytes)
        {
            endsRun = false;
            return false;
        }

        var at = op;
        if (Operands.HasAddress32(instruction))
        {
            Operands.FillAddress32(instruction, at);
            at->Rip = rip;
            at->Length = (byte)instruction.Length;
            at->Handler = &Moves.Address32;
            at++;
        }
        Operands.Fill(instruction, at);
        at->Rip = rip;
        at->Length = (byte)instruction.Length;
        at->Handler = Selection.HandlerOf(instruction, at);
        endsRun = at->Handler is null || EndsRun(instruction);
        if (at->Handler is null) at->Handler = &SystemInstructions.Unknown;
        op = at + 1;
        return true;
    }

    /// <summary>"0f 01 d0: xgetbv".</summary>
    public static string Describe(ReadOnlySpan<byte> bytes, ulong rip)
    {
        var window = new Window();
        window.Show(bytes);
        var decoder = Decoder.Create(64, window);
        decoder.IP = rip;
        decoder.Decode(out var instruction);
        var length = decoder.LastError == DecoderError.NoMoreBytes ? bytes.Length : instruction.Length;
        var text = instruction.IsInvalid ? "not an instruction Iced knows" : instruction.ToString();
        return $"{Convert.ToHexStringLower(bytes[..length])}: {text}";
    }

    private static bool EndsRun(in Instruction instruction) => instruction.FlowControl is
        FlowControl.UnconditionalBranch or FlowControl.IndirectBranch or FlowControl.Return or FlowControl.Call or FlowControl.IndirectCall
        or FlowControl.Interrupt or FlowControl.Exception;

    private sealed class Window : CodeReader
    {
        private readonly byte[] _bytes = new byte[LongestInstruction];
        private int _length;
        private int _next;

        public void Show(ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(_bytes);
            _length = bytes.Length;
            _next = 0;
        }

        public override int ReadByte() => _next < _length ? _bytes[_next++] : -1;
    }
}
