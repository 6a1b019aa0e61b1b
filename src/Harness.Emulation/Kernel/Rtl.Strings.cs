using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>Counted strings: UNICODE_STRING and STRING. Lengths are bytes; one narrow character is one byte.</summary>
internal static partial class Rtl
{
    private const uint StringTag = 'S' | 't' << 8 | 'r' << 16 | 'g' << 24;

    /// <summary>Bytes of the longest UNICODE_STRING that can be terminated.</summary>
    private const int MostBytes = 0xFFFE;

    private static void DefineStrings(NtRoutines nt)
    {
        nt.Add("RtlInitUnicodeString", p => Initialize(p, wide: true));
        nt.Add("RtlInitAnsiString", p => Initialize(p, wide: false));
        nt.Add("RtlInitString", p => Initialize(p, wide: false));
        nt.Add("RtlInitUTF8String", p => Initialize(p, wide: false));
        nt.Add("RtlInitUnicodeStringEx", p => InitializeChecked(p, wide: true));
        nt.Add("RtlInitAnsiStringEx", p => InitializeChecked(p, wide: false));
        nt.Add("RtlInitStringEx", p => InitializeChecked(p, wide: false));
        nt.Add("RtlCopyUnicodeString", p => Copy(p, wide: true));
        nt.Add("RtlCopyString", p => Copy(p, wide: false));
        nt.Add("RtlAppendUnicodeToString", p => Append(p, p.Arg(1) == 0 ? "" : DriverMemory.Text(p, p.Arg(1), wide: true), wide: true));
        nt.Add("RtlAppendUnicodeStringToString", p => Append(p, DriverMemory.Counted(p, p.Arg(1), wide: true), wide: true));
        nt.Add("RtlAppendAsciizToString", p => Append(p, p.Arg(1) == 0 ? "" : DriverMemory.Text(p, p.Arg(1), wide: false), wide: false));
        nt.Add("RtlAppendStringToString", p => Append(p, DriverMemory.Counted(p, p.Arg(1), wide: false), wide: false));
        nt.Add("RtlCompareUnicodeString", p => p.Return((ulong)(uint)Compare(p, wide: true)));
        nt.Add("RtlCompareString", p => p.Return((ulong)(uint)Compare(p, wide: false)));
        nt.Add("RtlCompareUnicodeStrings", p =>
        {
            // (String1, Length1 in characters, String2, Length2, CaseInSensitive)
            var (left, right) = (DriverMemory.Characters(p, p.Arg(0), wide: true, p.Arg(1)), DriverMemory.Characters(p, p.Arg(2), wide: true, p.Arg(3)));
            return p.Return((ulong)(uint)Compare(left, right, p.Arg8(4) != 0));
        });
        nt.Add("RtlEqualUnicodeString", p => p.Return(Compare(p, wide: true) == 0));
        nt.Add("RtlEqualString", p => p.Return(Compare(p, wide: false) == 0));
        nt.Add("RtlPrefixUnicodeString", p => p.Return(IsPrefix(p, wide: true)));
        nt.Add("RtlPrefixString", p => p.Return(IsPrefix(p, wide: false)));
        nt.Add("RtlUpcaseUnicodeString", p => Convert(p, wideFrom: true, wideTo: true, Upcase));
        nt.Add("RtlDowncaseUnicodeString", p => Convert(p, wideFrom: true, wideTo: true, Downcase));
        nt.Add("RtlUnicodeStringToAnsiString", p => Convert(p, wideFrom: true, wideTo: false, Same));
        nt.Add("RtlUnicodeStringToOemString", p => Convert(p, wideFrom: true, wideTo: false, Same));
        nt.Add("RtlUpcaseUnicodeStringToAnsiString", p => Convert(p, wideFrom: true, wideTo: false, Upcase));
        nt.Add("RtlAnsiStringToUnicodeString", p => Convert(p, wideFrom: false, wideTo: true, Same));
        nt.Add("RtlOemStringToUnicodeString", p => Convert(p, wideFrom: false, wideTo: true, Same));
        nt.Add("RtlUpperString", p =>
        {
            // The destination is filled as far as it has room.
            var text = DriverMemory.Counted(p, p.Arg(1), wide: false);
            var bytes = DriverMemory.Bytes(Upcase(text[..Math.Min(text.Length, DriverMemory.ReadU16(p, p.Arg(0) + 2))]), wide: false);
            DriverMemory.Write(p, DriverMemory.ReadU64(p, p.Arg(0) + 8), bytes);
            DriverMemory.WriteU16(p, p.Arg(0), (ushort)bytes.Length);
            return p.Return();
        });
        nt.Add("RtlFreeUnicodeString", FreeString);
        nt.Add("RtlFreeAnsiString", FreeString);
        nt.Add("RtlFreeOemString", FreeString);
        nt.Add("RtlFreeUTF8String", FreeString);
        nt.Add("RtlCreateUnicodeString", p =>
        {
            var text = DriverMemory.Text(p, p.Arg(1), wide: true);
            if ((2 * text.Length) + 2 > MostBytes) return p.Return(false);
            var bytes = DriverMemory.Bytes(text + "\0", wide: true);
            var buffer = AllocateString(p, bytes);
            DriverMemory.WriteCounted(p, p.Arg(0), (ushort)(bytes.Length - 2), (ushort)bytes.Length, buffer);
            return p.Return(true);
        });
        // RtlDuplicateUnicodeString(Flags, Source, Destination): 1 terminate, 2 terminate even an empty one.
        nt.Add("RtlDuplicateUnicodeString", p =>
        {
            var text = DriverMemory.Counted(p, p.Arg(1), wide: true);
            var terminate = (p.Arg32(0) & 1) != 0 && (text.Length != 0 || (p.Arg32(0) & 2) != 0);
            var bytes = DriverMemory.Bytes(terminate ? text + "\0" : text, wide: true);
            DriverMemory.WriteCounted(p, p.Arg(2), (ushort)(2 * text.Length), (ushort)bytes.Length, bytes.Length == 0 ? 0 : AllocateString(p, bytes));
            return p.Return(NtStatus.Success);
        });
        nt.Add("RtlValidateUnicodeString", p =>
        {
            if (p.Arg(1) == 0) return p.Return(NtStatus.Success);
            var (length, maximum, buffer) = (DriverMemory.ReadU16(p, p.Arg(1)), DriverMemory.ReadU16(p, p.Arg(1) + 2), DriverMemory.ReadU64(p, p.Arg(1) + 8));
            var valid = p.Arg32(0) == 0 && length % 2 == 0 && maximum % 2 == 0 && length <= maximum && (buffer != 0 || maximum == 0);
            return p.Return(valid ? NtStatus.Success : NtStatus.InvalidParameter);
        });
        nt.Add("RtlUpcaseUnicodeChar", p => p.Return(Upcase((char)p.Arg(0))));
        nt.Add("RtlDowncaseUnicodeChar", p => p.Return(char.ToLowerInvariant((char)p.Arg(0))));
        nt.Add("RtlUpperChar", p => p.Return(Upcase((char)p.Arg8(0)) & 0xFFu));
        nt.Add("RtlxUnicodeStringToAnsiSize", p => p.Return((ulong)(DriverMemory.ReadU16(p, p.Arg(0)) / 2) + 1));
        nt.Add("RtlxAnsiStringToUnicodeSize", p => p.Return(((ulong)DriverMemory.ReadU16(p, p.Arg(0)) * 2) + 2));
        nt.Add("RtlUnicodeStringToAnsiSize", p => p.Return((ulong)(DriverMemory.ReadU16(p, p.Arg(0)) / 2) + 1));
        nt.Add("RtlAnsiStringToUnicodeSize", p => p.Return(((ulong)DriverMemory.ReadU16(p, p.Arg(0)) * 2) + 2));
        // RtlUnicodeToMultiByteN(Buffer, Room, Written*, Unicode, Bytes) and back.
        nt.Add("RtlUnicodeToMultiByteN", p => ConvertRaw(p, DriverMemory.Characters(p, p.Arg(3), wide: true, p.Arg32(4) / 2), wideTo: false));
        nt.Add("RtlMultiByteToUnicodeN", p => ConvertRaw(p, DriverMemory.Characters(p, p.Arg(3), wide: false, p.Arg32(4)), wideTo: true));
        nt.Add("RtlUnicodeToMultiByteSize", p => ReturnSize(p, p.Arg32(2) / 2));
        nt.Add("RtlMultiByteToUnicodeSize", p => ReturnSize(p, p.Arg32(2) * 2));
        nt.Add("RtlHashUnicodeString", HashString);
    }

    private static Next Initialize(Processor p, bool wide)
    {
        FillIn(p, wide);
        return p.Return();
    }

    private static void FillIn(Processor p, bool wide)
    {
        var source = p.Arg(1);
        var unit = wide ? 2 : 1;
        var length = source == 0 ? 0 : Math.Min(DriverMemory.Text(p, source, wide).Length * unit, wide ? 0xFFFC : 0xFFFE);
        DriverMemory.WriteCounted(p, p.Arg(0), (ushort)length, (ushort)(source == 0 ? 0 : length + unit), source);
    }

    private static Next InitializeChecked(Processor p, bool wide)
    {
        var unit = wide ? 2 : 1;
        if (p.Arg(1) != 0 && DriverMemory.Text(p, p.Arg(1), wide).Length * unit > MostBytes - unit) return p.Return(new NtStatus(0xC0000106));
        FillIn(p, wide);
        return p.Return(NtStatus.Success);
    }

    private static Next Copy(Processor p, bool wide)
    {
        if (p.Arg(1) == 0)
        {
            DriverMemory.WriteU16(p, p.Arg(0), 0);
            return p.Return();
        }
        var unit = wide ? 2 : 1;
        var bytes = DriverMemory.Bytes(DriverMemory.Counted(p, p.Arg(1), wide), wide);
        var maximum = DriverMemory.ReadU16(p, p.Arg(0) + 2);
        var length = Math.Min(bytes.Length, maximum);
        var buffer = DriverMemory.ReadU64(p, p.Arg(0) + 8);
        DriverMemory.Write(p, buffer, bytes.AsSpan(0, length));
        DriverMemory.WriteU16(p, p.Arg(0), (ushort)length);
        if (wide && length + unit <= maximum) DriverMemory.WriteU16(p, buffer + (ulong)length, 0);
        return p.Return();
    }

    private static Next Append(Processor p, string text, bool wide)
    {
        var bytes = DriverMemory.Bytes(text, wide);
        var (length, maximum) = (DriverMemory.ReadU16(p, p.Arg(0)), DriverMemory.ReadU16(p, p.Arg(0) + 2));
        if (length + bytes.Length > maximum) return p.Return(NtStatus.BufferTooSmall);
        var end = DriverMemory.ReadU64(p, p.Arg(0) + 8) + length;
        DriverMemory.Write(p, end, bytes);
        DriverMemory.WriteU16(p, p.Arg(0), (ushort)(length + bytes.Length));
        if (wide && length + bytes.Length + 2 <= maximum) DriverMemory.WriteU16(p, end + (ulong)bytes.Length, 0);
        return p.Return(NtStatus.Success);
    }

    private static int Compare(Processor p, bool wide) =>
        Compare(DriverMemory.Counted(p, p.Arg(0), wide), DriverMemory.Counted(p, p.Arg(1), wide), p.Arg8(2) != 0);

    private static int Compare(string left, string right, bool ignoreCase)
    {
        for (var i = 0; i < left.Length && i < right.Length; i++)
        {
            var (a, b) = ignoreCase ? (Upcase(left[i]), Upcase(right[i])) : (left[i], right[i]);
            if (a != b) return a - b;
        }
        return left.Length - right.Length;
    }

    private static bool IsPrefix(Processor p, bool wide)
    {
        var (prefix, text) = (DriverMemory.Counted(p, p.Arg(0), wide), DriverMemory.Counted(p, p.Arg(1), wide));
        return prefix.Length <= text.Length && Compare(prefix, text[..prefix.Length], p.Arg8(2) != 0) == 0;
    }

    private static char Upcase(char c) => char.ToUpperInvariant(c);

    private static string Upcase(string text) => string.Create(text.Length, text, (span, from) =>
    {
        for (var i = 0; i < span.Length; i++) span[i] = Upcase(from[i]);
    });

    private static string Downcase(string text) => text.ToLowerInvariant();

    private static string Same(string text) => text;

    // (Destination, Source, AllocateDestination)
    private static Next Convert(Processor p, bool wideFrom, bool wideTo, Func<string, string> change)
    {
        var text = change(DriverMemory.Counted(p, p.Arg(1), wideFrom));
        var unit = wideTo ? 2 : 1;
        // A terminator comes with it whenever the width changes.
        var terminated = wideFrom != wideTo;
        var needed = (text.Length * unit) + (terminated ? unit : 0);
        if (needed > MostBytes + 1) return p.Return(new NtStatus(0xC00000F0));
        var bytes = DriverMemory.Bytes(text, wideTo);
        if (p.Arg8(2) != 0)
        {
            var buffer = AllocateString(p, terminated ? [.. bytes, .. new byte[unit]] : bytes);
            DriverMemory.WriteCounted(p, p.Arg(0), (ushort)bytes.Length, (ushort)needed, buffer);
            return p.Return(NtStatus.Success);
        }
        var maximum = DriverMemory.ReadU16(p, p.Arg(0) + 2);
        if (maximum < needed)
        {
            // Only the conversion to narrow characters cuts.
            if (wideTo || maximum == 0) return p.Return(NtStatus.BufferOverflow);
            DriverMemory.Write(p, DriverMemory.ReadU64(p, p.Arg(0) + 8), [.. bytes.AsSpan(0, maximum - 1), 0]);
            DriverMemory.WriteU16(p, p.Arg(0), (ushort)(maximum - 1));
            return p.Return(NtStatus.BufferOverflow);
        }
        DriverMemory.Write(p, DriverMemory.ReadU64(p, p.Arg(0) + 8), terminated ? [.. bytes, .. new byte[unit]] : bytes);
        DriverMemory.WriteU16(p, p.Arg(0), (ushort)bytes.Length);
        return p.Return(NtStatus.Success);
    }

    private static Next ConvertRaw(Processor p, string text, bool wideTo)
    {
        var bytes = DriverMemory.Bytes(text, wideTo);
        var length = Math.Min(bytes.Length, (int)(wideTo ? p.Arg32(1) & ~1u : p.Arg32(1)));
        DriverMemory.Write(p, p.Arg(0), bytes.AsSpan(0, length));
        if (p.Arg(2) != 0) DriverMemory.WriteU32(p, p.Arg(2), (uint)length);
        return p.Return(NtStatus.Success);
    }

    private static Next ReturnSize(Processor p, uint size)
    {
        DriverMemory.WriteU32(p, p.Arg(0), size);
        return p.Return(NtStatus.Success);
    }

    private static ulong AllocateString(Processor p, ReadOnlySpan<byte> bytes)
    {
        var buffer = Ex.Allocate(p.Machine, Ex.Paged, (ulong)bytes.Length, StringTag);
        p.Memory.Write(buffer, bytes);
        return Ex.OwnedByCaller(p.Machine, buffer);
    }

    private static Next FreeString(Processor p)
    {
        var buffer = DriverMemory.ReadU64(p, p.Arg(0) + 8);
        if (buffer != 0) Ex.Free(p.Machine, buffer);
        DriverMemory.WriteCounted(p, p.Arg(0), 0, 0, 0);
        return p.Return();
    }

    // RtlHashUnicodeString(String, CaseInSensitive, HashAlgorithm, HashValue*): x65599 is algorithm 1 and the default 0.
    private static Next HashString(Processor p)
    {
        if (p.Arg32(2) > 1) return p.Return(NtStatus.InvalidParameter);
        var hash = 0u;
        foreach (var c in DriverMemory.Counted(p, p.Arg(0), wide: true)) hash = unchecked((hash * 65599) + (p.Arg8(1) != 0 ? Upcase(c) : c));
        DriverMemory.WriteU32(p, p.Arg(3), hash);
        return p.Return(NtStatus.Success);
    }
}
