using System.Runtime.InteropServices;
using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Dumps;

/// <summary>The guest's physical memory at one moment: the frames that its pages show, and the page tables that lead to them.</summary>
internal sealed class PhysicalMemory
{
    private readonly GuestMemory _memory;
    private readonly IReadOnlyDictionary<ulong, ulong[]> _tables;
    private readonly Dictionary<ulong, MappedPage> _shown = [];

    /// <param name="memory">Read when a frame is asked for, and not changed.</param>
    /// <param name="directories">The directory table base of every address space.</param>
    public PhysicalMemory(GuestMemory memory, IReadOnlyCollection<ulong> directories)
    {
        _memory = memory;
        var pages = memory.Pages.ToList();
        foreach (var page in pages) _shown.TryAdd(page.FrameNumber, page);
        _tables = new PageTables(pages, directories, _shown.Keys.Append(GuestMemory.FirstFrame - 1).Max() + 1).Tables;
        FrameNumbers = [.. _shown.Keys.Concat(_tables.Keys).Order()];
        Runs = RunsOf(FrameNumbers);
    }

    /// <summary>Of every frame that holds something, in order.</summary>
    public IReadOnlyList<ulong> FrameNumbers { get; }

    /// <summary>
    /// All frames in at most <see cref="DumpHeaderLayout.MostRuns"/> runs. Where there are more gaps than that, the smallest belong to a
    /// run: the frames in them are free memory, and read as zeros.
    /// </summary>
    public IReadOnlyList<PhysicalMemoryRun> Runs { get; }

    /// <summary>A frame's 4096 bytes.</summary>
    public void Read(ulong frameNumber, Span<byte> into)
    {
        if (_tables.TryGetValue(frameNumber, out var table)) MemoryMarshal.AsBytes(table.AsSpan()).CopyTo(into);
        else if (!_shown.TryGetValue(frameNumber, out var page)) into.Clear();
        else if (page.Space == 0) _memory.Read(page.Address, into);
        else _ = _memory.TryReadIn(page.Space, page.Address, into);
    }

    private static List<PhysicalMemoryRun> RunsOf(IReadOnlyList<ulong> frames)
    {
        var gaps = Enumerable.Range(1, frames.Count - 1).Where(i => frames[i] - frames[i - 1] > 1)
            .OrderByDescending(i => frames[i] - frames[i - 1]).ThenBy(i => i).Take(DumpHeaderLayout.MostRuns - 1);
        var firsts = gaps.Append(0).Order().ToList();
        return [.. firsts.Select((first, run) => new PhysicalMemoryRun(frames[first], frames[run + 1 < firsts.Count ? firsts[run + 1] - 1 : ^1] + 1 - frames[first]))];
    }
}

/// <summary>PHYSICAL_MEMORY_RUN.</summary>
/// <param name="BasePage">Its first frame number.</param>
/// <param name="PageCount">How many frames.</param>
internal readonly record struct PhysicalMemoryRun(ulong BasePage, ulong PageCount)
{
    /// <summary>The first frame number after it.</summary>
    public ulong End => BasePage + PageCount;
}
