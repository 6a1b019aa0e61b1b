namespace Harness.Core.Symbols;

/// <summary>Names as C and C++ programmers wrote them, of what the compiler made of them.</summary>
internal static class Decoration
{
    /// <summary>
    /// "Device::Read" of "?Read@Device@@QEAAJXZ". What is more than a name and its scopes (operators, templates, scopes without a name) stays
    /// decorated: half a name would be a wrong one. C names of x64 are plain.
    /// </summary>
    public static string Undo(string name)
    {
        if (name is not ['?', not '?' and not '$', ..] || name.IndexOf("@@", StringComparison.Ordinal) is not (> 1 and var end)) return name;
        var parts = name[1..end].Split('@');
        if (parts.Any(part => part.Length == 0 || part[0] is '?' or '$' || char.IsAsciiDigit(part[0]))) return name;
        Array.Reverse(parts);
        return string.Join("::", parts);
    }
}
