using Harness.Core.Nt;

namespace Harness.Core.Symbols;

/// <summary>One element of a symbol path: folders (or a .pdb file), and the server that fills the first of them.</summary>
/// <param name="Folders">In the order in which they are asked.</param>
/// <param name="Url">"https://msdl.microsoft.com/download/symbols"; null: nothing is fetched.</param>
internal sealed record SymbolSource(IReadOnlyList<string> Folders, string? Url)
{
    private const string TwoTiers = "index2.txt";

    /// <summary>Where a fetched file is kept; null: it is not.</summary>
    public string? Cache => Folders.Count > 0 ? Folders[0] : null;

    /// <summary>
    /// The files that may be the PDB: in the layout of symbol servers, of one tier or two (the first two letters of the name first, where the store
    /// has an index2.txt), or beside other files as a linker leaves it.
    /// </summary>
    public IEnumerable<string> Places(PdbIdentity pdb)
    {
        foreach (var folder in Folders)
        {
            if (IsPdb(folder))
            {
                yield return folder;
                continue;
            }

            yield return Path.Combine(Stored(folder, pdb), pdb.Name);
            yield return Path.Combine(folder, pdb.Name);
            yield return Path.Combine(folder, "symbols", "pdb", pdb.Name);
        }
    }

    /// <summary>What stores have in a PDB's place when they keep it elsewhere or packed.</summary>
    public IEnumerable<string> PackedPlaces(PdbIdentity pdb) => Folders.Where(folder => !IsPdb(folder))
        .SelectMany(folder => (string[])[Path.Combine(Stored(folder, pdb), pdb.Name[..^1] + "_"), Path.Combine(Stored(folder, pdb), "file.ptr")]);

    /// <summary>The folder of one file in a store.</summary>
    public static string Stored(string store, PdbIdentity pdb) => File.Exists(Path.Combine(store, TwoTiers)) && pdb.Name.Length > 1
        ? Path.Combine(store, pdb.Name[..2], pdb.Name, pdb.Key) : Path.Combine(store, pdb.Name, pdb.Key);

    private static bool IsPdb(string path) => path.EndsWith(".pdb", StringComparison.OrdinalIgnoreCase) && !Directory.Exists(path);
}
