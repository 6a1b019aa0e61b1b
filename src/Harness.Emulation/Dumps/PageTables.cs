using Harness.Emulation.Memory;

namespace Harness.Emulation.Dumps;

/// <summary>
/// The page tables that a processor would need to see the guest's memory as it is: four levels (Intel SDM volume 3, 4.5), made when they are
/// asked for. The kernel half is one, and every directory has it.
/// </summary>
internal sealed class PageTables
{
    private const int Entries = 512;
    private const ulong Present = 1, Writable = 2, User = 4, Accessed = 0x20, Dirty = 0x40, Global = 0x100, NoExecute = 1ul << 63;

    private readonly SortedDictionary<ulong, ulong[]> _tables = [];
    private ulong _next;

    /// <param name="pages">Every mapped page.</param>
    /// <param name="directories">The directory table base of every address space.</param>
    /// <param name="firstFree">The frame number from which on frames can be taken for the other tables.</param>
    public PageTables(IEnumerable<MappedPage> pages, IEnumerable<ulong> directories, ulong firstFree)
    {
        _next = firstFree;
        var kernel = new ulong[Entries];
        foreach (var directory in directories) _tables.Add(directory >> 12, new ulong[Entries]);
        foreach (var page in pages)
        {
            var top = page.Space == 0 ? kernel : _tables[page.Space >> 12];
            var table = Below(Below(Below(top, page.Address, 39), page.Address, 30), page.Address, 21);
            table[IndexOf(page.Address, 12)] = EntryOf(page);
        }
        foreach (var directory in directories) kernel.AsSpan(Entries / 2).CopyTo(_tables[directory >> 12].AsSpan(Entries / 2));
    }

    /// <summary>By frame number: 512 entries each.</summary>
    public IReadOnlyDictionary<ulong, ulong[]> Tables => _tables;

    private ulong[] Below(ulong[] table, ulong address, int shift)
    {
        ref var entry = ref table[IndexOf(address, shift)];
        if (entry == 0)
        {
            entry = _next << 12 | Present | Writable | Accessed | Dirty | (IsUser(address) ? User : 0);
            _tables.Add(_next++, new ulong[Entries]);
        }
        return _tables[entry >> 12 & 0xF_FFFF_FFFF];
    }

    private static ulong EntryOf(MappedPage page) =>
        page.FrameNumber << 12 | Present | Accessed
        | ((page.Access & PageAccess.Write) != 0 ? Writable | Dirty : 0)
        | ((page.Access & PageAccess.Execute) != 0 ? 0 : NoExecute)
        | (IsUser(page.Address) ? User : Global);

    private static int IndexOf(ulong address, int shift) => (int)(address >> shift) & (Entries - 1);

    private static bool IsUser(ulong address) => (long)address >= 0;
}
