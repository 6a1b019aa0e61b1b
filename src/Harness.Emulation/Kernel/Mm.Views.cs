using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>The pages of an MDL at a second address.</summary>
internal static partial class Mm
{
    private static void DefineMappings(NtRoutines nt)
    {
        // MmMapLockedPagesSpecifyCache(Mdl, AccessMode, CacheType, RequestedAddress, BugCheckOnFailure, Priority)
        nt.Add("MmMapLockedPagesSpecifyCache", p => p.Return(MapMdl(p, p.Arg(0), (ProcessorMode)p.Arg8(1))));
        nt.Add("MmMapLockedPages", p => p.Return(MapMdl(p, p.Arg(0), (ProcessorMode)p.Arg8(1))));
        // MmUnmapLockedPages(BaseAddress, Mdl)
        nt.Add("MmUnmapLockedPages", p =>
        {
            var (address, mdl) = (p.Arg(0), p.Arg(1));
            if (AddressMap.IsUser(address)) p.Memory.Unmap(address & ~0xFFFul, (ulong)PagesOf(p, mdl) * 0x1000);
            else Unmap(p, mdl);
            return p.Return();
        });
        nt.Add("MmProtectMdlSystemAddress", p =>
        {
            // PAGE_READONLY 2, PAGE_READWRITE 4, PAGE_EXECUTE_READ 0x20, PAGE_EXECUTE_READWRITE 0x40.
            if ((FlagsOf(p, p.Arg(0)) & MappedToSystemVa) == 0) return p.Return(new NtStatus(0xC0000019));
            var access = p.Arg32(1) switch
            {
                2 => PageAccess.Read,
                4 => PageAccess.Read | PageAccess.Write,
                _ => throw new UnmodelledException("nt!MmProtectMdlSystemAddress", $"protection 0x{p.Arg32(1):x}"),
            };
            p.Memory.Protect(p.Memory.ReadU64(p.Arg(0) + 0x18) & ~0xFFFul, (ulong)PagesOf(p, p.Arg(0)) * 0x1000, access);
            return p.Return(NtStatus.Success);
        });
        // MmAllocatePagesForMdl(Low, High, Skip, TotalBytes); the Ex one has more. The pages are zero and have no address until they are mapped.
        nt.Add("MmAllocatePagesForMdl", AllocatePagesForMdl);
        nt.Add("MmAllocatePagesForMdlEx", AllocatePagesForMdl);
        nt.Add("MmFreePagesFromMdl", p =>
        {
            if ((FlagsOf(p, p.Arg(0)) & MappedToSystemVa) != 0) Unmap(p, p.Arg(0));
            SetFlags(p, p.Arg(0), (ushort)(FlagsOf(p, p.Arg(0)) & ~PagesLocked));
            return p.Return();
        });
    }

    private static ulong MapMdl(Processor p, ulong mdl, ProcessorMode mode)
    {
        var m = p.Memory;
        var flags = FlagsOf(p, mdl);
        if ((flags & (PagesLocked | SourceIsNonPagedPool | Partial)) == 0) throw new UnmodelledException("nt!" + p.RoutineName, "an MDL whose pages are not locked");
        var frames = new ulong[PagesOf(p, mdl)];
        for (var i = 0; i < frames.Length; i++) frames[i] = m.ReadU64(mdl + MdlSize + ((ulong)i * 8));
        var bytes = (ulong)frames.Length * 0x1000;
        var offset = m.ReadU32(mdl + 0x2C);
        if (mode == ProcessorMode.UserMode)
        {
            var view = NtData.TakeUserView(m, bytes + 0x1000);
            m.MapFrames(view, frames, PageAccess.Read | PageAccess.Write | PageAccess.User);
            return view + offset;
        }
        // A page between two views belongs to nobody.
        var at = NtData.TakeSystemView(m, bytes + 0x1000);
        m.MapFrames(at, frames, PageAccess.Read | PageAccess.Write);
        m.WriteU64(mdl + 0x18, at + offset);
        SetFlags(p, mdl, (ushort)(flags | MappedToSystemVa | ((flags & Partial) != 0 ? PartialHasBeenMapped : 0)));
        return at + offset;
    }

    /// <summary>Takes the system view of an MDL away. The view of nonpaged pool, or of a partial MDL's parent, is not its own.</summary>
    private static void Unmap(Processor p, ulong mdl)
    {
        var m = p.Memory;
        var flags = FlagsOf(p, mdl);
        if ((flags & MappedToSystemVa) == 0 || (flags & ParentMappedSystemVa) != 0 && (flags & PartialHasBeenMapped) == 0)
            throw new UnmodelledException("nt!MmUnmapLockedPages", "an MDL that has no mapping of its own");
        m.Unmap(m.ReadU64(mdl + 0x18) & ~0xFFFul, (ulong)PagesOf(p, mdl) * 0x1000);
        SetFlags(p, mdl, (ushort)(flags & ~(MappedToSystemVa | PartialHasBeenMapped)));
        m.WriteU64(mdl + 0x18, 0);
    }

    private static Next AllocatePagesForMdl(Processor p)
    {
        var bytes = (p.Arg(3) + 0xFFF) & ~0xFFFul;
        if (bytes == 0 || bytes > 0x10000000) return p.Return();
        var mdl = CreateMdl(p.Machine, 0, (uint)bytes);
        var pages = Ex.Allocate(p.Machine, Ex.NonPaged, bytes, "MmPg");
        p.Memory.Fill(pages, bytes, 0);
        for (var i = 0ul; i < bytes / 0x1000; i++) p.Memory.WriteU64(mdl + MdlSize + (i * 8), p.Memory.FrameNumberOf(pages + (i * 0x1000)));
        SetFlags(p, mdl, PagesLocked);
        return p.Return(mdl);
    }
}
