using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// Virtual addresses by the processor's page tables (Intel SDM volume 3, 4.5), with what NT keeps in entries that are not present: a page in
/// transition has left the working set and is still in its frame.
/// </summary>
internal sealed class PageTables
{
    private const ulong Present = 1;
    private const ulong Large = 1 << 7;

    /// <summary>_MMPTE_TRANSITION and _MMPTE_PROTOTYPE of public symbols: bit 10 says prototype, bit 11 transition.</summary>
    private const ulong Prototype = 1 << 10, Transition = 1 << 11;

    /// <summary>Bits 12…47: Windows uses the bits above for itself in entries that are not present.</summary>
    private const ulong FrameMask = 0x0000_FFFF_FFFF_F000;

    private const int Remembered = 4096;

    private readonly PhysicalMemory _memory;
    private readonly ulong _root;
    private readonly int _levels;
    private readonly ulong[] _pages = new ulong[Remembered];
    private readonly ulong[] _frames = new ulong[Remembered];

    /// <param name="memory">Physical memory.</param>
    /// <param name="root">CR3; its low 12 bits don't count.</param>
    /// <param name="levels">4, or 5 with CR4.LA57.</param>
    public PageTables(PhysicalMemory memory, ulong root, int levels)
    {
        _memory = memory;
        _root = root & FrameMask;
        _levels = levels;
        Array.Fill(_pages, ulong.MaxValue);
    }

    /// <summary>The levels of these tables: 4 or 5.</summary>
    public int Levels => _levels;

    /// <summary>The physical address; null when the page is not in memory, or its tables are not in the file.</summary>
    public ulong? Translate(KernelAddress address)
    {
        var page = address.Value >> 12;
        var slot = page % Remembered;
        if (_pages[slot] == page) return _frames[slot] + (address.Value & 0xFFF);
        if (Walk(address.Value) is not { } physical) return null;
        _pages[slot] = page;
        _frames[slot] = physical & ~0xFFFUL;
        return physical;
    }

    private ulong? Walk(ulong address)
    {
        var table = _root;
        for (var level = _levels; level >= 1; level--)
        {
            var shift = 12 + (9 * (level - 1));
            if (_memory.UInt64(table + ((address >> shift & 0x1FF) * 8)) is not { } entry) return null;
            if ((entry & Present) == 0)
                return level == 1 && (entry & (Prototype | Transition)) == Transition ? (entry & FrameMask) + (address & 0xFFF) : null;
            // PS of a page directory entry is a page of 2 MiB, of a page directory pointer entry one of 1 GiB.
            if (level == 1 || (level <= 3 && (entry & Large) != 0))
            {
                var within = (1UL << shift) - 1;
                return (entry & FrameMask & ~within) + (address & within);
            }

            table = entry & FrameMask;
        }

        return null;
    }

    /// <summary>The addresses of present pages of 4 KiB and their like in larger ones, ascending.</summary>
    /// <param name="from">A page's address in the kernel's half.</param>
    /// <param name="to">Where to end.</param>
    /// <param name="mostSteps">Entries to look at.</param>
    /// <remarks>Whole tables that are not there are passed over, so that a search through an address space costs what is mapped in it.</remarks>
    public IEnumerable<ulong> PresentPages(ulong from, ulong to, int mostSteps)
    {
        for (var step = 0; step < mostSteps && from < to; step++)
        {
            var absent = LevelAbsent(from);
            if (absent == 0) yield return from;
            var size = 1UL << (12 + (9 * Math.Max(absent - 1, 0)));
            from = (from & ~(size - 1)) + size;
        }
    }

    /// <summary>The level whose entry for the address is not present; 0 when there is a page.</summary>
    private int LevelAbsent(ulong address)
    {
        var table = _root;
        for (var level = _levels; level >= 1; level--)
        {
            var shift = 12 + (9 * (level - 1));
            if (_memory.UInt64(table + ((address >> shift & 0x1FF) * 8)) is not { } entry || (entry & Present) == 0) return level;
            if (level <= 3 && (entry & Large) != 0) return 0;
            table = entry & FrameMask;
        }

        return 0;
    }
}
