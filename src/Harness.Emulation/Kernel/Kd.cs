using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// What nt keeps for a kernel debugger: where its variables are, and what its processors did when the machine was stopped. Nobody else reads it,
/// so that it is written when a dump is.
/// </summary>
internal static class Kd
{
    private const ushort Amd64 = 0x8664;

    /// <summary>KPRCB.MHz, .CpuType, .ProcessorState, .VendorString (public symbols of build 19041; the first two agree with a real dump's KDBG).</summary>
    private const uint PrcbMhz = 0x44, PrcbCpuType = 0x40, PrcbProcessorState = 0x100, PrcbDpcRoutineActive = 0x312A, PrcbVendorString = 0x8590, PrcbContext = 0x85C0;

    /// <summary>KPROCESSOR_STATE: KSPECIAL_REGISTERS, then CONTEXT (the same dump). Of the special registers those that the processor has.</summary>
    private const uint StateContext = 0xF0, SpecialCr0 = 0, SpecialCr2 = 8, SpecialCr3 = 0x10, SpecialCr4 = 0x18, SpecialGdtLimit = 0x56, SpecialGdtBase = 0x58, SpecialCr8 = 0xA0;

    private const uint PrcbBytes = 0xAF00, PcrBytes = 0xB080, PcrSelf = 0x18, PcrCurrentPrcb = 0x20, PcrPrcb = 0x180;

    // The selectors of 64-bit Windows, KGDT64_R0_CODE and so on with the requested privilege level (public symbols).
    private const ushort R0Code = 0x10, R0Data = 0x18, R3Data = 0x2B, R3Code = 0x33, Tss = 0x40, R3Teb = 0x53;

    /// <summary>Behind the KPCR, whose GdtBase is its first field.</summary>
    private const uint GdtFromPcr = 0xB100;

    // By selector / 8 (Intel SDM volume 3, 3.4.5): kernel code and data, 32-bit user code, user data, 64-bit user code.
    private static readonly ulong[] Gdt = [0, 0, 0x0020_9B00_0000_0000, 0x00CF_9300_0000_FFFF, 0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x0020_FB00_0000_0000];

    /// <summary>Writes KDDEBUGGER_DATA64, DBGKD_GET_VERSION64, and of every KPCR what leads to its processor's state.</summary>
    public static void Describe(Machine machine)
    {
        var m = machine.Memory;
        var nt = NtImage.Instance;
        var head = new ListHead(m, nt["KdpDebuggerDataListHead"]);
        head.Initialize();
        head.InsertTail(new ListHead(m, nt["KdDebuggerDataBlock"] + KdDebuggerDataLayout.List));
        WriteDebuggerData(m, nt);
        var version = nt["KdVersionBlock"];
        m.WriteU16(version + KdVersionLayout.MajorVersion, 0xF);
        m.WriteU16(version + KdVersionLayout.MinorVersion, Machine.Build);
        m.WriteU8(version + KdVersionLayout.ProtocolVersion, 6);
        m.WriteU8(version + KdVersionLayout.KdSecondaryVersion, 2);
        m.WriteU16(version + KdVersionLayout.Flags, (ushort)(2 | 4 | (machine.Processors.Count > 1 ? 1 : 0)));
        m.WriteU16(version + KdVersionLayout.MachineType, Amd64);
        m.WriteU64(version + KdVersionLayout.KernBase, NtImage.Base);
        m.WriteU64(version + KdVersionLayout.PsLoadedModuleList, nt["PsLoadedModuleList"]);
        m.WriteU64(version + KdVersionLayout.DebuggerDataList, head.Address);
        m.WriteU64(nt["MmPhysicalMemoryBlock"], NtData.PhysicalMemoryDescriptor);
        m.WriteU64(nt["PspCidTable"], WriteProcessIds(m));
        foreach (var p in machine.Processors)
        {
            m.WriteU32(p.Prcb + PrcbMhz, 2000);
            m.WriteU8(p.Prcb + PrcbCpuType, 6);
            m.Write(p.Prcb + PrcbVendorString, "GenuineIntel"u8);
            m.WriteU64(p.Prcb + PrcbContext, ContextOf(p).Address);
            m.WriteU64(p.Prcb - PcrPrcb, GdtOf(p));
            for (var i = 0; i < Gdt.Length; i++) m.WriteU64(GdtOf(p) + ((ulong)i * 8), Gdt[i]);
        }
    }

    /// <summary>Where a processor's registers are kept when the machine is stopped.</summary>
    public static ContextRecord ContextOf(Processor p) => new(p.Memory, p.Prcb + PrcbProcessorState + StateContext);

    /// <summary>Keeps the registers of every processor in its KPRCB, as a bug check does.</summary>
    public static void SaveProcessors(Machine machine)
    {
        foreach (var p in machine.Processors)
        {
            ref var r = ref p.Registers;
            var special = p.Prcb + PrcbProcessorState;
            p.Memory.WriteU64(special + SpecialCr0, r.Cr0);
            p.Memory.WriteU64(special + SpecialCr2, r.Cr2);
            p.Memory.WriteU64(special + SpecialCr3, r.Cr3);
            p.Memory.WriteU64(special + SpecialCr4, r.Cr4);
            p.Memory.WriteU64(special + SpecialCr8, r.Cr8);
            p.Memory.WriteU16(special + SpecialGdtLimit, (ushort)((Gdt.Length * 8) - 1));
            p.Memory.WriteU64(special + SpecialGdtBase, GdtOf(p));
            ContextOf(p).Capture(ref r);
            SaveSegments(ContextOf(p), user: AddressMap.IsUser(r.Rip) && AddressMap.IsUser(r.Rsp));
        }
    }

    /// <summary>ContextFlags with CONTEXT_SEGMENTS; SegCs, SegDs, SegEs, SegFs, SegGs, SegSs from +0x38 on (winnt.h), as 64-bit Windows has them.</summary>
    private static void SaveSegments(ContextRecord context, bool user)
    {
        context.Memory.WriteU32(context.Address + 0x30, 0x10000F);
        ReadOnlySpan<ushort> selectors = [user ? R3Code : R0Code, R3Data, R3Data, R3Teb, R3Data, user ? R3Data : R0Data];
        for (var i = 0; i < selectors.Length; i++) context.Memory.WriteU16(context.Address + 0x38 + ((ulong)i * 2), selectors[i]);
    }

    private static ulong GdtOf(Processor p) => p.Prcb - PcrPrcb + GdtFromPcr;

    private static void WriteDebuggerData(GuestMemory m, NtImage nt)
    {
        var at = nt["KdDebuggerDataBlock"];
        m.Write(at + KdDebuggerDataLayout.OwnerTag, "KDBG"u8);
        m.WriteU32(at + KdDebuggerDataLayout.Size, KdDebuggerDataLayout.SizeInBytes);
        m.WriteU64(at + KdDebuggerDataLayout.KernBase, NtImage.Base);
        m.WriteU64(at + KdDebuggerDataLayout.MmPageSize, GuestMemory.PageSize);
        foreach (var (field, variable) in ((int, string)[])
        [
            (KdDebuggerDataLayout.PsLoadedModuleList, "PsLoadedModuleList"), (KdDebuggerDataLayout.PsActiveProcessHead, "PsActiveProcessHead"),
            (KdDebuggerDataLayout.KiBugcheckData, "KiBugCheckData"), (KdDebuggerDataLayout.MmHighestUserAddress, "MmHighestUserAddress"),
            (KdDebuggerDataLayout.MmSystemRangeStart, "MmSystemRangeStart"), (KdDebuggerDataLayout.MmUserProbeAddress, "MmUserProbeAddress"),
            (KdDebuggerDataLayout.NtBuildLab, "NtBuildLab"), (KdDebuggerDataLayout.KiProcessorBlock, "KiProcessorBlock"),
            (KdDebuggerDataLayout.MmPhysicalMemoryBlock, "MmPhysicalMemoryBlock"), (KdDebuggerDataLayout.PspCidTable, "PspCidTable"),
        ])
            m.WriteU64(at + (uint)field, nt[variable]);
        foreach (var (field, value) in Offsets(NtLayout.ForBuild(Machine.Build))) m.WriteU16(at + (uint)field, (ushort)value);
    }

    /// <summary>HANDLE_TABLE of process and thread IDs: a page of pointers to pages of 256 entries. The emulated kernel itself looks them up on its lists.</summary>
    private static ulong WriteProcessIds(GuestMemory m)
    {
        const ulong Table = AddressMap.ProcessIds, Top = Table + GuestMemory.PageSize, Entries = Top + GuestMemory.PageSize;
        const int InPage = GuestMemory.PageSize / HandleTableLayout.EntrySize;
        var owners = new SortedDictionary<ulong, ulong>();
        foreach (var process in Ps.Processes(m)) owners[process.UniqueProcessId] = process.Address;
        foreach (var thread in Ps.Threads(m)) owners[thread.UniqueThread] = thread.Address;

        var pages = (owners.Count == 0 ? 0 : (owners.Keys.Last() / HandleTableLayout.HandleStep / InPage)) + 1;
        m.Map(Table, (2 + pages) * GuestMemory.PageSize, PageAccess.Read | PageAccess.Write);
        m.WriteU64(Table + HandleTableLayout.TableCode, Top | 1);
        for (ulong page = 0; page < pages; page++) m.WriteU64(Top + (page * 8), Entries + (page * GuestMemory.PageSize));
        foreach (var (id, address) in owners) m.WriteU64(Entries + (id / HandleTableLayout.HandleStep * HandleTableLayout.EntrySize), (address >> 4) << 20 | 1);
        return Table;
    }

    private static IEnumerable<(int Field, uint Value)> Offsets(NtLayout nt) =>
    [
        (KdDebuggerDataLayout.OffsetKThreadNextProcessor, 0x218), (KdDebuggerDataLayout.OffsetKThreadTeb, nt.KThread.Teb),
        (KdDebuggerDataLayout.OffsetKThreadKernelStack, nt.KThread.KernelStack), (KdDebuggerDataLayout.OffsetKThreadInitialStack, nt.KThread.InitialStack),
        (KdDebuggerDataLayout.OffsetKThreadApcProcess, nt.KThread.ApcState + nt.ApcState.Process), (KdDebuggerDataLayout.OffsetKThreadState, nt.KThread.State),
        (KdDebuggerDataLayout.OffsetKThreadStackLimit, nt.KThread.StackLimit), (KdDebuggerDataLayout.OffsetKThreadStackBase, nt.KThread.StackBase),
        (KdDebuggerDataLayout.OffsetKThreadWaitReason, nt.KThread.WaitReason), (KdDebuggerDataLayout.OffsetEThreadIrpList, nt.EThread.IrpList),
        (KdDebuggerDataLayout.SizeEProcess, nt.EProcess.SizeInBytes), (KdDebuggerDataLayout.OffsetEprocessPeb, nt.EProcess.Peb),
        (KdDebuggerDataLayout.OffsetEprocessParentCid, nt.EProcess.InheritedFromUniqueProcessId), (KdDebuggerDataLayout.OffsetEprocessDirectoryTableBase, nt.KProcess.DirectoryTableBase),
        (KdDebuggerDataLayout.SizeEThread, nt.EThread.SizeInBytes),
        (KdDebuggerDataLayout.SizePrcb, PrcbBytes), (KdDebuggerDataLayout.OffsetPrcbDpcRoutine, PrcbDpcRoutineActive), (KdDebuggerDataLayout.OffsetPrcbCurrentThread, nt.Prcb.CurrentThread),
        (KdDebuggerDataLayout.OffsetPrcbMhz, PrcbMhz), (KdDebuggerDataLayout.OffsetPrcbCpuType, PrcbCpuType), (KdDebuggerDataLayout.OffsetPrcbVendorString, PrcbVendorString),
        (KdDebuggerDataLayout.OffsetPrcbProcStateContext, PrcbProcessorState + StateContext), (KdDebuggerDataLayout.OffsetPrcbNumber, nt.Prcb.Number),
        (KdDebuggerDataLayout.OffsetPrcbProcStateSpecialReg, PrcbProcessorState), (KdDebuggerDataLayout.OffsetPrcbContext, PrcbContext), (KdDebuggerDataLayout.OffsetPrcbIdleThread, nt.Prcb.IdleThread),
        (KdDebuggerDataLayout.SizePcr, PcrBytes), (KdDebuggerDataLayout.OffsetPcrSelfPcr, PcrSelf), (KdDebuggerDataLayout.OffsetPcrCurrentPrcb, PcrCurrentPrcb), (KdDebuggerDataLayout.OffsetPcrContainedPrcb, PcrPrcb),
        (KdDebuggerDataLayout.GdtR0Code, R0Code), (KdDebuggerDataLayout.GdtR0Data, R0Data), (KdDebuggerDataLayout.GdtR3Code, R3Code), (KdDebuggerDataLayout.GdtR3Data, R3Data),
        (KdDebuggerDataLayout.GdtR3Teb, R3Teb), (KdDebuggerDataLayout.GdtTss, Tss),
    ];
}
