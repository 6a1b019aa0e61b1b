using System.Buffers.Binary;
using System.Text;

namespace Harness.Core.Symbols;

/// <summary>The public symbols of a PDB (S_PUB32): what Microsoft's symbol server has of every image, and /PDBSTRIPPED leaves of a driver.</summary>
internal sealed class PublicSymbols
{
    private const ushort Pub32 = 0x110E;
    private const int NameAt = 14;

    /// <summary>In the record's flags: it is a function.</summary>
    private const uint Function = 2;

    private readonly byte[] _records;

    /// <summary>Address in the upper half, place of the record in the lower, sorted: several names of one address keep the records' order.</summary>
    private readonly ulong[] _sorted;

    /// <exception cref="UnusablePdbException">The records are torn.</exception>
    public PublicSymbols(byte[] records, PdbSections sections)
    {
        _records = records;
        var found = new List<ulong>(records.Length / 48);
        foreach (var (at, kind, _) in SymbolRecords.In(records, 0, records.Length))
        {
            if (kind != Pub32 || at + NameAt > records.Length) continue;
            var rva = sections.Rva(BinaryPrimitives.ReadUInt16LittleEndian(records.AsSpan(at + 12)), BinaryPrimitives.ReadUInt32LittleEndian(records.AsSpan(at + 8)));
            if (rva is { } place) found.Add(((ulong)place << 32) | (uint)at);
        }

        found.Sort();
        _sorted = [.. found];
    }

    public int Count => _sorted.Length;

    /// <summary>The nearest symbol at or below; of several at one address a function first, then the first in the file.</summary>
    public (uint Rva, string Name)? AtOrBelow(uint rva)
    {
        int low = 0, high = _sorted.Length;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if ((uint)(_sorted[middle] >> 32) <= rva) low = middle + 1;
            else high = middle;
        }

        if (low == 0) return null;
        var address = (uint)(_sorted[low - 1] >> 32);
        var best = low - 1;
        for (var i = low - 1; i >= 0 && (uint)(_sorted[i] >> 32) == address; i--)
            if (IsFunction(i) || !IsFunction(best)) best = i;
        return (address, Decoration.Undo(Name(best)));
    }

    /// <summary>By its name as the linker had it.</summary>
    public uint? AddressOf(string name)
    {
        var wanted = Encoding.UTF8.GetBytes(name);
        foreach (var symbol in _sorted)
            if (NameBytes((int)(uint)symbol).SequenceEqual(wanted)) return (uint)(symbol >> 32);
        return null;
    }

    private bool IsFunction(int index) => (BinaryPrimitives.ReadUInt32LittleEndian(_records.AsSpan((int)(uint)_sorted[index] + 4)) & Function) != 0;

    private string Name(int index) => SymbolRecords.Text(NameBytes((int)(uint)_sorted[index]));

    private ReadOnlySpan<byte> NameBytes(int record) => SymbolRecords.Name(_records, record, NameAt);
}
