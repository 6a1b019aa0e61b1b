namespace Harness.Emulation.Memory;

/// <summary>One mapped guest page.</summary>
internal sealed unsafe class Page
{
    public required ulong Key { get; init; }

    public required ulong Address { get; init; }

    /// <summary>Data, then (at <see cref="PageFrames.ShadowOffset"/>) shadow.</summary>
    public required byte* Frame { get; init; }

    public PageAccess Access { get; set; }

    /// <summary>The depth of saved states at which the frame was last copied: a store at a greater depth copies it first.</summary>
    public int CopiedAtDepth { get; set; }

    /// <summary>Which frame of physical memory it shows.</summary>
    public required ulong FrameNumber { get; init; }

    /// <summary>The frame was mapped with another page first.</summary>
    public bool IsAlias { get; init; }

    /// <summary>Another page that shows the same frame may hold code: every store has to say so.</summary>
    public bool MayAliasCode { get; init; }

    /// <summary>Instructions were decoded from it.</summary>
    public bool HoldsCode { get; set; }
}

/// <summary>Finds pages. The kernel half is one; each space has its own user half.</summary>
internal sealed class PageTable
{
    private const ulong KernelHalf = 0xFFFF_8000_0000_0000;

    // Key: a kernel page number has its bits 35–51 set; a user page number has 35 bits, above it the space's ordinal.
    private readonly Dictionary<ulong, Page> _pages = [];

    // By frame number: the page that was mapped with the frame, null when it is gone.
    private readonly List<Page?> _origins = [];
    private readonly Dictionary<ulong, ulong> _ordinals = [];
    private readonly List<ulong> _spaces = [];

    public IEnumerable<Page> All => _pages.Values;

    /// <summary>How many frames have been given out; none is given twice, so that whoever keeps a number is seen.</summary>
    public int Frames => _origins.Count;

    public static bool IsKernel(ulong address) => address >= KernelHalf;

    public static bool IsCanonical(ulong address) => (ulong)((long)(address << 16) >> 16) == address;

    public ulong OrdinalOf(ulong space)
    {
        if (_ordinals.TryGetValue(space, out var ordinal)) return ordinal;
        if (_spaces.Count >= 0x7FFE) throw new InvalidOperationException("more than 32766 address spaces");
        ordinal = (ulong)_spaces.Count + 1;
        _spaces.Add(space);
        _ordinals.Add(space, ordinal);
        return ordinal;
    }

    public ulong SpaceOf(Page page) => IsKernel(page.Address) ? 0 : _spaces[(int)(page.Key >> 36) - 1];

    public static ulong KeyOf(ulong address, ulong ordinal) =>
        IsKernel(address) ? address >> 12 : (address >> 12) | (ordinal << 36);

    public Page? Find(ulong address, ulong ordinal) =>
        IsCanonical(address) && _pages.TryGetValue(KeyOf(address, ordinal), out var page) ? page : null;

    /// <summary>The page that a frame number was given with.</summary>
    public Page? OfFrame(ulong frameNumber) =>
        frameNumber - GuestMemory.FirstFrame < (ulong)_origins.Count ? _origins[(int)(frameNumber - GuestMemory.FirstFrame)] : null;

    /// <summary>The next frame number.</summary>
    public ulong TakeFrameNumber()
    {
        _origins.Add(null);
        return GuestMemory.FirstFrame + (ulong)_origins.Count - 1;
    }

    /// <summary>A saved state has fewer frames: their pages are gone already.</summary>
    public void CutFramesTo(int frames) => _origins.RemoveRange(frames, _origins.Count - frames);

    public void Add(Page page)
    {
        _pages.Add(page.Key, page);
        if (!page.IsAlias) _origins[(int)(page.FrameNumber - GuestMemory.FirstFrame)] = page;
    }

    public void Remove(Page page)
    {
        _pages.Remove(page.Key);
        if (!page.IsAlias) _origins[(int)(page.FrameNumber - GuestMemory.FirstFrame)] = null;
    }
}
