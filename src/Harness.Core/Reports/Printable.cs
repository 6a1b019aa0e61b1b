using System.Globalization;
using System.Text;

namespace Harness.Core.Reports;

/// <summary>
/// Text that a terminal, XML 1.0 and HTML can all carry. What a driver prints may hold anything, an escape sequence for the terminal too:
/// control characters become "\x1b", lone surrogates and non-characters "\ufffe".
/// </summary>
public static class Printable
{
    /// <summary>The text, on as many lines as it has.</summary>
    public static string Of(string text)
    {
        if (text.AsSpan().IndexOfAnyExceptInRange(' ', '~') < 0) return text;
        var clean = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            // EnumerateRunes gives U+FFFD for a lone surrogate, which is printable.
            if (rune.Value is '\n' or '\t') clean.Append((char)rune.Value);
            else if (Rune.IsControl(rune)) clean.Append(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}");
            else if ((rune.Value & 0xFFFE) == 0xFFFE || IsDirection(rune)) clean.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}");
            else clean.Append(rune.ToString());
        }

        return clean.ToString();
    }

    /// <summary>The same on one line.</summary>
    public static string Line(string text) => Of(text).ReplaceLineEndings(" ").Replace('\t', ' ').TrimEnd();

    // Bidirectional overrides would let a name read as another one.
    private static bool IsDirection(Rune rune) => rune.Value is (>= 0x202A and <= 0x202E) or (>= 0x2066 and <= 0x2069);
}
