using System.Buffers.Binary;

namespace Harness.Emulation.Cpu;

/// <summary>
/// fxsave and fxrstor. x87 isn't modelled: its part is always that of an empty x87 with the control word Windows starts with (0x27F, the x64
/// calling convention's), and restoring anything else is refused as unknown. Bytes 416 to 511 are left alone.
/// </summary>
internal static unsafe class ExtendedState
{
    private const int Size = 512;
    private const int SavedSize = 416;
    private const int MxCsrOffset = 24;
    private const int XmmOffset = 160;
    private const ushort ControlWord = 0x27F;

    public static Op* Fxsave(CpuCore* c, Op* op)
    {
        var address = CpuCore.AddressOf(c, op);
        if ((address & 15) != 0) return CpuCore.Refuse(c, CpuExitKind.GeneralProtection, address);
        Span<byte> image = stackalloc byte[SavedSize];
        image.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(image, ControlWord);
        BinaryPrimitives.WriteUInt32LittleEndian(image[MxCsrOffset..], c->State.MxCsr);
        BinaryPrimitives.WriteUInt32LittleEndian(image[(MxCsrOffset + 4)..], 0xFFFF);
        new ReadOnlySpan<byte>(&c->State.Xmm0, 256).CopyTo(image[XmmOffset..]);

        for (var at = 0UL; at < Size; at += 16)
            if (CpuCore.Writable16(c, address + at) is null) return null;
        for (var at = 0; at < SavedSize; at += 16)
        {
            var memory = CpuCore.Writable16(c, address + (ulong)at);
            image.Slice(at, 16).CopyTo(new Span<byte>(memory, 16));
            CpuCore.Commit16(c, memory);
        }
        return op + 1;
    }

    public static Op* Fxrstor(CpuCore* c, Op* op)
    {
        var address = CpuCore.AddressOf(c, op);
        if ((address & 15) != 0) return CpuCore.Refuse(c, CpuExitKind.GeneralProtection, address);
        Span<byte> image = stackalloc byte[Size];
        for (var at = 0; at < Size; at += 16)
        {
            var memory = CpuCore.Readable16(c, address + (ulong)at);
            if (memory is null) return null;
            new ReadOnlySpan<byte>(memory, 16).CopyTo(image[at..]);
        }
        var mxCsr = BinaryPrimitives.ReadUInt32LittleEndian(image[MxCsrOffset..]);
        if (mxCsr > 0xFFFF) return CpuCore.Refuse(c, CpuExitKind.GeneralProtection);
        // Control word, status word, and the tags: a bit for each register in use.
        if (BinaryPrimitives.ReadUInt32LittleEndian(image) != ControlWord || image[4] != 0) return SystemInstructions.Unknown(c, op);
        c->State.MxCsr = mxCsr;
        image.Slice(XmmOffset, 256).CopyTo(new Span<byte>(&c->State.Xmm0, 256));
        return op + 1;
    }
}
