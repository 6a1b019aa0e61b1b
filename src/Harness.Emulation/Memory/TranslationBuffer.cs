using System.Runtime.InteropServices;

namespace Harness.Emulation.Memory;

/// <summary>One entry of the translation buffer, 32 bytes. A tag is a page address, or 1 for none.</summary>
internal struct Translation
{
    /// <summary>The page, when it may be read.</summary>
    public ulong ReadTag;

    /// <summary>The page, when it may be written at once: it is writable, holds no decoded code, and the saved state has its copy.</summary>
    public ulong WriteTag;

    /// <summary>Guest address + this = host address.</summary>
    public nint Addend;

    public ulong Unused;
}

/// <summary>
/// The translation buffer: 256 entries, direct-mapped by page number. An access of n bytes at a hits when the tag of a's entry is the
/// page of its <em>last</em> byte: an access that crosses a page never hits, because neighbouring pages have different entries.
/// </summary>
internal sealed unsafe class TranslationBuffer
{
    public const int Count = 256;
    public const ulong PageMask = ~0xFFFUL;
    private const ulong NoTag = 1;

    private readonly Translation[] _entries = GC.AllocateArray<Translation>(Count, pinned: true);

    public TranslationBuffer()
    {
        Entries = (Translation*)Marshal.UnsafeAddrOfPinnedArrayElement(_entries, 0);
        Flush();
    }

    public Translation* Entries { get; }

    /// <summary>The entry an address belongs to: (page number mod 256) · 32 bytes from the first.</summary>
    public static Translation* EntryOf(Translation* entries, ulong address) => (Translation*)((byte*)entries + ((address >> 7) & 0x1FE0));

    public void Flush()
    {
        for (var i = 0; i < Count; i++)
        {
            Entries[i].ReadTag = NoTag;
            Entries[i].WriteTag = NoTag;
        }
    }

    public void ForbidWrites()
    {
        for (var i = 0; i < Count; i++) Entries[i].WriteTag = NoTag;
    }

    public void ForbidWrites(ulong pageAddress)
    {
        var entry = EntryOf(Entries, pageAddress);
        if (entry->WriteTag == pageAddress) entry->WriteTag = NoTag;
    }

    public void Forget(ulong pageAddress)
    {
        var entry = EntryOf(Entries, pageAddress);
        if (entry->ReadTag == pageAddress) entry->ReadTag = NoTag;
        if (entry->WriteTag == pageAddress) entry->WriteTag = NoTag;
    }

    public void AllowRead(Page page)
    {
        var entry = EntryOf(Entries, page.Address);
        if (entry->ReadTag == page.Address) return;
        entry->ReadTag = page.Address;
        if (entry->WriteTag != page.Address) entry->WriteTag = NoTag;
        entry->Addend = (nint)page.Frame - (nint)page.Address;
    }

    public void AllowWrite(Page page)
    {
        var entry = EntryOf(Entries, page.Address);
        entry->WriteTag = page.Address;
        if (entry->ReadTag != page.Address) entry->ReadTag = NoTag;
        entry->Addend = (nint)page.Frame - (nint)page.Address;
    }
}
