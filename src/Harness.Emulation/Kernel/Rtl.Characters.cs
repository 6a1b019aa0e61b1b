namespace Harness.Emulation.Kernel;

/// <summary>The C run time's terminated strings, narrow and wide.</summary>
internal static partial class Rtl
{
    private static void DefineCharacters(NtRoutines nt)
    {
        foreach (var wide in (bool[])[false, true])
        {
            var prefix = wide ? "wcs" : "str";
            nt.Add(prefix + "len", p => p.Return((ulong)Z(p, 0, wide).Length));
            nt.Add(prefix + "nlen", p => p.Return((ulong)Z(p, 0, wide, p.Arg(1)).Length));
            nt.Add(prefix + "cmp", p => p.Return(Sign(string.CompareOrdinal(Z(p, 0, wide), Z(p, 1, wide)))));
            nt.Add(prefix + "ncmp", p => p.Return(Sign(string.CompareOrdinal(Z(p, 0, wide, p.Arg(2)), Z(p, 1, wide, p.Arg(2))))));
            nt.Add($"_{prefix}icmp", p => p.Return(Sign(string.CompareOrdinal(Folded(Z(p, 0, wide)), Folded(Z(p, 1, wide))))));
            nt.Add($"_{prefix}nicmp", p => p.Return(Sign(string.CompareOrdinal(Folded(Z(p, 0, wide, p.Arg(2))), Folded(Z(p, 1, wide, p.Arg(2)))))));
            nt.Add(prefix + "cpy", p => Put(p, p.Arg(0), Z(p, 1, wide) + "\0", wide));
            nt.Add(prefix + "ncpy", p => Put(p, p.Arg(0), Z(p, 1, wide, p.Arg(2)).PadRight((int)p.Arg(2), '\0'), wide));
            nt.Add(prefix + "cat", p => Put(p, End(p, wide), Z(p, 1, wide) + "\0", wide));
            nt.Add(prefix + "ncat", p => Put(p, End(p, wide), Z(p, 1, wide, p.Arg(2)) + "\0", wide));
            nt.Add(prefix + "chr", p => p.Return(At(p, wide, wide ? Z(p, 0, wide).IndexOf((char)p.Arg(1)) : Z(p, 0, wide).IndexOf((char)p.Arg8(1)))));
            nt.Add(prefix + "rchr", p => p.Return(At(p, wide, Z(p, 0, wide).LastIndexOf(wide ? (char)p.Arg(1) : (char)p.Arg8(1)))));
            nt.Add(prefix + "str", p => p.Return(At(p, wide, Z(p, 0, wide).IndexOf(Z(p, 1, wide), StringComparison.Ordinal))));
            nt.Add(prefix + "spn", p => p.Return(Span(p, wide, among: true)));
            nt.Add(prefix + "cspn", p => p.Return(Span(p, wide, among: false)));
            // (Destination, Size in characters, Source): 0, EINVAL 22 or ERANGE 34.
            nt.Add(prefix + "cpy_s", p => PutChecked(p, 0, Z(p, 2, wide), wide));
            nt.Add(prefix + "cat_s", p => PutChecked(p, (ulong)Z(p, 0, wide, p.Arg(1)).Length, Z(p, 2, wide), wide));
            // (Destination, Size, Source, Count): Count -1 is _TRUNCATE.
            nt.Add(prefix + "ncpy_s", p => PutChecked(p, 0, Z(p, 2, wide, p.Arg(3)), wide, p.Arg(3)));
            nt.Add(prefix + "ncat_s", p => PutChecked(p, (ulong)Z(p, 0, wide, p.Arg(1)).Length, Z(p, 2, wide, p.Arg(3)), wide, p.Arg(3)));
        }
        nt.Add("_strupr", p => Put(p, p.Arg(0), Z(p, 0, wide: false).ToUpperInvariant() + "\0", wide: false));
        nt.Add("_strlwr", p => Put(p, p.Arg(0), Z(p, 0, wide: false).ToLowerInvariant() + "\0", wide: false));
        nt.Add("_wcsupr", p => Put(p, p.Arg(0), Upcase(Z(p, 0, wide: true)) + "\0", wide: true));
        nt.Add("_wcslwr", p => Put(p, p.Arg(0), Downcase(Z(p, 0, wide: true)) + "\0", wide: true));
        nt.Add("tolower", p => p.Return(p.Arg32(0) is >= 'A' and <= 'Z' ? p.Arg32(0) | 0x20ul : p.Arg32(0)));
        nt.Add("toupper", p => p.Return(p.Arg32(0) is >= 'a' and <= 'z' ? p.Arg32(0) & ~0x20ul : p.Arg32(0)));
        nt.Add("towlower", p => p.Return(char.ToLowerInvariant((char)p.Arg(0))));
        nt.Add("towupper", p => p.Return(char.ToUpperInvariant((char)p.Arg(0))));
        nt.Add("isdigit", p => p.Return(p.Arg32(0) is >= '0' and <= '9'));
        nt.Add("isxdigit", p => p.Return(p.Arg32(0) < 0x80 && char.IsAsciiHexDigit((char)p.Arg32(0))));
        nt.Add("isspace", p => p.Return(p.Arg32(0) is ' ' or >= 9 and <= 13));
        nt.Add("isalpha", p => p.Return(p.Arg32(0) < 0x80 && char.IsAsciiLetter((char)p.Arg32(0))));
        nt.Add("isalnum", p => p.Return(p.Arg32(0) < 0x80 && char.IsAsciiLetterOrDigit((char)p.Arg32(0))));
        nt.Add("isupper", p => p.Return(p.Arg32(0) is >= 'A' and <= 'Z'));
        nt.Add("islower", p => p.Return(p.Arg32(0) is >= 'a' and <= 'z'));
        nt.Add("isprint", p => p.Return(p.Arg32(0) is >= 0x20 and < 0x7F));
        nt.Add("iswdigit", p => p.Return((char)p.Arg(0) is >= '0' and <= '9'));
        nt.Add("iswspace", p => p.Return(char.IsWhiteSpace((char)p.Arg(0))));
        nt.Add("iswalpha", p => p.Return(char.IsLetter((char)p.Arg(0))));
        nt.Add("iswalnum", p => p.Return(char.IsLetterOrDigit((char)p.Arg(0))));
        nt.Add("atoi", p => p.Return((uint)ParseLeading(Z(p, 0, wide: false), 10, out _)));
        nt.Add("atol", p => p.Return((uint)ParseLeading(Z(p, 0, wide: false), 10, out _)));
        nt.Add("_wtoi", p => p.Return((uint)ParseLeading(Z(p, 0, wide: true), 10, out _)));
        nt.Add("_wtol", p => p.Return((uint)ParseLeading(Z(p, 0, wide: true), 10, out _)));
        nt.Add("_atoi64", p => p.Return((ulong)ParseLeading(Z(p, 0, wide: false), 10, out _)));
        nt.Add("strtol", p => ParseTo(p, wide: false, signed: true));
        nt.Add("strtoul", p => ParseTo(p, wide: false, signed: false));
        nt.Add("wcstol", p => ParseTo(p, wide: true, signed: true));
        nt.Add("wcstoul", p => ParseTo(p, wide: true, signed: false));
    }

    private static string Z(Processor p, int argument, bool wide, ulong most = ulong.MaxValue) => DriverMemory.Text(p, p.Arg(argument), wide, most);

    private static ulong End(Processor p, bool wide) => p.Arg(0) + ((ulong)Z(p, 0, wide).Length * (wide ? 2ul : 1));

    private static ulong At(Processor p, bool wide, int index) => index < 0 ? 0 : p.Arg(0) + ((ulong)index * (wide ? 2ul : 1));

    private static ulong Sign(int comparison) => (ulong)(uint)Math.Sign(comparison);

    /// <summary>ASCII letters only: the C locale.</summary>
    private static string Folded(string text) => string.Create(text.Length, text, (span, from) =>
    {
        for (var i = 0; i < span.Length; i++) span[i] = from[i] is >= 'A' and <= 'Z' ? (char)(from[i] | 0x20) : from[i];
    });

    private static ulong Span(Processor p, bool wide, bool among)
    {
        var (text, set) = (Z(p, 0, wide), Z(p, 1, wide));
        var count = 0;
        while (count < text.Length && set.Contains(text[count]) == among) count++;
        return (ulong)count;
    }

    private static Next Put(Processor p, ulong address, string text, bool wide)
    {
        DriverMemory.Write(p, address, DriverMemory.Bytes(text, wide));
        return p.Return(p.Arg(0));
    }

    private static Next PutChecked(Processor p, ulong offset, string text, bool wide, ulong count = 0)
    {
        var room = p.Arg(1) - offset;
        var truncated = (ulong)text.Length >= room && count == ulong.MaxValue && room > 0;
        if (truncated) text = text[..(int)(room - 1)];
        if ((ulong)text.Length >= room)
        {
            DriverMemory.Write(p, p.Arg(0), DriverMemory.Bytes("\0", wide));
            return p.Return(34);
        }
        DriverMemory.Write(p, p.Arg(0) + (offset * (wide ? 2ul : 1)), DriverMemory.Bytes(text + "\0", wide));
        // STRUNCATE.
        return p.Return(truncated ? 80ul : 0);
    }

    /// <summary>The number a text begins with, after blanks, and how many characters it took; base 0 reads 0x and 0.</summary>
    private static long ParseLeading(string text, int radix, out int used)
    {
        var i = 0;
        while (i < text.Length && (text[i] == ' ' || text[i] is >= '\t' and <= '\r')) i++;
        var negative = i < text.Length && text[i] == '-';
        if (i < text.Length && text[i] is '-' or '+') i++;
        if (radix is 0 or 16 && i + 2 < text.Length && text[i] == '0' && (text[i + 1] | 0x20) == 'x' && char.IsAsciiHexDigit(text[i + 2]))
        {
            i += 2;
            radix = 16;
        }
        else if (radix == 0)
        {
            radix = i < text.Length && text[i] == '0' ? 8 : 10;
        }
        var value = 0L;
        used = 0;
        for (; i < text.Length; i++)
        {
            var digit = char.IsAsciiDigit(text[i]) ? text[i] - '0' : char.IsAsciiLetter(text[i]) ? (text[i] | 0x20) - 'a' + 10 : 99;
            if (digit >= radix) break;
            value = unchecked((value * radix) + digit);
            used = i + 1;
        }
        return negative ? -value : value;
    }

    private static Next ParseTo(Processor p, bool wide, bool signed)
    {
        var value = ParseLeading(Z(p, 0, wide), (int)p.Arg32(2), out var used);
        if (p.Arg(1) != 0) DriverMemory.WriteU64(p, p.Arg(1), p.Arg(0) + ((ulong)used * (wide ? 2ul : 1)));
        var clamped = signed ? Math.Clamp(value, int.MinValue, int.MaxValue) : value > uint.MaxValue ? uint.MaxValue : value;
        return p.Return((uint)clamped);
    }
}
