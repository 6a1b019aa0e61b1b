namespace Harness.Core.Nt;

/// <summary>
/// KDDEBUGGER_DATA64, out of which a kernel debugger has the addresses of nt's variables, and the offsets of the fields it needs before it
/// has symbols: offsets in bytes of its own fields, as far as anybody here uses them. Addresses are 64 bits; what is called Offset… or Size… is
/// 16 but where said. Sources: wdbgexts.h; the offsets agree with the block of a real 19041 dump.
/// </summary>
public static class KdDebuggerDataLayout
{
    /// <summary>Of build 19041.</summary>
    public const int SizeInBytes = 0x380;

    /// <summary>LIST_ENTRY64.</summary>
    public const int List = 0;

    /// <summary>"KDBG".</summary>
    public const int OwnerTag = 0x10;

    /// <summary>32 bits: <see cref="SizeInBytes"/>.</summary>
    public const int Size = 0x14;
    public const int KernBase = 0x18;
    public const int PsLoadedModuleList = 0x48;
    public const int PsActiveProcessHead = 0x50;

    /// <summary>The address of a pointer to the HANDLE_TABLE of process and thread IDs.</summary>
    public const int PspCidTable = 0x58;

    /// <summary>The address of five quadwords: bug check code and parameters.</summary>
    public const int KiBugcheckData = 0x88;

    /// <summary>The page's size itself.</summary>
    public const int MmPageSize = 0x138;
    public const int MmHighestUserAddress = 0x1C8;
    public const int MmSystemRangeStart = 0x1D0;
    public const int MmUserProbeAddress = 0x1D8;
    public const int NtBuildLab = 0x208;
    public const int KiProcessorBlock = 0x218;

    /// <summary>The address of a pointer to a PHYSICAL_MEMORY_DESCRIPTOR.</summary>
    public const int MmPhysicalMemoryBlock = 0x270;
    public const int OffsetKThreadNextProcessor = 0x298;
    public const int OffsetKThreadTeb = 0x29A;
    public const int OffsetKThreadKernelStack = 0x29C;
    public const int OffsetKThreadInitialStack = 0x29E;
    public const int OffsetKThreadApcProcess = 0x2A0;
    public const int OffsetKThreadState = 0x2A2;
    public const int SizeEProcess = 0x2A8;
    public const int OffsetEprocessPeb = 0x2AA;
    public const int OffsetEprocessParentCid = 0x2AC;
    public const int OffsetEprocessDirectoryTableBase = 0x2AE;
    public const int SizePrcb = 0x2B0;
    public const int OffsetPrcbDpcRoutine = 0x2B2;
    public const int OffsetPrcbCurrentThread = 0x2B4;
    public const int OffsetPrcbMhz = 0x2B6;
    public const int OffsetPrcbCpuType = 0x2B8;
    public const int OffsetPrcbVendorString = 0x2BA;
    public const int OffsetPrcbProcStateContext = 0x2BC;
    public const int OffsetPrcbNumber = 0x2BE;
    public const int SizeEThread = 0x2C0;
    public const int SizePcr = 0x2E0;
    public const int OffsetPcrSelfPcr = 0x2E2;
    public const int OffsetPcrCurrentPrcb = 0x2E4;
    public const int OffsetPcrContainedPrcb = 0x2E6;
    public const int OffsetPrcbProcStateSpecialReg = 0x2F2;
    public const int GdtR0Code = 0x2F4;
    public const int GdtR0Data = 0x2F6;
    public const int GdtR0Pcr = 0x2F8;
    public const int GdtR3Code = 0x2FA;
    public const int GdtR3Data = 0x2FC;
    public const int GdtR3Teb = 0x2FE;
    public const int GdtTss = 0x302;
    public const int OffsetPrcbContext = 0x338;

    /// <summary>32 bits, as the next two.</summary>
    public const int OffsetKThreadStackLimit = 0x340;
    public const int OffsetKThreadStackBase = 0x344;
    public const int OffsetEThreadIrpList = 0x34C;
    public const int OffsetPrcbIdleThread = 0x350;
    public const int OffsetKThreadWaitReason = 0x35C;
}

/// <summary>DBGKD_GET_VERSION64 (wdbgexts.h): what a debugger asks a kernel first. Offsets in bytes; 16 bits each where not said.</summary>
public static class KdVersionLayout
{
    /// <summary>0xF: a free build.</summary>
    public const int MajorVersion = 0;

    /// <summary>The build number.</summary>
    public const int MinorVersion = 2;

    /// <summary>8 bits: DBGKD_64BIT_PROTOCOL_VERSION2, 6.</summary>
    public const int ProtocolVersion = 4;

    /// <summary>8 bits: KD_SECONDARY_VERSION_AMD64_CONTEXT, 2.</summary>
    public const int KdSecondaryVersion = 5;

    /// <summary>DBGKD_VERS_FLAG_MP 1, _DATA 2, _PTR64 4.</summary>
    public const int Flags = 6;
    public const int MachineType = 8;

    /// <summary>64 bits, as the next two.</summary>
    public const int KernBase = 0x10;
    public const int PsLoadedModuleList = 0x18;

    /// <summary>The list of debugger data blocks.</summary>
    public const int DebuggerDataList = 0x20;
}
