namespace Harness.Core.Nt;

/// <summary>
/// DUMP_HEADER64, the first 0x2000 bytes of a kernel dump of x64: offsets in bytes. Sources: the MIT-licensed kdmp-parser, QEMU's
/// win_dump_defs.h, and what dbgeng reads. What nobody sets holds "PAGE" over and over.
/// </summary>
public static class DumpHeaderLayout
{
    public const int SizeInBytes = 0x2000;

    /// <summary>"PAGEDU64".</summary>
    public const int Signature = 0;

    /// <summary>0xF: a free build.</summary>
    public const int MajorVersion = 0x8;

    /// <summary>The build number.</summary>
    public const int MinorVersion = 0xC;

    /// <summary>CR3 of the System process.</summary>
    public const int DirectoryTableBase = 0x10;
    public const int PfnDataBase = 0x18;
    public const int PsLoadedModuleList = 0x20;
    public const int PsActiveProcessHead = 0x28;

    /// <summary>IMAGE_FILE_MACHINE_AMD64: 0x8664.</summary>
    public const int MachineImageType = 0x30;
    public const int NumberProcessors = 0x34;
    public const int BugCheckCode = 0x38;
    public const int BugCheckParameter1 = 0x40;
    public const int KdDebuggerDataBlock = 0x80;

    /// <summary>PHYSICAL_MEMORY_DESCRIPTOR: ULONG NumberOfRuns, ULONG64 NumberOfPages at +8, then { BasePage, PageCount } of 8 bytes each from +0x10.</summary>
    public const int PhysicalMemoryBlock = 0x88;

    /// <summary>PHYSICAL_MEMORY_RUNs for which the 700 bytes of PhysicalMemoryBlock have room.</summary>
    public const int MostRuns = 42;

    /// <summary>CONTEXT of the processor that stopped the machine.</summary>
    public const int ContextRecord = 0x348;

    /// <summary>EXCEPTION_RECORD64.</summary>
    public const int Exception = 0xF00;
    public const int DumpType = 0xF98;

    /// <summary>The file's length.</summary>
    public const int RequiredDumpSpace = 0xFA0;

    /// <summary>In 100 ns units since 1601.</summary>
    public const int SystemTime = 0xFA8;

    /// <summary>128 characters.</summary>
    public const int Comment = 0xFB0;

    /// <summary>In 100 ns units.</summary>
    public const int SystemUpTime = 0x1030;
    public const int MiniDumpFields = 0x1038;
    public const int SecondaryDataState = 0x103C;
    public const int ProductType = 0x1040;
    public const int SuiteMask = 0x1044;
    public const int WriterStatus = 0x1048;
    public const int KdSecondaryVersion = 0x104D;
    public const int Attributes = 0x1050;
    public const int BootId = 0x1054;
}

/// <summary>The header of a bitmap dump, right after DUMP_HEADER64; offsets in bytes. Sources: as <see cref="DumpHeaderLayout"/>.</summary>
public static class BitmapDumpLayout
{
    /// <summary>"FDMP": user pages too; "SDMP": the kernel's half alone. "DUMP" follows.</summary>
    public const int Signature = 0;

    /// <summary>Offset in the file of the first page.</summary>
    public const int HeaderSize = 0x20;

    /// <summary>Pages in the file.</summary>
    public const int Pages = 0x28;

    /// <summary>Bits of the bitmap: the highest page frame number + 1.</summary>
    public const int BitmapSize = 0x30;

    /// <summary>A bit for each page frame, the lowest first; the pages whose bits are set follow in their order.</summary>
    public const int Bitmap = 0x38;
}
