namespace Harness.Emulation.Kernel;

/// <summary>Moving, filling and comparing bytes: the C run time's names and Rtl's.</summary>
internal static partial class Rtl
{
    private static void DefineMemory(NtRoutines nt)
    {
        nt.Add("memcpy", CopyMemory);
        nt.Add("memmove", CopyMemory);
        nt.Add("RtlCopyMemory", CopyMemory);
        nt.Add("RtlMoveMemory", CopyMemory);
        nt.Add("RtlCopyMemoryNonTemporal", CopyMemory);
        nt.Add("memset", p => Fill(p, p.Arg(0), p.Arg(2), p.Arg8(1)));
        nt.Add("RtlFillMemory", p => Fill(p, p.Arg(0), p.Arg(1), p.Arg8(2)));
        nt.Add("RtlZeroMemory", p => Fill(p, p.Arg(0), p.Arg(1), 0));
        nt.Add("RtlSecureZeroMemory", p => Fill(p, p.Arg(0), p.Arg(1), 0));
        nt.Add("memcmp", p =>
        {
            var (left, right) = (DriverMemory.Read(p, p.Arg(0), p.Arg(2)), DriverMemory.Read(p, p.Arg(1), p.Arg(2)));
            return p.Return((ulong)(long)Math.Sign(left.AsSpan().SequenceCompareTo(right)));
        });
        nt.Add("RtlCompareMemory", p =>
        {
            // The number of bytes that match, from the first.
            var (left, right) = (DriverMemory.Read(p, p.Arg(0), p.Arg(2)), DriverMemory.Read(p, p.Arg(1), p.Arg(2)));
            return p.Return((ulong)left.AsSpan().CommonPrefixLength(right));
        });
        nt.Add("RtlEqualMemory", p => p.Return(DriverMemory.Read(p, p.Arg(0), p.Arg(2)).AsSpan().SequenceEqual(DriverMemory.Read(p, p.Arg(1), p.Arg(2)))));
        nt.Add("RtlCompareMemoryUlong", p =>
        {
            var bytes = DriverMemory.Read(p, p.Arg(0), p.Arg(1) & ~3ul);
            var match = 0;
            while (match < bytes.Length && BitConverter.ToUInt32(bytes, match) == p.Arg32(2)) match += 4;
            return p.Return((ulong)match);
        });
        nt.Add("RtlFillMemoryUlong", p =>
        {
            var bytes = new byte[p.Arg(1) & ~3ul];
            for (var i = 0; i < bytes.Length; i += 4) BitConverter.TryWriteBytes(bytes.AsSpan(i), p.Arg32(2));
            DriverMemory.Write(p, p.Arg(0), bytes);
            return p.Return();
        });
        nt.Add("RtlPrefetchMemoryNonTemporal", p => p.Return());
        nt.Add("memchr", p =>
        {
            for (ulong i = 0; i < p.Arg(2); i++)
                if (DriverMemory.ReadU8(p, p.Arg(0) + i) == p.Arg8(1)) return p.Return(p.Arg(0) + i);
            return p.Return();
        });
        // memcpy_s and memmove_s(Destination, Size, Source, Count): 0, ERANGE 34 or EINVAL 22.
        nt.Add("memcpy_s", CopyChecked);
        nt.Add("memmove_s", CopyChecked);
    }

    private static Next CopyMemory(Processor p)
    {
        DriverMemory.Copy(p, p.Arg(0), p.Arg(1), p.Arg(2));
        return p.Return(p.Arg(0));
    }

    private static Next CopyChecked(Processor p)
    {
        if (p.Arg(3) == 0) return p.Return();
        if (p.Arg(0) == 0) return p.Return(22);
        if (p.Arg(2) == 0 || p.Arg(1) < p.Arg(3))
        {
            Fill(p.Arg(0), p.Arg(1), 0, p);
            return p.Return(p.Arg(2) == 0 ? 22ul : 34);
        }
        DriverMemory.Write(p, p.Arg(0), DriverMemory.Read(p, p.Arg(2), p.Arg(3)));
        return p.Return();
    }

    private static Next Fill(Processor p, ulong address, ulong length, byte value)
    {
        Fill(address, length, value, p);
        return p.Return(address);
    }

    private static void Fill(ulong address, ulong length, byte value, Processor p)
    {
        DriverMemory.Require(p, address, length, write: true);
        p.Memory.Fill(address, length, value);
    }
}
