using System.Globalization;
using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>Numbers as text, chance, GUIDs, byte order, times.</summary>
internal static partial class Rtl
{
    private static void DefineNumbers(NtRoutines nt)
    {
        nt.Add("RtlIntegerToUnicodeString", p => PutNumber(p, p.Arg32(0), p.Arg32(1), p.Arg(2)));
        nt.Add("RtlInt64ToUnicodeString", p => PutNumber(p, p.Arg(0), p.Arg32(1), p.Arg(2)));
        nt.Add("RtlUnicodeStringToInteger", p => ReadNumber(p, DriverMemory.Counted(p, p.Arg(0), wide: true)));
        nt.Add("RtlCharToInteger", p => ReadNumber(p, DriverMemory.Text(p, p.Arg(0), wide: false)));
        // RtlIntegerToChar(Value, Base, Length, String)
        nt.Add("RtlIntegerToChar", p =>
        {
            if (!TryDigits(p.Arg32(0), p.Arg32(1), out var digits)) return p.Return(NtStatus.InvalidParameter);
            if (digits.Length > (int)p.Arg32(2)) return p.Return(NtStatus.BufferOverflow);
            DriverMemory.Write(p, p.Arg(3), DriverMemory.Bytes(digits.Length < (int)p.Arg32(2) ? digits + "\0" : digits, wide: false));
            return p.Return(NtStatus.Success);
        });
        foreach (var name in (string[])["RtlRandom", "RtlRandomEx", "RtlUniform"])
            nt.Add(name, p =>
            {
                // The linear congruence that learn.microsoft.com documents for RtlUniform: only the seed decides.
                var next = (uint)(((DriverMemory.ReadU32(p, p.Arg(0)) * 0x7FFFFFEDul) + 0x7FFFFFC3) % 0x7FFFFFFF);
                DriverMemory.WriteU32(p, p.Arg(0), next);
                return p.Return(next);
            });
        nt.Add("RtlUshortByteSwap", p => p.Return(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness((ushort)p.Arg(0))));
        nt.Add("RtlUlongByteSwap", p => p.Return(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(p.Arg32(0))));
        nt.Add("RtlUlonglongByteSwap", p => p.Return(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(p.Arg(0))));
        nt.Add("RtlStringFromGUID", p =>
        {
            var text = "{" + new Guid(DriverMemory.Read(p, p.Arg(0), 16)).ToString("D").ToUpperInvariant() + "}";
            var bytes = DriverMemory.Bytes(text + "\0", wide: true);
            DriverMemory.WriteCounted(p, p.Arg(1), (ushort)(bytes.Length - 2), (ushort)bytes.Length, AllocateString(p, bytes));
            return p.Return(NtStatus.Success);
        });
        nt.Add("RtlGUIDFromString", p =>
        {
            if (!Guid.TryParseExact(DriverMemory.Counted(p, p.Arg(0), wide: true), "B", out var guid)) return p.Return(NtStatus.InvalidParameter);
            DriverMemory.Write(p, p.Arg(1), guid.ToByteArray());
            return p.Return(NtStatus.Success);
        });
        DefineTimes(nt);
    }

    private static bool TryDigits(ulong value, uint radix, out string digits)
    {
        digits = "";
        if (radix is not (0 or 2 or 8 or 10 or 16)) return false;
        if (radix == 0) radix = 10;
        do
        {
            digits = "0123456789ABCDEF"[(int)(value % radix)] + digits;
            value /= radix;
        }
        while (value != 0);
        return true;
    }

    private static Next PutNumber(Processor p, ulong value, uint radix, ulong destination)
    {
        if (!TryDigits(value, radix, out var digits)) return p.Return(NtStatus.InvalidParameter);
        var bytes = DriverMemory.Bytes(digits, wide: true);
        var maximum = DriverMemory.ReadU16(p, destination + 2);
        if (bytes.Length > maximum) return p.Return(NtStatus.BufferOverflow);
        DriverMemory.Write(p, DriverMemory.ReadU64(p, destination + 8), bytes.Length + 2 <= maximum ? [.. bytes, 0, 0] : bytes);
        DriverMemory.WriteU16(p, destination, (ushort)bytes.Length);
        return p.Return(NtStatus.Success);
    }

    // (Text, Base, Value*): base 0 reads 0x, 0o and 0b.
    private static Next ReadNumber(Processor p, string text)
    {
        var radix = p.Arg32(1);
        if (radix is not (0 or 2 or 8 or 10 or 16)) return p.Return(NtStatus.InvalidParameter);
        var i = 0;
        while (i < text.Length && text[i] <= ' ') i++;
        var negative = i < text.Length && text[i] == '-';
        if (i < text.Length && text[i] is '-' or '+') i++;
        if (radix == 0)
        {
            radix = 10;
            if (i + 1 < text.Length && text[i] == '0' && text[i + 1] is 'x' or 'o' or 'b')
            {
                radix = text[i + 1] == 'x' ? 16u : text[i + 1] == 'o' ? 8u : 2u;
                i += 2;
            }
        }
        var value = 0u;
        for (; i < text.Length; i++)
        {
            var digit = char.IsAsciiHexDigit(text[i]) ? uint.Parse(text.AsSpan(i, 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture) : 99;
            if (digit >= radix) break;
            value = unchecked((value * radix) + digit);
        }
        DriverMemory.WriteU32(p, p.Arg(2), negative ? 0 - value : value);
        return p.Return(NtStatus.Success);
    }

    /// <summary>TIME_FIELDS: Year, Month, Day, Hour, Minute, Second, Milliseconds, Weekday; CSHORTs. Times: 100 ns since 1601.</summary>
    private static void DefineTimes(NtRoutines nt)
    {
        nt.Add("RtlTimeToTimeFields", p =>
        {
            var time = DriverMemory.ReadU64(p, p.Arg(0));
            if (time > (ulong)(DateTime.MaxValue.Ticks - Epoch)) throw new UnmodelledException("nt!RtlTimeToTimeFields", "a time after the year 9999");
            var at = new DateTime((long)time + Epoch, DateTimeKind.Utc);
            ReadOnlySpan<int> fields = [at.Year, at.Month, at.Day, at.Hour, at.Minute, at.Second, at.Millisecond, (int)at.DayOfWeek];
            for (var i = 0; i < fields.Length; i++) DriverMemory.WriteU16(p, p.Arg(1) + ((ulong)i * 2), (ushort)fields[i]);
            return p.Return();
        });
        nt.Add("RtlTimeFieldsToTime", p =>
        {
            int Field(int index) => (short)DriverMemory.ReadU16(p, p.Arg(0) + ((ulong)index * 2));
            var (year, month, day) = (Field(0), Field(1), Field(2));
            var valid = year is >= 1601 and <= 9999 && month is >= 1 and <= 12 && day >= 1 && day <= DateTime.DaysInMonth(year, month)
                && Field(3) is >= 0 and < 24 && Field(4) is >= 0 and < 60 && Field(5) is >= 0 and < 60 && Field(6) is >= 0 and < 1000;
            if (!valid) return p.Return(false);
            DriverMemory.WriteU64(p, p.Arg(1), (ulong)(new DateTime(year, month, day, Field(3), Field(4), Field(5), Field(6), DateTimeKind.Utc).Ticks - Epoch));
            return p.Return(true);
        });
        nt.Add("RtlTimeToSecondsSince1970", p => TimeToSeconds(p, 11_644_473_600));
        nt.Add("RtlTimeToSecondsSince1980", p => TimeToSeconds(p, 11_960_006_400));
        nt.Add("RtlSecondsSince1970ToTime", p => SecondsToTime(p, 11_644_473_600));
        nt.Add("RtlSecondsSince1980ToTime", p => SecondsToTime(p, 11_960_006_400));
    }

    /// <summary>1601 on the calendar of .NET, in ticks.</summary>
    private const long Epoch = 504_911_232_000_000_000;

    private static Next TimeToSeconds(Processor p, ulong since)
    {
        var seconds = (DriverMemory.ReadU64(p, p.Arg(0)) / 10_000_000) - since;
        if (seconds > uint.MaxValue) return p.Return(false);
        DriverMemory.WriteU32(p, p.Arg(1), (uint)seconds);
        return p.Return(true);
    }

    private static Next SecondsToTime(Processor p, ulong since)
    {
        DriverMemory.WriteU64(p, p.Arg(1), (p.Arg32(0) + since) * 10_000_000);
        return p.Return();
    }
}
