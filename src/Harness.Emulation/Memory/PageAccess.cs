namespace Harness.Emulation.Memory;

/// <summary>What may be done with a guest page.</summary>
[Flags]
public enum PageAccess : byte
{
    /// <summary>No page is there.</summary>
    None = 0,

    /// <summary>Loads.</summary>
    Read = 1,

    /// <summary>Stores. The processor keeps CR0.WP: kernel code faults on a read-only page too.</summary>
    Write = 2,

    /// <summary>Instruction fetches.</summary>
    Execute = 4,

    /// <summary>An instruction fetch here is a call into the emulated nt: the processor stops before it.</summary>
    Slots = 8,

    /// <summary>The page belongs to user mode.</summary>
    User = 16,

    /// <summary>The page may be paged out at any time: only code below DISPATCH_LEVEL can count on it.</summary>
    Pageable = 32,
}

/// <summary>One mapped page.</summary>
/// <param name="Space">The user half it is in; 0 for the kernel half.</param>
/// <param name="Address">Its first byte.</param>
/// <param name="Access">What may be done with it.</param>
/// <param name="FrameNumber">The frame of physical memory it shows; several pages may show one.</param>
public readonly record struct MappedPage(ulong Space, ulong Address, PageAccess Access, ulong FrameNumber);

/// <summary>A saved state of a <see cref="GuestMemory"/>; a ticket, not a copy.</summary>
public readonly record struct MemoryState
{
    internal MemoryState(int depth, long stamp)
    {
        Depth = depth;
        Stamp = stamp;
    }

    internal int Depth { get; }

    internal long Stamp { get; }
}

/// <summary>The emulated kernel itself touched guest memory that is not mapped.</summary>
public sealed class GuestAccessException(ulong address, bool write = false) : Exception($"guest address 0x{address:x} is not mapped")
{
    /// <summary>The first byte that is not there.</summary>
    public ulong Address { get; } = address;

    /// <summary>It was to be written.</summary>
    public bool IsWrite { get; } = write;
}

/// <summary>Why an access by a guest instruction was refused.</summary>
internal enum RefusedBy
{
    Nothing,
    Paging,
    Shadow,
    NonCanonical,

    /// <summary>The page is there by luck: at this IRQL nobody could bring it in.</summary>
    Irql,
}

/// <summary>A refused access by a guest instruction.</summary>
/// <param name="By">What refused it.</param>
/// <param name="Address">Paging: the first byte of the access on the refusing page. Otherwise the first byte of the access.</param>
/// <param name="Detail">Paging: the x64 page-fault error code. Shadow: bits 0–7 the first poisoned shadow byte, 8–15 the size in bytes, 16 set for a store.</param>
internal readonly record struct Refusal(RefusedBy By, ulong Address, ulong Detail);

/// <summary>Told when bytes that were handed out as code change, move or lose their permission.</summary>
internal interface ICodeWatcher
{
    void CodeChanged();
}
