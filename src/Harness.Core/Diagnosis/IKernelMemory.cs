using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// Kernel memory of one machine at one moment: a live emulated guest, a crash dump, a live dump. Everything the diagnosis knows it reads
/// through this, so what it says of a dump and of an emulated run comes from the same code.
/// </summary>
public interface IKernelMemory
{
    /// <summary>NT build number (19041…).</summary>
    int Build { get; }

    /// <summary>Where the fields of its structures lie: the table's row of the build, unless somebody knows better.</summary>
    /// <exception cref="UnknownBuildException">No layouts are known for the build.</exception>
    NtLayout Layout => NtLayout.ForBuild(Build);

    /// <summary>Symbols of its images; null: names come from exports and the table.</summary>
    ISymbols? Symbols => null;

    /// <summary>Address of nt!PsActiveProcessHead.</summary>
    KernelAddress ActiveProcessHead { get; }

    /// <summary>Address of nt!PsLoadedModuleList.</summary>
    KernelAddress LoadedModuleList { get; }

    /// <summary>Address of nt!PspCidTable, the table of process and thread IDs; null pointer: nobody tells where it is.</summary>
    KernelAddress ProcessIdTable => KernelAddress.Null;

    /// <summary>Reads virtual memory in the system's address space; false when any byte of it is absent.</summary>
    bool TryRead(KernelAddress address, Span<byte> destination);
}
