using System.Globalization;
using System.Text;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>What the headers of an image in kernel memory tell: its own name, its exports by name, which PDB belongs to it.</summary>
internal sealed class KernelImage
{
    private const int MostNames = 0x10000;
    private const uint ExportDirectory = 0, DebugDirectory = 6;
    private const uint CodeView = 2, Rsds = 0x53445352;

    private readonly KernelMemoryReader _memory;
    private readonly uint _size;
    private readonly uint _directories;

    private KernelImage(KernelMemoryReader memory, KernelAddress at, uint size, uint directories)
    {
        (_memory, Base, _size, _directories) = (memory, at, size, directories);
        Name = Directory(ExportDirectory) is { } exports && memory.UInt32(at + exports + 0x0C) is { } name && name < size ? memory.AsciiString(at + name, 64) : null;
        Pdb = ReadPdb();
    }

    public KernelAddress Base { get; }

    /// <summary>The name in the export directory: "ntoskrnl.exe" whatever the file is called.</summary>
    public string? Name { get; }

    /// <summary>GUID and age of the PDB, as symbol servers spell them; null when the image doesn't tell.</summary>
    public string? Pdb { get; }

    /// <summary>The image at this address; null when there is none of x64.</summary>
    public static KernelImage? At(KernelMemoryReader memory, KernelAddress at)
    {
        if (memory.UInt16(at) is not 0x5A4D || memory.UInt32(at + 0x3C) is not { } pe || pe > 0x1000) return null;
        if (memory.UInt32(at + pe) is not 0x4550 || memory.UInt16(at + pe + 4) is not 0x8664 || memory.UInt16(at + pe + 0x18) is not 0x20B) return null;
        return memory.UInt32(at + pe + 0x50) is { } size and > 0 and < 0x4000_0000 && memory.UInt32(at + pe + 0x84) is >= 7 ? new KernelImage(memory, at, size, pe + 0x88) : null;
    }

    /// <summary>Where an export is; null when it isn't there or its table is not in memory.</summary>
    public KernelAddress? Export(string name)
    {
        if (Directory(ExportDirectory) is not { } exports || _memory.UInt32(Base + exports + 0x14) is not { } functions || _memory.UInt32(Base + exports + 0x18) is not { } names
            || _memory.UInt32(Base + exports + 0x1C) is not { } functionTable || _memory.UInt32(Base + exports + 0x20) is not { } nameTable || _memory.UInt32(Base + exports + 0x24) is not { } ordinals)
            return null;
        // The names are sorted as bytes.
        int low = 0, high = (int)Math.Min(names, MostNames) - 1;
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (_memory.UInt32(Base + nameTable + ((ulong)middle * 4)) is not { } at || at >= _size || _memory.AsciiString(Base + at, 128) is not { } here) return null;
            var order = string.CompareOrdinal(here, name);
            if (order == 0)
                return _memory.UInt16(Base + ordinals + ((ulong)middle * 2)) is { } ordinal && ordinal < functions
                    && _memory.UInt32(Base + functionTable + ((ulong)ordinal * 4)) is { } rva && rva != 0 && rva < _size ? Base + rva : null;
            if (order < 0) low = middle + 1;
            else high = middle - 1;
        }

        return null;
    }

    private uint? Directory(uint index) => _memory.UInt32(Base + _directories + (index * 8)) is { } rva && rva != 0 && rva < _size ? rva : null;

    private string? ReadPdb()
    {
        if (Directory(DebugDirectory) is not { } debug || _memory.UInt32(Base + _directories + (DebugDirectory * 8) + 4) is not { } size) return null;
        for (uint i = 0; i < Math.Min(size / 28, 16); i++)
        {
            var entry = Base + debug + (i * 28);
            if (_memory.UInt32(entry + 12) is not CodeView || _memory.UInt32(entry + 20) is not { } rva || rva == 0 || rva >= _size) continue;
            Span<byte> record = stackalloc byte[24];
            if (_memory.UInt32(Base + rva) is not Rsds || !_memory.TryRead(Base + rva, record)) continue;
            return new StringBuilder(new Guid(record[4..20]).ToString("N").ToUpperInvariant())
                .Append(System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(record[20..]).ToString("X", CultureInfo.InvariantCulture)).ToString();
        }

        return null;
    }
}
