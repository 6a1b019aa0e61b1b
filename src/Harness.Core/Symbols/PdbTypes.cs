using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Symbols;

/// <summary>
/// The structures of a PDB's type stream (TPI; LLVM, "The PDB TPI and IPI Streams" and "CodeView Type Records"). Damage makes fields unknown, never
/// wrong: what cannot be read is not there.
/// </summary>
internal sealed class PdbTypes
{
    private const int HeaderSize = 56;
    private const ushort Modifier = 0x1001, FieldList = 0x1203, BitFieldLeaf = 0x1205, Class = 0x1504, Structure = 0x1505, Union = 0x1506;
    private const ushort BaseClass = 0x1400, VirtualBase = 0x1401, IndirectVirtualBase = 0x1402, Index = 0x1404, VirtualTable = 0x1409;
    private const ushort Enumerate = 0x1502, Member = 0x150D, StaticMember = 0x150E, Method = 0x150F, NestedType = 0x1510, OneMethod = 0x1511;

    /// <summary>Property of a structure that is only announced.</summary>
    private const ushort ForwardReference = 0x80;

    /// <summary>No structure is nested deeper, and no field list is longer.</summary>
    private const int MostSteps = 64;

    private readonly byte[] _bytes;
    private readonly uint _first;

    /// <summary>Where each record begins, by its index from the first on.</summary>
    private readonly int[] _records;
    private readonly Dictionary<string, int> _structures = new(StringComparer.Ordinal);

    public PdbTypes(byte[] stream)
    {
        _bytes = stream;
        _records = [];
        if (stream.Length < HeaderSize) return;
        var header = Word(4);
        _first = Word(8);
        if (header < HeaderSize || header > (uint)stream.Length) return;

        var records = new List<int>();
        foreach (var (at, kind, _) in SymbolRecords.In(stream, (int)header, stream.Length))
        {
            records.Add(at);
            if (kind is Class or Structure or Union && Read(at) is { IsForward: false } found) _structures.TryAdd(found.Name, at);
        }

        _records = [.. records];
    }

    public uint? SizeOf(string structure) => _structures.TryGetValue(structure, out var at) ? Read(at)?.Size : null;

    public BitField? Field(string structure, string path)
    {
        if (!_structures.TryGetValue(structure, out var at)) return null;
        var offset = 0u;
        var names = path.Split('.');
        for (var depth = 0; depth < Math.Min(names.Length, MostSteps); depth++)
        {
            if (Read(at) is not { } of || Find(of.Fields, names[depth]) is not { } member) return null;
            offset = unchecked(offset + member.Offset);
            if (depth == names.Length - 1) return Bits(member.Type) is var (bit, length) ? new BitField(offset, bit, length) : new BitField(offset, 0, 0);
            if (StructureOf(member.Type) is not { } next) return null;
            at = next;
        }

        return null;
    }

    private (int Bit, int Length)? Bits(uint type) =>
        Record(type) is { } at && Kind(at) == BitFieldLeaf && Has(at, 10) ? (_bytes[at + 9], _bytes[at + 8]) : null;

    /// <summary>The definition: behind modifiers, and by its name where it is only announced here.</summary>
    private int? StructureOf(uint type)
    {
        for (var i = 0; i < MostSteps && Record(type) is { } at; i++)
        {
            if (Kind(at) == Modifier && Has(at, 8)) type = Word(at + 4);
            else return Read(at) is not { } found ? null : !found.IsForward ? at : _structures.TryGetValue(found.Name, out var whole) ? whole : null;
        }

        return null;
    }

    private (uint Fields, uint Size, string Name, bool IsForward)? Read(int at)
    {
        var union = Kind(at) == Union;
        if (!union && Kind(at) is not (Class or Structure)) return null;
        var size = at + (union ? 12 : 20);
        if (!Has(at, size - at + 2)) return null;
        var name = size;
        if (Number(ref name, End(at)) is not { } bytes) return null;
        var forward = (Half(at + 6) & ForwardReference) != 0;
        return (Word(at + 8), bytes, SymbolRecords.Text(SymbolRecords.Name(_bytes, at, name - at)), forward);
    }

    private (uint Type, uint Offset)? Find(uint fields, string name)
    {
        // A long list goes on in another one.
        for (var i = 0; i < MostSteps && Record(fields) is { } at && Kind(at) == FieldList; i++)
        {
            fields = 0;
            if (Find(at, name, ref fields) is { } found) return found;
        }

        return null;
    }

    private (uint Type, uint Offset)? Find(int list, string name, ref uint next)
    {
        var (at, end) = (list + 4, End(list));
        while (at + 2 <= end)
        {
            // LF_PAD: so many bytes to the next multiple of four.
            if (_bytes[at] >= 0xF0)
            {
                at += Math.Max(1, _bytes[at] & 0xF);
                continue;
            }

            var leaf = Half(at);
            var type = at + 8 <= end ? Word(at + 4) : 0;
            var attributes = at + 4 <= end ? Half(at + 2) : 0;
            switch (leaf)
            {
                case Member:
                    at += 8;
                    if (Number(ref at, end) is not { } offset || Text(ref at, end) is not { } member) return null;
                    if (member == name) return (type, offset);
                    break;
                case Index:
                    next = type;
                    return null;
                case BaseClass:
                    at += 8;
                    if (Number(ref at, end) is null) return null;
                    break;
                case VirtualBase or IndirectVirtualBase:
                    at += 12;
                    if (Number(ref at, end) is null || Number(ref at, end) is null) return null;
                    break;
                case VirtualTable:
                    at += 8;
                    break;
                case Enumerate:
                    at += 4;
                    if (Number(ref at, end) is null || Text(ref at, end) is null) return null;
                    break;
                case OneMethod:
                    // Where it is introduced, its place in the table follows.
                    at += 8 + (((attributes >> 2) & 7) is 4 or 6 ? 4 : 0);
                    if (Text(ref at, end) is null) return null;
                    break;
                case StaticMember or Method or NestedType:
                    at += 8;
                    if (Text(ref at, end) is null) return null;
                    break;
                default:
                    return null;
            }
        }

        return null;
    }

    /// <summary>A number below 0x8000, or a leaf that says how many bytes it has.</summary>
    private uint? Number(ref int at, int end)
    {
        if (at + 2 > end) return null;
        var leaf = Half(at);
        at += 2;
        if (leaf < 0x8000) return leaf;
        var length = leaf switch { 0x8000 => 1, 0x8001 or 0x8002 => 2, 0x8003 or 0x8004 => 4, 0x8009 or 0x800A => 8, _ => 0 };
        if (length == 0 || at + length > end) return null;
        var value = length switch { 1 => _bytes[at], 2 => Half(at), _ => Word(at) };
        at += length;
        return value;
    }

    private string? Text(ref int at, int end)
    {
        if (at >= end) return null;
        var length = _bytes.AsSpan(at, end - at).IndexOf((byte)0);
        if (length < 0) return null;
        var text = SymbolRecords.Text(_bytes.AsSpan(at, length));
        at += length + 1;
        return text;
    }

    private int? Record(uint type) => type >= _first && type - _first < (uint)_records.Length ? _records[type - _first] : null;

    private ushort Kind(int at) => Half(at + 2);

    private int End(int at) => at + 2 + Half(at);

    private bool Has(int at, int bytes) => at + bytes <= End(at);

    private ushort Half(int at) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(at));

    private uint Word(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(at));
}
