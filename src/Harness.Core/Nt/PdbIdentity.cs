using System.Globalization;

namespace Harness.Core.Nt;

/// <summary>Which PDB an image was linked with: the CodeView record (RSDS) of its debug directory ("PE Format", Microsoft Learn).</summary>
/// <param name="Name">The file's name without its folders: "ntkrnlmp.pdb"; "" when the record's name cannot be read or is none.</param>
/// <param name="Guid">Equal in the image and in the PDB.</param>
/// <param name="Age">Counts the PDB's writings; equal in the image and in the PDB's debug information.</param>
public readonly record struct PdbIdentity(string Name, Guid Guid, uint Age)
{
    /// <summary>As symbol servers spell it: the GUID's 32 digits and the age, "89284D0CA6ACC8274B9A44BD5AF9290B1".</summary>
    public string Key => Guid.ToString("N").ToUpperInvariant() + Age.ToString("X", CultureInfo.InvariantCulture);

    /// <summary>"ntkrnlmp.pdb 89284D0CA6ACC8274B9A44BD5AF9290B1".</summary>
    public override string ToString() => Name + " " + Key;

    /// <summary>
    /// A path's last component, if that can be a file's name on any system. Linkers write the path of the machine that built the image, and a dump
    /// may hold anything: separators, drives, "..", characters and names that Windows keeps for devices, a dot or a space at the end, which Windows drops, and what is no
    /// ASCII text make it "" ("Naming Files, Paths, and Namespaces", Microsoft Learn).
    /// </summary>
    public static string FileName(string path)
    {
        var name = path[(path.AsSpan().LastIndexOfAny('/', '\\') + 1)..];
        return name.Length is 0 or > LongestName || name.StartsWith('.') || name[^1] is '.' or ' ' || IsDevice(name) || !name.All(IsHarmless) ? "" : name;
    }

    /// <summary>Whatever follows a dot: "nul.pdb" is NUL.</summary>
    private static bool IsDevice(string name)
    {
        var stem = name[..(name.IndexOf('.', StringComparison.Ordinal) is var dot and >= 0 ? dot : name.Length)].TrimEnd().ToUpperInvariant();
        return stem is "CON" or "PRN" or "AUX" or "NUL" or ['C', 'O', 'M', >= '0' and <= '9'] or ['L', 'P', 'T', >= '0' and <= '9'];
    }

    private const int LongestName = 128;

    private static bool IsHarmless(char c) => c is >= ' ' and <= '~' and not ('"' or '*' or ':' or '<' or '>' or '?' or '|' or '%');
}
