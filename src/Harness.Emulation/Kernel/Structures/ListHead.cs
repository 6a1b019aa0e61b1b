using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>LIST_ENTRY: the head of a list, or a link in one (ntdef.h).</summary>
internal readonly record struct ListHead(GuestMemory Memory, ulong Address)
{
    public ulong Flink
    {
        get => Memory.ReadU64(Address);
        set => Memory.WriteU64(Address, value);
    }

    public ulong Blink
    {
        get => Memory.ReadU64(Address + 8);
        set => Memory.WriteU64(Address + 8, value);
    }

    private const int MostEntries = 1_000_000;

    public bool IsEmpty => Flink == Address;

    public void Initialize()
    {
        Flink = Address;
        Blink = Address;
    }

    public void InsertTail(ListHead entry)
    {
        var last = Blink;
        entry.Flink = Address;
        entry.Blink = last;
        Memory.WriteU64(last, entry.Address);
        Blink = entry.Address;
    }

    public void InsertHead(ListHead entry)
    {
        var first = Flink;
        entry.Flink = first;
        entry.Blink = Address;
        Memory.WriteU64(first + 8, entry.Address);
        Flink = entry.Address;
    }

    /// <summary>Takes this entry out of its list and leaves it pointing at itself.</summary>
    public void Remove()
    {
        var next = Flink;
        var previous = Blink;
        Memory.WriteU64(previous, next);
        Memory.WriteU64(next + 8, previous);
        Initialize();
    }

    /// <summary>The entries' addresses, in order; entries may be removed while walking.</summary>
    public IEnumerable<ulong> Entries()
    {
        var left = MostEntries;
        for (var entry = Flink; entry != Address;)
        {
            // A list that leads back into itself (KERNEL_SECURITY_CHECK_FAILURE, 3: a corrupt LIST_ENTRY).
            if (left-- == 0) throw new BugCheckException(0x139, 3, Address, entry, 0);
            var next = Memory.ReadU64(entry);
            yield return entry;
            entry = next;
        }
    }
}
