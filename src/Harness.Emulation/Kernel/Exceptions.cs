using Harness.Core.Evidence;
using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>The emulated kernel stops the machine: a bug check as Microsoft's reference numbers it.</summary>
internal sealed class BugCheckException(uint code, ulong p1, ulong p2, ulong p3, ulong p4) : Exception($"bug check 0x{code:x}")
{
    public uint Code { get; } = code;

    /// <summary>The CONTEXT record of the code that is to blame; 0: it is what the processor's registers say.</summary>
    public ulong Context { get; init; }

    public IReadOnlyList<KernelAddress> Parameters { get; } = [new(p1), new(p2), new(p3), new(p4)];
}

/// <summary>The driver needs something that isn't modelled: the run is inconclusive from here.</summary>
/// <param name="what">"nt!KeXxx" or an instruction.</param>
/// <param name="detail">One sentence.</param>
internal sealed class UnmodelledException(string what, string detail) : Exception($"{what}: {detail}")
{
    public string What { get; } = what;

    public string Detail { get; } = detail;
}

/// <summary>The driver broke a rule that Windows does not enforce at once: a finding, and the end of the run.</summary>
/// <param name="id">The finding.</param>
/// <param name="by">"driver.sys+0x1234".</param>
/// <param name="detail">One sentence.</param>
internal sealed class DriverFaultException(string id, string by, string detail) : Exception($"{id}: {detail}")
{
    public string Id { get; } = id;

    public string By { get; } = by;

    public string Detail { get; } = detail;

    /// <summary>The pool it is about.</summary>
    public PoolBlock? Block { get; init; }
}

/// <summary>A routine of nt raises an exception into its caller (ExRaiseStatus).</summary>
internal sealed class RaisedStatusException(NtStatus status) : Exception(status.ToString())
{
    public NtStatus Status { get; } = status;
}

/// <summary>A routine of nt touched pageable memory for its caller at DISPATCH_LEVEL.</summary>
internal sealed class PageableAccessException(ulong address, int length, bool write) : Exception($"pageable bytes at 0x{address:x}")
{
    public ulong Address { get; } = address;

    /// <summary>In bytes.</summary>
    public int Length { get; } = length;

    public bool Write { get; } = write;
}

/// <summary>A run-time routine touched bytes for its caller that no correct driver touches.</summary>
internal sealed class PoisonedAccessException(ulong address, int length, bool write, byte shadow) : Exception($"poisoned bytes at 0x{address:x}")
{
    public ulong Address { get; } = address;

    /// <summary>In bytes.</summary>
    public int Length { get; } = length;

    public bool Write { get; } = write;

    /// <summary>The first poisoned shadow byte.</summary>
    public byte Shadow { get; } = shadow;
}
