using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Memory manager: allocations with an address in physical memory, and what drivers ask about addresses. MDLs are in Mm.Mdl.cs.</summary>
internal static partial class Mm
{
    public static void Define(NtRoutines nt)
    {
        DefineDescriptors(nt);
        DefineMappings(nt);
        nt.Add("MmIsAddressValid", p => p.Return(p.Memory.AccessOf(p.Arg(0)) != PageAccess.None));
        nt.Add("MmIsNonPagedSystemAddressValid", p => p.Return(!AddressMap.IsUser(p.Arg(0)) && p.Memory.AccessOf(p.Arg(0)) != PageAccess.None));
        nt.Add("MmAllocateContiguousMemory", AllocatePages);
        nt.Add("MmAllocateContiguousMemorySpecifyCache", AllocatePages);
        nt.Add("MmAllocateContiguousMemorySpecifyCacheNode", AllocatePages);
        nt.Add("MmAllocateContiguousNodeMemory", AllocatePages);
        nt.Add("MmAllocateNonCachedMemory", AllocatePages);
        nt.Add("MmFreeContiguousMemory", FreePages);
        nt.Add("MmFreeContiguousMemorySpecifyCache", FreePages);
        nt.Add("MmFreeNonCachedMemory", FreePages);
        nt.Add("MmGetPhysicalAddress", p => p.Return(PhysicalAddressOf(p, p.Arg(0))));
        // The handle is the address. That a section may be paged out again after the unlocking, and a whole driver on request, is not modelled.
        nt.Add("MmLockPagableDataSection", LockSection);
        nt.Add("MmLockPagableCodeSection", LockSection);
        nt.Add("MmLockPagableSectionByHandle", LockSection);
        nt.Add("MmUnlockPagableImageSection", p => p.Return());
        nt.Add("MmPageEntireDriver", p => p.Return(p.Arg(0)));
        nt.Add("MmResetDriverPaging", p => p.Return());
        // MmLargeSystem.
        nt.Add("MmQuerySystemSize", p => p.Return(2));
        nt.Add("MmIsThisAnNtAsSystem", p => p.Return(false));
        nt.Add("MmGetSystemRoutineAddress", p =>
        {
            var name = DriverMemory.Counted(p, p.Arg(0), wide: true);
            // What Windows exports and is not modelled is there, and says so when it is called.
            return p.Return(NtImage.Instance.TryFind(name, out var address) && !IsInternal(name) || p.Machine.Unmodelled.TryFind(name, out address) ? address : 0);
        });
    }

    /// <summary>The pageable section of an image that an address is in stays in memory from now on, at whatever IRQL.</summary>
    private static Next LockSection(Processor p)
    {
        var m = p.Memory;
        void Lock(ulong from, ulong step)
        {
            for (var page = from; (m.AccessOf(page) & PageAccess.Pageable) != 0; page += step) m.Protect(page, 0x1000, m.AccessOf(page) & ~PageAccess.Pageable);
        }
        var first = p.Arg(0) & ~0xFFFul;
        if (p.Machine.IsInDriver(first))
        {
            Lock(first, 0x1000);
            Lock(first - 0x1000, unchecked(0 - 0x1000ul));
        }
        return p.Return(p.Arg(0));
    }

    /// <summary>Names of nt that Windows has and doesn't export.</summary>
    private static bool IsInternal(string name) => name.StartsWith("Iop", StringComparison.Ordinal) || name.StartsWith("Ki", StringComparison.Ordinal) || name.StartsWith("Psp", StringComparison.Ordinal) || name.StartsWith("Obp", StringComparison.Ordinal);

    private static Next AllocatePages(Processor p) => p.Return(p.Arg(0) == 0 ? 0 : Ex.OwnedByCaller(p.Machine, Ex.Allocate(p.Machine, Ex.NonPaged, (p.Arg(0) + 0xFFF) & ~0xFFFul, "MmCm")));

    private static Next FreePages(Processor p)
    {
        Ex.Free(p.Machine, p.Arg(0));
        return p.Return();
    }

    /// <summary>An address in physical memory: the same for every mapping of a page, another for every page.</summary>
    private static ulong PhysicalAddressOf(Processor p, ulong address)
    {
        var frame = p.Memory.FrameNumberOf(address);
        return frame == 0 ? 0 : frame << 12 | address & 0xFFF;
    }
}
