using System.Text.Json;

namespace Harness.Core.Nt;

/// <summary>
/// Names and addresses in one kernel image, relative to its base: those that its own PDB gave to nt-offsets.json. Of another kernel of the same
/// build they would be wrong, so the PDB's identity must be equal.
/// </summary>
public sealed class NtSymbols
{
    private readonly Dictionary<string, uint> _addresses = [];
    private readonly Dictionary<uint, string> _names = [];

    private NtSymbols()
    {
    }

    /// <summary>A symbol's address; null when it is not known.</summary>
    public uint? this[string name] => _addresses.TryGetValue(name, out var rva) ? rva : null;

    /// <summary>The symbol at exactly this address; null when none is known.</summary>
    public string? At(uint rva) => _names.GetValueOrDefault(rva);

    /// <summary>The symbols that belong to a PDB; none for a PDB that the table doesn't have.</summary>
    /// <param name="pdb">GUID and age as symbol servers spell them.</param>
    public static NtSymbols OfPdb(string pdb)
    {
        var symbols = new NtSymbols();
        if (pdb.Length == 0) return symbols;
        using var stream = typeof(NtSymbols).Assembly.GetManifestResourceStream("nt-offsets.json")!;
        using var json = JsonDocument.Parse(stream);
        foreach (var build in json.RootElement.GetProperty("symbols_rva").EnumerateObject())
        {
            if (!string.Equals(build.Value.GetProperty("pdb_guid_age").GetString(), pdb, StringComparison.OrdinalIgnoreCase)) continue;
            foreach (var symbol in build.Value.GetProperty("rva").EnumerateObject())
            {
                symbols._addresses[symbol.Name] = symbol.Value.GetUInt32();
                symbols._names[symbol.Value.GetUInt32()] = symbol.Name;
            }
        }

        return symbols;
    }
}
