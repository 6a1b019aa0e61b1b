using System.Globalization;
using System.Text;

namespace Harness.Emulation.Kernel;

/// <summary>
/// printf as the kernel's C run time has it (learn.microsoft.com, "Format specification syntax"), with %Z and %wZ for counted strings.
/// Arguments of a variable list are quadwords in memory: the caller's homes, or what a va_list points to.
/// </summary>
internal static class FormattedText
{
    /// <summary>Formats.</summary>
    /// <param name="p">The processor.</param>
    /// <param name="format">The format's own characters.</param>
    /// <param name="arguments">Address of the first argument.</param>
    /// <param name="wide">The format is of wide characters, so %s and %c are too.</param>
    /// <param name="toDebugger">DbgPrint and its like, which take wide characters at PASSIVE_LEVEL only.</param>
    public static string Of(Processor p, string format, ulong arguments, bool wide, bool toDebugger = false)
    {
        var text = new StringBuilder();
        var next = arguments;
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                text.Append(format[i]);
                continue;
            }
            var conversion = Conversion.Parse(p, format, ref i, ref next);
            if (toDebugger && conversion.IsUnicode(wide)) Contracts.RequirePassiveFor(p, conversion.ToString());
            text.Append(conversion.Letter switch
            {
                '\0' => "",
                '%' => "%",
                'n' => throw new UnmodelledException("nt!" + p.RoutineName, "%n in a format"),
                _ => conversion.Apply(p, DriverMemory.ReadU64(p, Advance(ref next)), wide),
            });
        }
        return text.ToString();
    }

    private static ulong Advance(ref ulong next)
    {
        var at = next;
        next += 8;
        return at;
    }

    private struct Conversion
    {
        private bool _left, _sign, _space, _zero, _alternate;
        private int _width, _precision;
        private string _size;

        public char Letter { get; private set; }

        public static Conversion Parse(Processor p, string format, ref int i, ref ulong next)
        {
            var c = new Conversion { _precision = -1, _size = "" };
            for (i++; i < format.Length; i++)
            {
                if (format[i] == '-') c._left = true;
                else if (format[i] == '+') c._sign = true;
                else if (format[i] == ' ') c._space = true;
                else if (format[i] == '0') c._zero = true;
                else if (format[i] == '#') c._alternate = true;
                else break;
            }
            c._width = Number(p, format, ref i, ref next);
            if (c._width < 0)
            {
                c._left = true;
                c._width = -c._width;
            }
            if (i < format.Length && format[i] == '.')
            {
                i++;
                c._precision = Number(p, format, ref i, ref next);
            }
            foreach (var size in (string[])["I64", "I32", "ll", "hh", "l", "h", "w", "I", "L", "z", "j", "t"])
            {
                if (string.CompareOrdinal(format, i, size, 0, size.Length) != 0) continue;
                c._size = size;
                i += size.Length;
                break;
            }
            if (i < format.Length) c.Letter = format[i];
            return c;
        }

        private static int Number(Processor p, string format, ref int i, ref ulong next)
        {
            if (i < format.Length && format[i] == '*')
            {
                i++;
                return (int)DriverMemory.ReadU32(p, Advance(ref next));
            }
            var value = 0;
            for (; i < format.Length && char.IsAsciiDigit(format[i]); i++) value = (value * 10) + format[i] - '0';
            return value;
        }

        public readonly string Apply(Processor p, ulong value, bool wide) => Letter switch
        {
            'd' or 'i' => Signed(value),
            'u' => Integer(Narrow(value).ToString(CultureInfo.InvariantCulture), ""),
            'x' => Integer(Narrow(value).ToString("x", CultureInfo.InvariantCulture), _alternate && Narrow(value) != 0 ? "0x" : ""),
            'X' => Integer(Narrow(value).ToString("X", CultureInfo.InvariantCulture), _alternate && Narrow(value) != 0 ? "0X" : ""),
            'o' => Integer(Convert.ToString((long)Narrow(value), 8), _alternate ? "0" : ""),
            'p' => Pad(value.ToString("X16", CultureInfo.InvariantCulture)),
            'c' => Pad(((char)(IsWide(wide) ? (ushort)value : (byte)value)).ToString()),
            'C' => Pad(((char)(IsWide(!wide) ? (ushort)value : (byte)value)).ToString()),
            's' => Text(p, value, IsWide(wide)),
            'S' => Text(p, value, IsWide(!wide)),
            'Z' => Counted(p, value, IsWide(otherwise: false)),
            'f' or 'F' or 'e' or 'E' or 'g' or 'G' => Floating(BitConverter.UInt64BitsToDouble(value)),
            _ => throw new UnmodelledException("nt!" + p.RoutineName, "the format " + ToString()),
        };

        /// <summary>Converts wide characters to narrow ones.</summary>
        public readonly bool IsUnicode(bool wide) => Letter switch
        {
            'c' or 's' => IsWide(wide),
            'C' or 'S' => IsWide(!wide),
            'Z' => IsWide(otherwise: false),
            _ => false,
        };

        public override readonly string ToString() => $"%{_size}{Letter}";

        private readonly bool IsWide(bool otherwise) => _size switch
        {
            "w" or "l" => true,
            "h" => false,
            _ => otherwise,
        };

        private readonly string Text(Processor p, ulong address, bool wide)
        {
            var most = _precision < 0 ? ulong.MaxValue : (ulong)_precision;
            return Pad(address == 0 ? Cut("(null)") : DriverMemory.Text(p, address, wide, most));
        }

        private readonly string Counted(Processor p, ulong address, bool wide) =>
            Pad(Cut(address == 0 || DriverMemory.ReadU64(p, address + 8) == 0 ? "(null)" : DriverMemory.Counted(p, address, wide)));

        private readonly string Cut(string text) => _precision >= 0 && _precision < text.Length ? text[.._precision] : text;

        private readonly string Pad(string text) => _left ? text.PadRight(_width) : text.PadLeft(_width);

        /// <summary>The value as wide as its size prefix says; int without one.</summary>
        private readonly ulong Narrow(ulong value) => _size switch
        {
            "I64" or "ll" or "I" or "z" or "j" or "t" => value,
            "hh" => (byte)value,
            "h" => (ushort)value,
            _ => (uint)value,
        };

        private readonly string Signed(ulong value)
        {
            var signed = _size switch
            {
                "I64" or "ll" or "I" or "z" or "j" or "t" => (long)value,
                "hh" => (sbyte)value,
                "h" => (short)value,
                _ => (int)value,
            };
            var magnitude = signed < 0 ? (0 - (ulong)signed).ToString(CultureInfo.InvariantCulture) : signed.ToString(CultureInfo.InvariantCulture);
            return Integer(magnitude, signed < 0 ? "-" : _sign ? "+" : _space ? " " : "");
        }

        private readonly string Integer(string digits, string prefix)
        {
            if (_precision >= 0) return Pad(prefix + (_precision == 0 && digits == "0" ? "" : digits.PadLeft(_precision, '0')));
            return _zero && !_left ? prefix + digits.PadLeft(Math.Max(0, _width - prefix.Length), '0') : Pad(prefix + digits);
        }

        private readonly string Floating(double value)
        {
            var precision = _precision < 0 ? 6 : _precision;
            var magnitude = Math.Abs(value);
            var prefix = double.IsNegative(value) ? "-" : _sign ? "+" : _space ? " " : "";
            var digits = Letter switch
            {
                _ when !double.IsFinite(value) => double.IsNaN(value) ? "nan" : "inf",
                'f' or 'F' => magnitude.ToString("F" + precision, CultureInfo.InvariantCulture),
                'e' => Exponential(magnitude, precision, 'e'),
                'E' => Exponential(magnitude, precision, 'E'),
                _ => General(magnitude, precision == 0 ? 1 : precision, Letter == 'g' ? 'e' : 'E'),
            };
            return _zero && !_left ? prefix + digits.PadLeft(Math.Max(0, _width - prefix.Length), '0') : Pad(prefix + digits);
        }

        private static string Exponential(double value, int precision, char letter) =>
            value.ToString((letter == 'e' ? "0." : "0.") + new string('0', precision) + letter + "+00", CultureInfo.InvariantCulture).Replace("." + letter, letter.ToString(), StringComparison.Ordinal);

        private readonly string General(double value, int precision, char letter)
        {
            var scientific = Exponential(value, precision - 1, letter);
            var exponent = int.Parse(scientific[(scientific.IndexOf(letter) + 1)..], CultureInfo.InvariantCulture);
            if (exponent >= -4 && exponent < precision) return Trim(value.ToString("F" + (precision - 1 - exponent), CultureInfo.InvariantCulture));
            var cut = scientific.IndexOf(letter);
            return Trim(scientific[..cut]) + scientific[cut..];
        }

        private readonly string Trim(string digits) => _alternate || !digits.Contains('.') ? digits : digits.TrimEnd('0').TrimEnd('.');
    }
}
