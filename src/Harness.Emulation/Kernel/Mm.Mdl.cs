using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Memory descriptor lists. A locked MDL has the frame numbers of its pages, and mapping it shows those very frames at a system address:
/// whoever writes at one address is seen at the other, from any process.
/// </summary>
internal static partial class Mm
{
    // MDL: Next +0, Size +8, MdlFlags +0xA, Process +0x10, MappedSystemVa +0x18, StartVa +0x20, ByteCount +0x28, ByteOffset +0x2C, then PFNs (wdm.h).
    private const int MdlSize = 0x30;
    private const ushort MappedToSystemVa = 1, PagesLocked = 2, SourceIsNonPagedPool = 4, AllocatedFixedSize = 8, Partial = 0x10, PartialHasBeenMapped = 0x20, IoPageRead = 0x40, WriteOperation = 0x80, ParentMappedSystemVa = 0x100;

    private static void DefineDescriptors(NtRoutines nt)
    {
        nt.Add("MmSizeOfMdl", p => p.Return(SizeOfMdl(p.Arg(0), p.Arg(1))));
        nt.Add("IoAllocateMdl", AllocateMdl);
        nt.Add("IoFreeMdl", p =>
        {
            FreeMdl(p, p.Arg(0));
            return p.Return();
        });
        // IoBuildPartialMdl(SourceMdl, TargetMdl, VirtualAddress, Length)
        nt.Add("IoBuildPartialMdl", BuildPartial);
        nt.Add("MmBuildMdlForNonPagedPool", p =>
        {
            var mdl = p.Arg(0);
            FillFrames(p, mdl);
            p.Memory.WriteU64(mdl + 0x10, 0);
            p.Memory.WriteU64(mdl + 0x18, AddressOf(p, mdl));
            SetFlags(p, mdl, (ushort)(FlagsOf(p, mdl) | SourceIsNonPagedPool));
            return p.Return();
        });
        // MmProbeAndLockPages(Mdl, AccessMode, Operation): IoReadAccess 0, IoWriteAccess 1, IoModifyAccess 2.
        nt.Add("MmProbeAndLockPages", p =>
        {
            Lock(p, p.Arg(0), (ProcessorMode)p.Arg8(1), p.Arg32(2) != 0);
            return p.Return();
        });
        nt.Add("MmUnlockPages", p =>
        {
            Unlock(p, p.Arg(0));
            return p.Return();
        });
    }

    private static ushort FlagsOf(Processor p, ulong mdl) => p.Memory.ReadU16(mdl + 0xA);

    private static void SetFlags(Processor p, ulong mdl, ushort flags) => p.Memory.WriteU16(mdl + 0xA, flags);

    /// <summary>MmGetMdlVirtualAddress.</summary>
    private static ulong AddressOf(Processor p, ulong mdl) => p.Memory.ReadU64(mdl + 0x20) + p.Memory.ReadU32(mdl + 0x2C);

    private static uint LengthOf(Processor p, ulong mdl) => p.Memory.ReadU32(mdl + 0x28);

    private static int PagesOf(Processor p, ulong mdl) => Pages(AddressOf(p, mdl), LengthOf(p, mdl));

    /// <summary>ADDRESS_AND_SIZE_TO_SPAN_PAGES.</summary>
    private static int Pages(ulong address, ulong length) => (int)(((address & 0xFFF) + length + 0xFFF) >> 12);

    private static ulong SizeOfMdl(ulong address, ulong length) => MdlSize + ((ulong)Pages(address, length) * 8);

    /// <summary>A process is about to go: the pages that somebody locked in it and has not unlocked are the end of the machine.</summary>
    public static void RequireUnlocked(Machine machine, Structures.Process process)
    {
        if (process.LockedPages == 0) return;
        var m = machine.Memory;
        var record = Ex.Records(m).FirstOrDefault(record => record.Tag == Ex.TagOf("Mdl ") && m.ReadU64(record.Block + 0x10) == process.Address && (m.ReadU16(record.Block + 0xA) & PagesLocked) != 0);
        var block = record.Address == 0 ? null : Ex.Told(machine, record);
        var by = block?.AllocatedBy is [var first, ..] ? first : "nt";
        throw new DriverFaultException("locked-pages-at-exit", by, $"{process.LockedPages} pages of {machine.ProcessName(process)} are still locked{(by == "nt" ? "" : $" by an MDL that {by} allocated")} when the process goes (Windows: bug check 0x76, PROCESS_HAS_LOCKED_PAGES).") { Block = block };
    }

    private static ulong CreateMdl(Machine machine, ulong address, uint length)
    {
        var m = machine.Memory;
        var size = SizeOfMdl(address, length);
        var mdl = Ex.Allocate(machine, Ex.NonPaged, size, "Mdl ");
        m.Fill(mdl, size, 0);
        m.WriteU16(mdl + 8, (ushort)size);
        m.WriteU64(mdl + 0x20, address & ~0xFFFul);
        m.WriteU32(mdl + 0x28, length);
        m.WriteU32(mdl + 0x2C, (uint)address & 0xFFF);
        return mdl;
    }

    // IoAllocateMdl(VirtualAddress, Length, SecondaryBuffer, ChargeQuota, Irp)
    private static Next AllocateMdl(Processor p)
    {
        if (p.Arg32(1) > 0x7FFFFFFF) return p.Return();
        var mdl = Ex.OwnedByCaller(p.Machine, CreateMdl(p.Machine, p.Arg(0), p.Arg32(1)));
        if (p.Arg(4) == 0) return p.Return(mdl);
        var irp = new Irp(p.Memory, p.Arg(4));
        if (p.Arg8(2) == 0 || irp.MdlAddress == 0)
        {
            irp.MdlAddress = mdl;
            return p.Return(mdl);
        }
        var last = irp.MdlAddress;
        while (p.Memory.ReadU64(last) != 0) last = p.Memory.ReadU64(last);
        p.Memory.WriteU64(last, mdl);
        return p.Return(mdl);
    }

    private static void FreeMdl(Processor p, ulong mdl)
    {
        if ((FlagsOf(p, mdl) & PartialHasBeenMapped) != 0) Unmap(p, mdl);
        Ex.Free(p.Machine, mdl);
    }

    private static void FillFrames(Processor p, ulong mdl)
    {
        var page = p.Memory.ReadU64(mdl + 0x20);
        for (var i = 0; i < PagesOf(p, mdl); i++)
            p.Memory.WriteU64(mdl + MdlSize + ((ulong)i * 8), p.Memory.FrameNumberOf(page + ((ulong)i * 0x1000)));
    }

    /// <summary>Locks the pages of the current space.</summary>
    /// <exception cref="RaisedStatusException">STATUS_ACCESS_VIOLATION: a page isn't there, or not as the operation needs it.</exception>
    private static void Lock(Processor p, ulong mdl, ProcessorMode mode, bool write)
    {
        var (address, length) = (AddressOf(p, mdl), LengthOf(p, mdl));
        if (mode == ProcessorMode.UserMode && length != 0 && !AddressMap.IsUser(address + length - 1)) throw new RaisedStatusException(NtStatus.AccessViolation);
        var wanted = write ? PageAccess.Write : PageAccess.Read;
        for (var page = address & ~0xFFFul; page < address + length; page += 0x1000)
            if ((p.Memory.AccessOf(page) & wanted) == 0) throw new RaisedStatusException(NtStatus.AccessViolation);
        FillFrames(p, mdl);
        p.Memory.WriteU64(mdl + 0x10, 0);
        if (AddressMap.IsUser(address))
        {
            var process = p.CurrentProcess;
            p.Memory.WriteU64(mdl + 0x10, process.Address);
            process.LockedPages += (ulong)PagesOf(p, mdl);
            // Locked pages stay, at whatever IRQL; that they may be paged out again after the unlocking is not modelled.
            for (var page = address & ~0xFFFul; page < address + length; page += 0x1000)
                if (p.Memory.AccessOf(page) is var access && (access & PageAccess.Pageable) != 0) p.Memory.Protect(page, 0x1000, access & ~PageAccess.Pageable);
        }
        SetFlags(p, mdl, (ushort)(FlagsOf(p, mdl) | PagesLocked | (write ? WriteOperation : 0)));
    }

    private static void Unlock(Processor p, ulong mdl)
    {
        // PROCESS_HAS_LOCKED_PAGES and its like begin here: pages unlocked twice. Windows finds it in the page's lock count.
        if ((FlagsOf(p, mdl) & PagesLocked) == 0) throw new BugCheckException(0x4E, 7, p.Memory.ReadU64(mdl + MdlSize), 0, 0);
        if ((FlagsOf(p, mdl) & MappedToSystemVa) != 0) Unmap(p, mdl);
        SetFlags(p, mdl, (ushort)(FlagsOf(p, mdl) & ~(PagesLocked | WriteOperation)));
        if (p.Memory.ReadU64(mdl + 0x10) is not 0 and var owner)
        {
            var process = new Structures.Process(p.Memory, owner);
            process.LockedPages -= (ulong)PagesOf(p, mdl);
        }
        p.Memory.WriteU64(mdl + 0x10, 0);
    }

    private static Next BuildPartial(Processor p)
    {
        var m = p.Memory;
        var (source, target, address) = (p.Arg(0), p.Arg(1), p.Arg(2));
        var from = AddressOf(p, source);
        var length = p.Arg32(3) != 0 ? p.Arg32(3) : LengthOf(p, source) - (uint)(address - from);
        // TARGET_MDL_TOO_SMALL.
        if (SizeOfMdl(address, length) > m.ReadU16(target + 8)) throw new BugCheckException(0x40, 0, 0, 0, 0);
        var parent = FlagsOf(p, source);
        var flags = FlagsOf(p, target) & AllocatedFixedSize | parent & (SourceIsNonPagedPool | MappedToSystemVa | IoPageRead) | Partial;
        if ((parent & (MappedToSystemVa | SourceIsNonPagedPool)) != 0) flags |= ParentMappedSystemVa;
        m.WriteU64(target + 0x10, m.ReadU64(source + 0x10));
        m.WriteU64(target + 0x18, (flags & ParentMappedSystemVa) != 0 ? m.ReadU64(source + 0x18) + (address - from) : 0);
        m.WriteU64(target + 0x20, address & ~0xFFFul);
        m.WriteU32(target + 0x28, length);
        m.WriteU32(target + 0x2C, (uint)address & 0xFFF);
        SetFlags(p, target, (ushort)flags);
        var first = (address >> 12) - (from >> 12);
        for (var i = 0ul; i < (ulong)Pages(address, length); i++) m.WriteU64(target + MdlSize + (i * 8), m.ReadU64(source + MdlSize + ((first + i) * 8)));
        return p.Return();
    }

    /// <summary>An MDL for a requestor's buffer, its pages locked. The I/O manager has probed it already.</summary>
    public static ulong CreateLockedMdl(Processor p, ulong address, uint length)
    {
        var mdl = CreateMdl(p.Machine, address, length);
        Lock(p, mdl, ProcessorMode.KernelMode, (p.Memory.AccessOf(address) & PageAccess.Write) != 0);
        return mdl;
    }

    /// <summary>Unlocks and frees the MDLs of a completed IRP.</summary>
    public static void FreeMdls(Processor p, Irp irp)
    {
        for (var mdl = irp.MdlAddress; mdl != 0;)
        {
            var next = p.Memory.ReadU64(mdl);
            if ((FlagsOf(p, mdl) & PagesLocked) != 0) Unlock(p, mdl);
            FreeMdl(p, mdl);
            mdl = next;
        }
        irp.MdlAddress = 0;
    }
}
