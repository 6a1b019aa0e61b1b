using Harness.Core.Files;
using Harness.Core.Nt;

namespace Harness.Core.Symbols;

/// <summary>
/// Where PDBs are looked for, in the grammar of _NT_SYMBOL_PATH ("Symbol path for Windows debuggers" and "Using SymSrv", Microsoft Learn): elements
/// separated by ';', each a folder, <c>srv*store*store…</c>, <c>symsrv*symsrv.dll*store*store…</c> or <c>cache*folder</c>; a .pdb file by its name
/// too. Whatever fails is a note and never more.
/// </summary>
public sealed class SymbolPath : ISymbols, IDisposable
{
    private const int MostElements = 64, MostNotes = 50;

    private readonly List<SymbolSource> _sources = [];
    private readonly Dictionary<PdbIdentity, PdbFile?> _found = [];
    private readonly List<string> _notes = [];
    private readonly SymbolServer _server;

    private SymbolPath(SymbolServer server) => _server = server;

    /// <summary>Reads a symbol path; nothing is looked for yet.</summary>
    /// <param name="path">The path.</param>
    /// <param name="timeLimit">For one file of a symbol server; null: a minute.</param>
    public static SymbolPath Parse(string path, TimeSpan? timeLimit = null)
    {
        var parsed = new SymbolPath(new SymbolServer(timeLimit ?? TimeSpan.FromMinutes(1)));
        string? cache = null;
        foreach (var element in path.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Take(MostElements))
        {
            var parts = element.Split('*');
            switch (parts[0].ToUpperInvariant())
            {
                case "SRV":
                    parsed.AddServer(element, parts[1..], cache);
                    break;
                case "SYMSRV":
                    parsed.AddServer(element, parts[Math.Min(2, parts.Length)..], cache);
                    break;
                case "CACHE":
                    // Of everything to the right of it.
                    if (parts.Length > 1 && parts[1].Length > 0) parsed._sources.Add(new SymbolSource([cache = parts[1]], null));
                    else parsed.Note($"'{element}' names no folder, and there is none by default");
                    break;
                default:
                    if (parts.Length > 1) parsed.Note($"'{element}' is no element of a symbol path that is known");
                    else if (IsUrl(element)) parsed.AddServer(element, [element], cache);
                    else if (element.Contains("://", StringComparison.Ordinal)) parsed.Note($"'{element}' is a server of a kind that is not known; http and https are");
                    else if (!Directory.Exists(element) && !File.Exists(element)) parsed.Note($"there is no folder or file '{element}'");
                    else parsed._sources.Add(new SymbolSource([element], null));
                    break;
            }
        }

        return parsed;
    }

    /// <summary>What could not be used and why, each sentence once.</summary>
    public IReadOnlyList<string> Notes => [.. _notes, .. _found.SelectMany(pdb => pdb.Value?.Damage.Select(damage => $"symbols: {pdb.Key} {damage}, so that names or layouts are missing") ?? [])];

    /// <summary>The PDBs that were found and are of the image they were looked for, in that order.</summary>
    public IEnumerable<PdbIdentity> Used => _found.Where(pair => pair.Value is not null).Select(pair => pair.Key);

    /// <summary>The PDB with this identity; null when no place of the path has it. It is looked for once, and the path owns it.</summary>
    /// <param name="name">"ntkrnlmp.pdb"; of a path, the file's name.</param>
    /// <param name="guid">The image's.</param>
    /// <param name="age">The image's.</param>
    public PdbFile? Find(string name, Guid guid, uint age)
    {
        var pdb = new PdbIdentity(PdbIdentity.FileName(name), guid, age);
        if (_found.TryGetValue(pdb, out var known)) return known;
        return _found[pdb] = pdb.Name.Length == 0 ? null : _sources.Select(source => Look(source, pdb)).FirstOrDefault(file => file is not null);
    }

    IImageSymbols? ISymbols.Find(PdbIdentity pdb) => Find(pdb.Name, pdb.Guid, pdb.Age);

    public void Dispose()
    {
        foreach (var file in _found.Values) file?.Dispose();
        _server.Dispose();
    }

    private void AddServer(string element, string[] stores, string? cache)
    {
        // An empty store is a default one, which debuggers have and we have not.
        var folders = stores.Where(store => store.Length > 0 && !IsUrl(store)).ToList();
        var url = stores.LastOrDefault(IsUrl);
        if (folders.Count == 0 && url is null)
        {
            Note($"'{element}' names no store, and there is none by default");
            return;
        }

        if (folders.Count == 0 && cache is not null) folders.Add(cache);
        _sources.Add(new SymbolSource(folders, url));
    }

    private static bool IsUrl(string store) => store.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || store.StartsWith("https://", StringComparison.OrdinalIgnoreCase);

    private PdbFile? Look(SymbolSource source, PdbIdentity pdb)
    {
        foreach (var path in source.Places(pdb))
            if (RegularFile.Exists(path) && Open(path, pdb) is { } file) return file;
        foreach (var packed in source.PackedPlaces(pdb))
            if (File.Exists(packed)) Note($"{packed} is not read: unpack it (expand.exe), or store the PDB as it is");
        if (source.Url is null) return null;
        var fetched = _server.Fetch(source, pdb, out var complaint);
        if (complaint is not null) Note(complaint);
        return fetched is null ? null : Tried($"{pdb} of {source.Url}", pdb, () => PdbFile.Read(fetched));
    }

    private PdbFile? Open(string path, PdbIdentity pdb) => Tried(path, pdb, () => PdbFile.Open(path));

    private PdbFile? Tried(string where, PdbIdentity pdb, Func<PdbFile> open)
    {
        try
        {
            var file = open();
            if (file.IsOf(pdb)) return file;
            var other = OfAnotherBuild(file, pdb);
            file.Dispose();
            // A PDB that was named by itself is asked about every image; only its namesake's is a mistake.
            return string.Equals(Path.GetFileName(where), pdb.Name, StringComparison.OrdinalIgnoreCase) || !File.Exists(where)
                ? Noted($"{where} {other}") : null;
        }
        catch (UnusablePdbException e)
        {
            return Noted($"{where} {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return Noted($"{where} cannot be read: {OneLine(e.Message)}");
        }
    }

    private PdbFile? Noted(string? note)
    {
        if (note is not null) Note(note);
        return null;
    }

    private void Note(string note)
    {
        if (_notes.Count < MostNotes && !_notes.Contains("symbols: " + note)) _notes.Add("symbols: " + note);
    }

    internal static string OfAnotherBuild(PdbFile file, PdbIdentity wanted) =>
        $"is of another build and was not used: it is {new PdbIdentity(wanted.Name, file.Guid, file.Age).Key}, the image wants {wanted.Key}";

    internal static string OneLine(string text) => text.ReplaceLineEndings(" ").Trim();
}
