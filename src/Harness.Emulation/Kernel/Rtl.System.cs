using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>What version of Windows this is, simple security structures, statuses as Win32 errors.</summary>
internal static partial class Rtl
{
    private const uint Major = 10, Minor = 0;

    /// <summary>NTDDI_WIN10_VB: build 19041 (sdkddkver.h).</summary>
    private const uint DdiVersion = 0x0A000008;

    /// <summary>RtlNtStatusToDosError for statuses that drivers meet (learn.microsoft.com, [MS-ERREF]).</summary>
    private static uint? DosError(uint status) => status switch
    {
        0x00000000 => 0,
        0x00000102 => 258,
        0x00000103 => 997,
        0x80000005 => 234,
        0x80000006 => 18,
        0xC0000001 => 31,
        0xC0000002 or 0xC0000010 => 1,
        0xC0000004 => 24,
        0xC0000005 => 998,
        0xC0000008 or 0xC0000024 => 6,
        0xC000000D => 87,
        0xC000000E => 433,
        0xC000000F or 0xC0000034 => 2,
        0xC0000011 => 38,
        0xC0000017 => 8,
        0xC0000022 or 0xC0000056 => 5,
        0xC0000023 => 122,
        0xC0000033 => 123,
        0xC0000035 => 183,
        0xC000003A => 3,
        0xC0000043 => 32,
        0xC000009A => 1450,
        0xC000009D => 1167,
        0xC00000A3 => 21,
        0xC00000B5 => 121,
        0xC00000BB => 50,
        0xC0000120 => 995,
        0xC0000225 => 1168,
        _ => null,
    };

    private static void DefineSystem(NtRoutines nt)
    {
        // OSVERSIONINFOW: Size +0, Major +4, Minor +8, Build +0xC, Platform +0x10, CSDVersion +0x14; EX adds ServicePackMajor +0x114, SuiteMask +0x118, ProductType +0x11A.
        nt.Add("RtlGetVersion", p =>
        {
            var size = DriverMemory.ReadU32(p, p.Arg(0));
            var information = new byte[size >= 0x11C ? 0x11C : 0x114];
            ReadOnlySpan<uint> fields = [size, Major, Minor, Machine.Build, 2];
            for (var i = 0; i < fields.Length; i++) BitConverter.TryWriteBytes(information.AsSpan(i * 4), fields[i]);
            if (information.Length == 0x11C) (information[0x119], information[0x11A]) = (1, 1);
            DriverMemory.Write(p, p.Arg(0), information);
            return p.Return(NtStatus.Success);
        });
        nt.Add("PsGetVersion", p =>
        {
            ReadOnlySpan<uint> values = [Major, Minor, Machine.Build];
            for (var i = 0; i < 3; i++)
                if (p.Arg(i) != 0) DriverMemory.WriteU32(p, p.Arg(i), values[i]);
            if (p.Arg(3) != 0) DriverMemory.WriteCounted(p, p.Arg(3), 0, 0, 0);
            return p.Return(false);
        });
        nt.Add("RtlVerifyVersionInfo", VerifyVersion);
        nt.Add("VerSetConditionMask", p => p.Return(SetCondition(p.Arg(0), p.Arg32(1), p.Arg8(2))));
        nt.Add("RtlIsNtDdiVersionAvailable", p => p.Return((p.Arg32(0) & 0xFFFF0000) <= (DdiVersion & 0xFFFF0000) && p.Arg32(0) <= DdiVersion));
        nt.Add("RtlIsServicePackVersionInstalled", p => p.Return(true));
        nt.Add("RtlGetNtGlobalFlags", p => p.Return());
        nt.Add("RtlNtStatusToDosError", p => DosError(p.Arg32(0)) is { } error ? p.Return(error) : throw new UnmodelledException("nt!RtlNtStatusToDosError", $"the status {new NtStatus(p.Arg32(0)).Hex}"));
        nt.Add("RtlNtStatusToDosErrorNoTeb", p => p.Call("RtlNtStatusToDosError", 1, p.Arg(0)), p => p.Return(p.Result));
        // A kernel stack is all there: nothing to touch.
        nt.Leaf("__chkstk", p => p.Return(p.Registers.Rax));
        DefineSecurity(nt);
    }

    /// <summary>Three bits for each type, by the position of its bit.</summary>
    private static ulong SetCondition(ulong mask, uint types, byte condition)
    {
        for (var bit = 0; bit < 8; bit++)
            if ((types & 1u << bit) != 0) mask |= (ulong)(condition & 7) << (bit * 3);
        return mask | 0x8000000000000000;
    }

    // RtlVerifyVersionInfo(VersionInfo, TypeMask, ConditionMask). VER_MINORVERSION 1, MAJOR 2, BUILDNUMBER 4, PLATFORMID 8, SERVICEPACKMINOR 0x10, SERVICEPACKMAJOR 0x20, SUITENAME 0x40, PRODUCT_TYPE 0x80.
    private static Next VerifyVersion(Processor p)
    {
        var types = p.Arg32(1);
        if (types == 0) return p.Return(NtStatus.InvalidParameter);
        if ((types & 0x40) != 0) throw new UnmodelledException("nt!RtlVerifyVersionInfo", "a comparison of suites");
        ulong Wanted(uint offset, bool word) => word ? DriverMemory.ReadU16(p, p.Arg(0) + offset) : DriverMemory.ReadU32(p, p.Arg(0) + offset);
        // Major, minor and service pack are one number when they are compared by order.
        var decided = false;
        foreach (var (bit, is_, offset, word) in ((int, ulong, uint, bool)[])[(1, Major, 4, false), (0, Minor, 8, false), (5, 0, 0x114, true), (4, 0, 0x116, true)])
        {
            if ((types & 1u << bit) == 0 || decided) continue;
            var condition = (byte)(p.Arg(2) >> (bit * 3) & 7);
            var wanted = Wanted(offset, word);
            if (is_ == wanted && condition is 3 or 5) continue;
            if (!Holds(is_, wanted, condition)) return p.Return(new NtStatus(0xC0000059));
            decided = is_ != wanted;
        }
        foreach (var (bit, is_, offset) in ((int, ulong, uint)[])[(2, Machine.Build, 0xC), (3, 2, 0x10)])
            if ((types & 1u << bit) != 0 && !Holds(is_, Wanted(offset, false), (byte)(p.Arg(2) >> (bit * 3) & 7))) return p.Return(new NtStatus(0xC0000059));
        if ((types & 0x80) != 0 && !Holds(1, DriverMemory.ReadU8(p, p.Arg(0) + 0x11A), (byte)(p.Arg(2) >> 21 & 7))) return p.Return(new NtStatus(0xC0000059));
        return p.Return(NtStatus.Success);
    }

    // VER_EQUAL 1, GREATER 2, GREATER_EQUAL 3, LESS 4, LESS_EQUAL 5.
    private static bool Holds(ulong is_, ulong wanted, byte condition) => condition switch
    {
        1 => is_ == wanted,
        2 => is_ > wanted,
        3 => is_ >= wanted,
        4 => is_ < wanted,
        5 => is_ <= wanted,
        _ => false,
    };

    /// <summary>SECURITY_DESCRIPTOR: Revision +0, Control +2, Owner +8, Group +0x10, Sacl +0x18, Dacl +0x20. ACL: Revision, size +2, count +4. SID: Revision, count +1, authority +2, sub-authorities +8 (ntifs.h).</summary>
    private static void DefineSecurity(NtRoutines nt)
    {
        nt.Add("RtlCreateSecurityDescriptor", p =>
        {
            if (p.Arg32(1) != 1) return p.Return(new NtStatus(0xC0000058));
            DriverMemory.Write(p, p.Arg(0), [1, .. new byte[0x27]]);
            return p.Return(NtStatus.Success);
        });
        nt.Add("RtlSetDaclSecurityDescriptor", p =>
        {
            // SE_DACL_PRESENT 4, SE_DACL_DEFAULTED 8.
            var control = (ushort)(DriverMemory.ReadU16(p, p.Arg(0) + 2) & ~0xC);
            if (p.Arg8(1) != 0)
            {
                control |= (ushort)(p.Arg8(3) != 0 ? 0xC : 4);
                DriverMemory.WriteU64(p, p.Arg(0) + 0x20, p.Arg(2));
            }
            DriverMemory.WriteU16(p, p.Arg(0) + 2, control);
            return p.Return(NtStatus.Success);
        });
        nt.Add("RtlSetOwnerSecurityDescriptor", p => SetParty(p, 8, 1));
        nt.Add("RtlSetGroupSecurityDescriptor", p => SetParty(p, 0x10, 2));
        nt.Add("RtlValidSecurityDescriptor", p => p.Return(p.Arg(0) != 0 && DriverMemory.ReadU8(p, p.Arg(0)) == 1));
        nt.Add("RtlCreateAcl", p =>
        {
            if (p.Arg32(1) < 8) return p.Return(NtStatus.BufferTooSmall);
            DriverMemory.Write(p, p.Arg(0), [(byte)p.Arg32(2), 0, (byte)p.Arg32(1), (byte)(p.Arg32(1) >> 8), 0, 0, 0, 0]);
            return p.Return(NtStatus.Success);
        });
        nt.Add("RtlAddAccessAllowedAce", AddAllowed);
        nt.Add("RtlLengthRequiredSid", p => p.Return(8 + (4ul * p.Arg8(0))));
        nt.Add("RtlLengthSid", p => p.Return(SizeOfSid(p, p.Arg(0))));
        nt.Add("RtlValidSid", p => p.Return(p.Arg(0) != 0 && DriverMemory.ReadU8(p, p.Arg(0)) == 1 && DriverMemory.ReadU8(p, p.Arg(0) + 1) <= 15));
        nt.Add("RtlSubAuthoritySid", p => p.Return(p.Arg(0) + 8 + (4ul * p.Arg32(1))));
        nt.Add("RtlEqualSid", p => p.Return(DriverMemory.Read(p, p.Arg(0), SizeOfSid(p, p.Arg(0))).AsSpan().SequenceEqual(DriverMemory.Read(p, p.Arg(1), SizeOfSid(p, p.Arg(1))))));
        nt.Add("RtlInitializeSid", p =>
        {
            DriverMemory.Write(p, p.Arg(0), [1, p.Arg8(2), .. DriverMemory.Read(p, p.Arg(1), 6)]);
            return p.Return(NtStatus.Success);
        });
        nt.Add("RtlCopySid", p =>
        {
            var sid = DriverMemory.Read(p, p.Arg(2), SizeOfSid(p, p.Arg(2)));
            if ((uint)sid.Length > p.Arg32(0)) return p.Return(NtStatus.BufferTooSmall);
            DriverMemory.Write(p, p.Arg(1), sid);
            return p.Return(NtStatus.Success);
        });
    }

    private static ulong SizeOfSid(Processor p, ulong sid) => 8 + (4ul * DriverMemory.ReadU8(p, sid + 1));

    private static Next SetParty(Processor p, ulong field, int defaulted)
    {
        DriverMemory.WriteU64(p, p.Arg(0) + field, p.Arg(1));
        var control = DriverMemory.ReadU16(p, p.Arg(0) + 2);
        DriverMemory.WriteU16(p, p.Arg(0) + 2, (ushort)(p.Arg8(2) != 0 ? control | defaulted : control & ~defaulted));
        return p.Return(NtStatus.Success);
    }

    // RtlAddAccessAllowedAce(Acl, AceRevision, AccessMask, Sid): header {type 0, flags, size}, mask, SID.
    private static Next AddAllowed(Processor p)
    {
        var acl = p.Arg(0);
        var sid = DriverMemory.Read(p, p.Arg(3), SizeOfSid(p, p.Arg(3)));
        var at = acl + 8;
        var count = DriverMemory.ReadU16(p, acl + 4);
        for (var i = 0; i < count; i++) at += DriverMemory.ReadU16(p, at + 2);
        var size = 8 + sid.Length;
        if (at + (ulong)size > acl + DriverMemory.ReadU16(p, acl + 2)) return p.Return(new NtStatus(0xC0000099));
        DriverMemory.Write(p, at, [0, 0, (byte)size, (byte)(size >> 8), .. BitConverter.GetBytes(p.Arg32(2)), .. sid]);
        DriverMemory.WriteU16(p, acl + 4, (ushort)(count + 1));
        return p.Return(NtStatus.Success);
    }
}
