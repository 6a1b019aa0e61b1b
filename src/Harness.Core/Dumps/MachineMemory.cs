using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>A machine's kernel memory as one kind of file tells it, before anything in it was checked.</summary>
/// <param name="Kind">"kernel memory dump (bitmap)".</param>
/// <param name="Build">NT build number.</param>
/// <param name="ActiveProcessHead">PsActiveProcessHead.</param>
/// <param name="LoadedModuleList">PsLoadedModuleList.</param>
internal sealed record MachineMemory(string Kind, int Build, KernelAddress ActiveProcessHead, KernelAddress LoadedModuleList)
{
    private static readonly BlockMemory Nothing = new(new FileBytes([]), []);

    public VirtualMemory Memory { get; init; } = Nothing;

    /// <summary>By which its structures are read; null until that is known.</summary>
    public NtLayout? Layout { get; init; }

    /// <summary>What the kernel's own PDB tells; null without one.</summary>
    public IImageSymbols? KernelSymbols { get; init; }

    /// <summary>Bytes of physical memory in the file; 0 for one that holds virtual memory.</summary>
    public ulong PhysicalBytes { get; init; }

    /// <summary>0: the file doesn't tell.</summary>
    public int Processors { get; init; }

    /// <summary>Bug check code, 0x161 for a live dump; null where the machine did not stop.</summary>
    public uint? BugCheck { get; init; }

    /// <summary>Its four parameters; none when the file doesn't tell.</summary>
    public IReadOnlyList<ulong> BugCheckParameters { get; init; } = [];

    /// <summary>KdDebuggerDataBlock; null pointer where the file doesn't tell.</summary>
    public KernelAddress DebuggerData { get; init; }

    /// <summary>Physical address of the System process's top page table.</summary>
    public ulong DirectoryTable { get; init; }

    /// <summary>What is wrong with the file, although it can be read.</summary>
    public List<string> Notes { get; } = [];
}

/// <summary>Memory whose build and lists are not known yet.</summary>
internal sealed class UnnamedMemory(VirtualMemory memory) : IKernelMemory
{
    public int Build => 0;

    public KernelAddress ActiveProcessHead => KernelAddress.Null;

    public KernelAddress LoadedModuleList => KernelAddress.Null;

    public bool TryRead(KernelAddress address, Span<byte> destination) => memory.TryRead(address, destination);
}
