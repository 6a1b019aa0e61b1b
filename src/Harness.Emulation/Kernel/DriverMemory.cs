using System.Runtime.InteropServices;
using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Memory as a routine of the run-time library touches it for its caller: the pages' permissions count, and so do the shadow bytes, exactly as
/// if the driver's own instructions did it. A bad user address raises STATUS_ACCESS_VIOLATION; a bad system address stops the machine.
/// </summary>
internal static class DriverMemory
{
    /// <summary>Makes sure that an access is one the caller could have made itself.</summary>
    /// <exception cref="GuestAccessException">A user address that isn't there, below DISPATCH_LEVEL: a page fault in the routine.</exception>
    /// <exception cref="RaisedStatusException">An address that no page can have, below DISPATCH_LEVEL.</exception>
    /// <exception cref="BugCheckException">Any other address that isn't there.</exception>
    /// <exception cref="PageableAccessException">Pageable memory at DISPATCH_LEVEL.</exception>
    /// <exception cref="PoisonedAccessException">Freed pool, or pool that is nobody's.</exception>
    public static void Require(Processor p, ulong address, ulong length, bool write)
    {
        while (length > 0)
        {
            var run = (int)Math.Min(length, 0x1000 - (address & 0xFFF));
            var refusal = p.Memory.Check(address, run, write, p.Irql);
            if (refusal.By != RefusedBy.Nothing) Refuse(p, refusal, run, write);
            address += (ulong)run;
            length -= (ulong)run;
        }
    }

    private static void Refuse(Processor p, in Refusal refusal, int run, bool write)
    {
        switch (refusal.By)
        {
            case RefusedBy.Shadow:
                throw new PoisonedAccessException(refusal.Address, run, write, (byte)refusal.Detail);
            case RefusedBy.Irql:
                throw new PageableAccessException(refusal.Address, run, write);
            case RefusedBy.NonCanonical when p.Irql < Ke.DispatchLevel:
                throw new RaisedStatusException(NtStatus.AccessViolation);
            default:
                if (p.Irql >= Ke.DispatchLevel) throw new BugCheckException(0xA, refusal.Address, p.Irql, write ? 1ul : 0, p.ReturnAddress);
                if (AddressMap.IsUser(refusal.Address)) throw new GuestAccessException(refusal.Address, write);
                if ((refusal.Detail & 1) != 0 && write) throw new BugCheckException(0xBE, refusal.Address, refusal.Detail, p.ReturnAddress, 0xB);
                throw new BugCheckException(0x50, refusal.Address, write ? 2ul : 0, p.ReturnAddress, 2);
        }
    }

    /// <summary>Copies bytes, and with them whether they were ever written.</summary>
    public static void Copy(Processor p, ulong to, ulong from, ulong length)
    {
        var bytes = Read(p, from, length);
        var undefined = new bool[length];
        for (ulong i = 0; i < length; i++) undefined[i] = p.Memory.ReadShadow(from + i) == GuestMemory.Undefined;
        Write(p, to, bytes);
        for (ulong i = 0; i < length; i++)
            if (undefined[i]) p.Memory.WriteShadow(to + i, 1, GuestMemory.Undefined);
    }

    public static byte[] Read(Processor p, ulong address, ulong length)
    {
        Require(p, address, length, write: false);
        var bytes = new byte[length];
        p.Memory.Read(address, bytes);
        return bytes;
    }

    public static void Write(Processor p, ulong address, ReadOnlySpan<byte> bytes)
    {
        Require(p, address, (ulong)bytes.Length, write: true);
        p.Memory.Write(address, bytes);
    }

    public static byte ReadU8(Processor p, ulong address)
    {
        Require(p, address, 1, write: false);
        return p.Memory.ReadU8(address);
    }

    public static ushort ReadU16(Processor p, ulong address)
    {
        Require(p, address, 2, write: false);
        return p.Memory.ReadU16(address);
    }

    public static uint ReadU32(Processor p, ulong address)
    {
        Require(p, address, 4, write: false);
        return p.Memory.ReadU32(address);
    }

    public static ulong ReadU64(Processor p, ulong address)
    {
        Require(p, address, 8, write: false);
        return p.Memory.ReadU64(address);
    }

    public static void WriteU8(Processor p, ulong address, byte value)
    {
        Require(p, address, 1, write: true);
        p.Memory.WriteU8(address, value);
    }

    public static void WriteU16(Processor p, ulong address, ushort value)
    {
        Require(p, address, 2, write: true);
        p.Memory.WriteU16(address, value);
    }

    public static void WriteU32(Processor p, ulong address, uint value)
    {
        Require(p, address, 4, write: true);
        p.Memory.WriteU32(address, value);
    }

    public static void WriteU64(Processor p, ulong address, ulong value)
    {
        Require(p, address, 8, write: true);
        p.Memory.WriteU64(address, value);
    }

    /// <summary>Characters of one or two bytes up to their terminator, at most <paramref name="most"/>. One byte is one char: code page 28591.</summary>
    public static string Text(Processor p, ulong address, bool wide, ulong most = ulong.MaxValue)
    {
        var text = new System.Text.StringBuilder();
        for (ulong i = 0; i < most; i++)
        {
            var c = wide ? ReadU16(p, address + (2 * i)) : ReadU8(p, address + i);
            if (c == 0) break;
            text.Append((char)c);
        }
        return text.ToString();
    }

    /// <summary>Exactly this many characters.</summary>
    public static string Characters(Processor p, ulong address, bool wide, ulong count)
    {
        var bytes = Read(p, address, wide ? count * 2 : count);
        return wide ? new string(MemoryMarshal.Cast<byte, char>(bytes)) : System.Text.Encoding.Latin1.GetString(bytes);
    }

    /// <summary>The bytes of a text; a char beyond one byte becomes '?' where characters are narrow.</summary>
    public static byte[] Bytes(ReadOnlySpan<char> text, bool wide)
    {
        if (wide) return MemoryMarshal.AsBytes(text).ToArray();
        var bytes = new byte[text.Length];
        for (var i = 0; i < bytes.Length; i++) bytes[i] = text[i] <= 0xFF ? (byte)text[i] : (byte)'?';
        return bytes;
    }

    /// <summary>The text of a STRING or UNICODE_STRING (Length +0, MaximumLength +2, Buffer +8).</summary>
    public static string Counted(Processor p, ulong address, bool wide)
    {
        var length = ReadU16(p, address);
        return length == 0 ? "" : Characters(p, ReadU64(p, address + 8), wide, wide ? (ulong)length / 2 : length);
    }

    /// <summary>Fills in a STRING or UNICODE_STRING.</summary>
    public static void WriteCounted(Processor p, ulong address, ushort length, ushort maximum, ulong buffer)
    {
        WriteU16(p, address, length);
        WriteU16(p, address + 2, maximum);
        WriteU64(p, address + 8, buffer);
    }
}
