using System.Buffers.Binary;

namespace Harness.Core.Symbols;

/// <summary>
/// Procedures of a PDB's modules (object files), static ones too: what a driver's own build has and a stripped PDB hasn't. A module's records are read
/// when an address lies in what it contributed to the image (LLVM, "The PDB DBI Stream" and "The Module Information Stream").
/// </summary>
internal sealed class PdbProcedures(MsfFile file, byte[] modules, byte[] contributions, PdbSections sections)
{
    private const uint Version60 = 0xF12EBA2D, Version2 = 0xF13151E4;
    private const int ModuleHeader = 64, MostModules = 0x10000;
    private const ushort LocalProcedure = 0x110F, GlobalProcedure = 0x1110, LocalProcedureId = 0x1146, GlobalProcedureId = 0x1147;
    private const int NameAt = 39;

    private readonly Dictionary<int, byte[]> _records = [];
    private List<(ushort Stream, uint Size)>? _modules;

    /// <summary>The procedure that holds the address; null when no module says so.</summary>
    /// <exception cref="UnusablePdbException">A module's blocks lie outside of the file.</exception>
    public (uint Rva, string Name)? Holding(uint rva)
    {
        if (sections.Place(rva) is not var (section, offset) || Contributor(section, offset) is not { } module) return null;
        var records = Records(module);
        foreach (var (at, kind, next) in SymbolRecords.In(records, 4, records.Length))
        {
            if (kind is not (LocalProcedure or GlobalProcedure or LocalProcedureId or GlobalProcedureId) || at + NameAt > next) continue;
            var begin = BinaryPrimitives.ReadUInt32LittleEndian(records.AsSpan(at + 32));
            if (BinaryPrimitives.ReadUInt16LittleEndian(records.AsSpan(at + 36)) != section || offset < begin || offset - begin >= BinaryPrimitives.ReadUInt32LittleEndian(records.AsSpan(at + 16))) continue;
            if (SymbolRecords.Text(SymbolRecords.Name(records, at, NameAt)) is { Length: > 0 } name) return (rva - (offset - begin), name);
        }

        return null;
    }

    private int? Contributor(ushort section, uint offset)
    {
        if (contributions.Length < 4) return null;
        var size = BinaryPrimitives.ReadUInt32LittleEndian(contributions) switch { Version60 => 28, Version2 => 32, _ => 0 };
        if (size == 0) return null;
        for (var at = 4; at + size <= contributions.Length; at += size)
        {
            var entry = contributions.AsSpan(at);
            if (BinaryPrimitives.ReadUInt16LittleEndian(entry) != section) continue;
            var begin = BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
            if (offset >= begin && offset - begin < BinaryPrimitives.ReadUInt32LittleEndian(entry[8..])) return BinaryPrimitives.ReadUInt16LittleEndian(entry[16..]);
        }

        return null;
    }

    private byte[] Records(int module)
    {
        if (_records.TryGetValue(module, out var records)) return records;
        var all = _modules ??= ReadModules();
        return _records[module] = module < all.Count ? file.Read(all[module].Stream, 0, all[module].Size) : [];
    }

    private List<(ushort, uint)> ReadModules()
    {
        var found = new List<(ushort, uint)>();
        for (var at = 0; at + ModuleHeader <= modules.Length && found.Count < MostModules;)
        {
            found.Add((BinaryPrimitives.ReadUInt16LittleEndian(modules.AsSpan(at + 34)), BinaryPrimitives.ReadUInt32LittleEndian(modules.AsSpan(at + 36))));
            // The names of the module and of its object file follow.
            at += ModuleHeader;
            for (var name = 0; name < 2; name++)
            {
                var length = modules.AsSpan(at).IndexOf((byte)0);
                if (length < 0) return found;
                at += length + 1;
            }

            at = (at + 3) & ~3;
            if (at > modules.Length) break;
        }

        return found;
    }
}
