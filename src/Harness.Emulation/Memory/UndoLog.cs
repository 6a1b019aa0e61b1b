namespace Harness.Emulation.Memory;

/// <summary>What happened to pages since the oldest saved state, newest last.</summary>
internal sealed unsafe class UndoLog(PageFrames frames)
{
    private readonly List<Entry> _entries = [];
    private readonly List<Mark> _marks = [];
    private long _stamp;

    private enum Change
    {
        Written,
        Mapped,
        Unmapped,
        Protected,
    }

    /// <summary>How many saved states are nested; 0: nothing is logged.</summary>
    public int Depth => _marks.Count;

    public MemoryState Save(ulong space, int frames)
    {
        _marks.Add(new Mark(_entries.Count, ++_stamp, space, frames));
        return new MemoryState(_marks.Count, _stamp);
    }

    /// <summary>Keeps a copy of a page before its first change at this depth.</summary>
    public void BeforeWrite(Page page)
    {
        if (page.CopiedAtDepth >= Depth) return;
        var copy = frames.Take();
        Buffer.MemoryCopy(page.Frame, copy, PageFrames.FrameLength, PageFrames.FrameLength);
        _entries.Add(new Entry(Change.Written, page, copy, page.CopiedAtDepth, page.Access));
        page.CopiedAtDepth = Depth;
    }

    public void Mapped(Page page)
    {
        // A page mapped at this depth needs no copy at this depth: undoing the mapping undoes its bytes.
        page.CopiedAtDepth = Depth;
        if (Depth > 0) _entries.Add(new Entry(Change.Mapped, page, null, 0, page.Access));
    }

    /// <summary>A page was mapped on a frame that holds bytes already: those still need their copy.</summary>
    public void MappedAlias(Page page)
    {
        if (Depth > 0) _entries.Add(new Entry(Change.Mapped, page, null, 0, page.Access));
    }

    /// <summary>A page leaves the table; its frame lives on while a saved state may bring it back.</summary>
    public void Unmapped(Page page)
    {
        if (Depth > 0) _entries.Add(new Entry(Change.Unmapped, page, null, 0, page.Access));
        else frames.Return(page.Frame);
    }

    public void BeforeProtect(Page page)
    {
        if (Depth > 0) _entries.Add(new Entry(Change.Protected, page, null, 0, page.Access));
    }

    /// <summary>Goes back to a saved state; it stays valid, newer ones don't. Returns the space that was current in it.</summary>
    public ulong Restore(MemoryState state, PageTable table, Action<Page> changed)
    {
        if (state.Depth < 1 || state.Depth > _marks.Count || _marks[state.Depth - 1].Stamp != state.Stamp)
            throw new InvalidOperationException("this saved state is gone: an older one was restored after it was taken");
        var mark = _marks[state.Depth - 1];
        for (var i = _entries.Count - 1; i >= mark.Entries; i--) Undo(_entries[i], table, changed);
        _entries.RemoveRange(mark.Entries, _entries.Count - mark.Entries);
        _marks.RemoveRange(state.Depth, _marks.Count - state.Depth);
        table.CutFramesTo(mark.Frames);
        return mark.Space;
    }

    /// <summary>Makes the newest saved state one with the one before it: it can't be restored any more, and costs nothing.</summary>
    public void Forget(MemoryState state)
    {
        if (state.Depth != _marks.Count || _marks[^1].Stamp != state.Stamp) throw new InvalidOperationException("only the newest saved state can be forgotten");
        var first = _marks[^1].Entries;
        _marks.RemoveAt(_marks.Count - 1);
        for (var i = first; i < _entries.Count; i++)
        {
            var entry = _entries[i];
            entry.Page.CopiedAtDepth = Math.Min(entry.Page.CopiedAtDepth, Depth);
            if (Depth > 0) continue;
            if (entry.Change == Change.Written) frames.Return(entry.Copy);
            if (entry.Change == Change.Unmapped) frames.Return(entry.Page.Frame);
        }
        if (Depth == 0) _entries.Clear();
    }

    private void Undo(in Entry entry, PageTable table, Action<Page> changed)
    {
        var page = entry.Page;
        changed(page);
        switch (entry.Change)
        {
            case Change.Written:
                Buffer.MemoryCopy(entry.Copy, page.Frame, PageFrames.FrameLength, PageFrames.FrameLength);
                frames.Return(entry.Copy);
                page.CopiedAtDepth = entry.CopiedAtDepth;
                break;
            case Change.Mapped:
                table.Remove(page);
                frames.Return(page.Frame);
                break;
            case Change.Unmapped:
                table.Add(page);
                break;
            case Change.Protected:
                page.Access = entry.Access;
                break;
        }
    }

    private readonly record struct Mark(int Entries, long Stamp, ulong Space, int Frames);

    private readonly struct Entry(Change change, Page page, byte* copy, int copiedAtDepth, PageAccess access)
    {
        public Change Change { get; } = change;

        public Page Page { get; } = page;

        public byte* Copy { get; } = copy;

        public int CopiedAtDepth { get; } = copiedAtDepth;

        public PageAccess Access { get; } = access;
    }
}
