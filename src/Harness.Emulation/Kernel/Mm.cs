using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Memory manager: MDLs and mappings.</summary>
internal static partial class Mm
{
    // MDL: Next +0, Size +8, MdlFlags +0xA, Process +0x10, MappedSystemVa +0x18, StartVa +0x20, ByteCount +0x28, ByteOffset +0x2C, then PFNs (wdm.h).
    private const int MdlSize = 0x30;
    private const ushort MappedToSystemVa = 1, PagesLocked = 2, SourceIsNonPagedPool = 4, IoPageRead = 0x40, WriteOperation = 0x80;

    public static void Define(NtRoutines nt)
    {
    }

    /// <summary>An MDL for a client's buffer, its pages locked and mapped into system space.</summary>
    public static ulong CreateLockedMdl(Processor p, ulong address, uint length) =>
        throw new UnmodelledException("direct I/O", "requests whose buffer is described by an MDL");

    /// <summary>Unlocks and frees the MDLs of a completed IRP.</summary>
    public static void FreeMdls(Processor p, Irp irp)
    {
    }
}
