using System.Buffers.Binary;
using System.Text;

namespace Emulation.Tests.Image;

/// <summary>
/// A small x64 driver written by hand: .text at 0x1000, .rdata (imports, exports, load configuration) at 0x2000, .data at 0x3000,
/// .reloc at 0x4000; 0x200 bytes of each in the file, from 0x400 on.
/// </summary>
internal sealed class HandMadeImage
{
    public const ulong PreferredBase = 0x1_4000_0000;
    public const uint SlotByName = 0x2040;
    public const uint SlotByOrdinal = 0x2048;
    public const uint Pointer = 0x3010;
    public const uint Cookie = 0x3000;

    // File offsets of header fields.
    public const int Machine = 0x84;
    public const int Characteristics = 0x96;
    public const int Magic = 0x98;
    public const int EntryPoint = 0xA8;
    public const int SizeOfImage = 0xD0;
    public const int SizeOfHeaders = 0xD4;
    public const int Subsystem = 0xDC;
    public const int Directories = 0x108;
    public const int Sections = 0x188;

    private const int HeaderSize = 0x400;

    public byte[] Bytes { get; } = new byte[HeaderSize + (4 * 0x200)];

    public HandMadeImage()
    {
        WriteHeaders();
        WriteImports();
        WriteExports();
        WriteLoadConfiguration();
        WriteData();
        WriteRelocations();
        // mov eax, 42; ret.
        Convert.FromHexString("B82A000000C3").CopyTo(Bytes, HeaderSize);
    }

    public HandMadeImage Set16(int offset, ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan(offset), value);
        return this;
    }

    public HandMadeImage Set32(int offset, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(Bytes.AsSpan(offset), value);
        return this;
    }

    public HandMadeImage Set64(int offset, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(Bytes.AsSpan(offset), value);
        return this;
    }

    /// <summary>The file offset of an RVA in a section.</summary>
    public static int At(uint rva) => (int)(HeaderSize + (((rva >> 12) - 1) * 0x200) + (rva & 0xFFF));

    private void WriteHeaders()
    {
        Set16(0, 0x5A4D).Set32(0x3C, 0x80).Set32(0x80, 0x4550);
        // x64, four sections, time stamp, an optional header of 0xF0 bytes, executable, large addresses.
        Set16(Machine, 0x8664).Set16(0x86, 4).Set32(0x88, 0x6543_2100).Set16(0x94, 0xF0).Set16(Characteristics, 0x22);
        Set16(Magic, 0x20B).Set32(EntryPoint, 0x1000).Set64(0xB0, PreferredBase).Set32(0xB8, 0x1000).Set32(0xBC, 0x200);
        Set32(SizeOfImage, 0x5000).Set32(SizeOfHeaders, HeaderSize).Set32(0xD8, 0xABCD).Set16(Subsystem, 1).Set32(0x104, 16);
        Directory(0, 0x2100, 0x80);
        Directory(1, 0x2000, 40);
        Directory(5, 0x4000, 24);
        Directory(10, 0x2180, 0x70);
        Section(0, ".text", 0x1000, 0x6800_0020);
        Section(1, ".rdata", 0x2000, 0x4800_0040);
        Section(2, ".data", 0x3000, 0xC800_0040);
        Section(3, ".reloc", 0x4000, 0x4200_0040);
    }

    private void Directory(int number, uint rva, uint size) => Set32(Directories + (8 * number), rva).Set32(Directories + (8 * number) + 4, size);

    private void Section(int number, string name, uint rva, uint characteristics)
    {
        var at = Sections + (40 * number);
        Encoding.ASCII.GetBytes(name).CopyTo(Bytes, at);
        // The last one is larger in memory than in the file, which pads it with zeros.
        Set32(at + 8, number == 2 ? 0x800U : 0x200).Set32(at + 12, rva).Set32(at + 16, 0x200).Set32(at + 20, (uint)(HeaderSize + (0x200 * number))).Set32(at + 36, characteristics);
    }

    private void WriteImports()
    {
        // One descriptor, its lookup table at 0x2060, its address table at 0x2040.
        Set32(At(0x2000), 0x2060).Set32(At(0x200C), 0x20A0).Set32(At(0x2010), SlotByName);
        foreach (var table in (uint[])[SlotByName, 0x2060])
            Set64(At(table), 0x2080).Set64(At(table + 8), 0x8000_0000_0000_0011);
        Set16(At(0x2080), 7);
        Text(0x2082, "IoCompleteRequest");
        Text(0x20A0, "ntoskrnl.exe");
    }

    private void WriteExports()
    {
        // Base 5; three addresses: a named routine, a gap, a forwarder with an ordinal only.
        Set32(At(0x2110), 5).Set32(At(0x2114), 3).Set32(At(0x2118), 1).Set32(At(0x211C), 0x2130).Set32(At(0x2120), 0x213C).Set32(At(0x2124), 0x2140);
        Set32(At(0x2130), 0x1000).Set32(At(0x2134), 0).Set32(At(0x2138), 0x2160);
        Set32(At(0x213C), 0x2148).Set16(At(0x2140), 0);
        Text(0x2148, "DoIt");
        Text(0x2160, "HAL.KeStall");
    }

    private void WriteLoadConfiguration() => Set32(At(0x2180), 0x70).Set64(At(0x2180 + 0x58), PreferredBase + Cookie);

    private void WriteData() =>
        Set64(At(Cookie), 0x0000_2B99_2DDF_A232).Set64(At(Pointer), PreferredBase + 0x1000).Set32(At(0x3020), 0x4000_3000);

    private void WriteRelocations()
    {
        // One block for page 0x3000: DIR64 at 10h, HIGHLOW at 20h, ABSOLUTE as padding; then a block for the security cookie's address.
        Set32(At(0x4000), 0x3000).Set32(At(0x4004), 12).Set16(At(0x4008), 0xA010).Set16(At(0x400A), 0x3020);
        Set32(At(0x400C), 0x2000).Set32(At(0x4010), 12).Set16(At(0x4014), 0xA1D8).Set16(At(0x4016), 0);
    }

    private void Text(uint rva, string text) => Encoding.ASCII.GetBytes(text).CopyTo(Bytes, At(rva));
}
