using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>ProbeForRead and ProbeForWrite (wdm.h): is this a range of user addresses. What is wrong with it is raised as an exception.</summary>
internal static partial class Ex
{
    private const ulong UserProbeAddress = 0x00007FFF_FFFF0000, ProbedPage = 0x1000;

    // (Address, Length, Alignment)
    private static void DefineProbes(NtRoutines nt)
    {
        // Reads nothing: that the pages are there is for the driver's own __try to find out.
        nt.Add("ProbeForRead", p =>
        {
            if (p.Arg(1) != 0) CheckRange(p.Arg(0), p.Arg(1), p.Arg32(2));
            return p.Return();
        });
        nt.Add("ProbeForWrite", p =>
        {
            if (p.Arg(1) == 0) return p.Return();
            CheckRange(p.Arg(0), p.Arg(1), p.Arg32(2));
            // Writes back a byte of each page, so a page that is absent or read-only faults here.
            for (var at = p.Arg(0); at < p.Arg(0) + p.Arg(1); at = (at & ~(ProbedPage - 1)) + ProbedPage)
            {
                const PageAccess needed = PageAccess.Read | PageAccess.Write | PageAccess.User;
                if ((p.Memory.AccessOf(at) & needed) != needed) throw new GuestAccessException(at, write: true);
            }
            return p.Return();
        });
    }

    private static void CheckRange(ulong address, ulong length, uint alignment)
    {
        if (alignment is not (1 or 2 or 4 or 8 or 16)) throw new UnmodelledException("nt!ProbeForRead", $"an alignment of {alignment}");
        if ((address & (alignment - 1)) != 0) throw new RaisedStatusException(NtStatus.DatatypeMisalignment);
        // learn.microsoft.com, ProbeForRead: STATUS_ACCESS_VIOLATION for a range that isn't wholly user addresses, one that wraps among them.
        if (address + length < address || address + length > UserProbeAddress) throw new RaisedStatusException(NtStatus.AccessViolation);
    }
}
