using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Lookaside lists, which drivers read inline. GENERAL_LOOKASIDE: ListHead +0, Depth +0x10, MaximumDepth +0x12, Type +0x24, Tag +0x28,
/// Size +0x2C, Allocate +0x30, Free +0x38, ListEntry +0x40 (wdm.h); 0x80 bytes with its padding.
/// </summary>
internal static partial class Ex
{
    /// <summary>GENERAL_LOOKASIDE.ListEntry: nt adjusts the depth of each list that it finds here.</summary>
    public const ulong LookasideEntry = 0x40;

    private static void DefineLookaside(NtRoutines nt)
    {
        // (Lookaside, Allocate, Free, Flags, Size, Tag, Depth)
        nt.Add("ExInitializeNPagedLookasideList", p => InitializeLookaside(p, p.Arg32(3) | NonPaged, p.Arg(4), p.Arg32(5)));
        nt.Add("ExInitializePagedLookasideList", p => InitializeLookaside(p, p.Arg32(3) | Paged, p.Arg(4), p.Arg32(5)));
        // (Lookaside, Allocate, Free, PoolType, Flags, Size, Tag, Depth)
        nt.Add("ExInitializeLookasideListEx", p => InitializeLookaside(p, p.Arg32(3), p.Arg(5), p.Arg32(6)));
        foreach (var name in (string[])["ExDeleteNPagedLookasideList", "ExDeletePagedLookasideList", "ExDeleteLookasideListEx"])
            nt.Add(name, p =>
            {
                TakeOff(NtData.Lookasides(p.Memory), p.Arg(0) + LookasideEntry);
                return p.Goto(1);
            }, FreeNextOfLookaside);
        nt.Add("ExFlushLookasideListEx", p => p.Goto(1), FreeNextOfLookaside);
        // What older headers call instead of inlining it.
        nt.Add("ExAllocateFromNPagedLookasideList", AllocateFromLookaside, p => p.Return(p.Result));
        nt.Add("ExAllocateFromPagedLookasideList", AllocateFromLookaside, p => p.Return(p.Result));
        nt.Add("ExFreeToNPagedLookasideList", FreeToLookaside, p => p.Return());
        nt.Add("ExFreeToPagedLookasideList", FreeToLookaside, p => p.Return());
    }

    private static Next InitializeLookaside(Processor p, uint type, ulong size, uint tag)
    {
        var (m, list) = (p.Memory, p.Arg(0));
        TakeOff(NtData.Lookasides(m), list + LookasideEntry);
        m.Fill(list, 0x60, 0);
        // A depth of zero, as Driver Verifier has it: nothing is kept, so that whoever touches a freed entry is seen.
        m.WriteU16(list + 0x12, 256);
        m.WriteU32(list + 0x24, type);
        m.WriteU32(list + 0x28, tag);
        m.WriteU32(list + 0x2C, (uint)Math.Max(size, 8));
        m.WriteU64(list + 0x30, p.Arg(1) != 0 ? p.Arg(1) : NtImage.Instance["ExAllocatePoolWithTag"]);
        m.WriteU64(list + 0x38, p.Arg(2) != 0 ? p.Arg(2) : NtImage.Instance["ExFreePool"]);
        NtData.Lookasides(m).InsertTail(new Structures.ListHead(m, list + LookasideEntry));
        return p.Return(NtStatus.Success);
    }

    private static Next FreeNextOfLookaside(Processor p)
    {
        var entry = p.Memory.ReadU64(p.Arg(0) + 8);
        if (entry == 0) return p.Return();
        SetSList(p, p.Memory.ReadU64(entry), -1);
        return p.Call(p.Memory.ReadU64(p.Arg(0) + 0x38), 1, entry, p.Arg(0));
    }

    private static Next AllocateFromLookaside(Processor p)
    {
        var (m, list) = (p.Memory, p.Arg(0));
        m.WriteU32(list + 0x14, m.ReadU32(list + 0x14) + 1);
        var entry = m.ReadU64(list + 8);
        if (entry != 0)
        {
            SetSList(p, m.ReadU64(entry), -1);
            return p.Return(entry);
        }
        m.WriteU32(list + 0x18, m.ReadU32(list + 0x18) + 1);
        return p.Call(m.ReadU64(list + 0x30), 1, m.ReadU32(list + 0x24), m.ReadU32(list + 0x2C), m.ReadU32(list + 0x28), list);
    }

    private static Next FreeToLookaside(Processor p)
    {
        var (m, list) = (p.Memory, p.Arg(0));
        m.WriteU32(list + 0x1C, m.ReadU32(list + 0x1C) + 1);
        if (m.ReadU16(list) < m.ReadU16(list + 0x10))
        {
            m.WriteU64(p.Arg(1), m.ReadU64(list + 8));
            SetSList(p, p.Arg(1), +1);
            return p.Return();
        }
        m.WriteU32(list + 0x20, m.ReadU32(list + 0x20) + 1);
        return p.Call(m.ReadU64(list + 0x38), 1, p.Arg(1), list);
    }
}
