using BenchmarkDotNet.Attributes;
using Harness.Emulation.Memory;

namespace Harness.Benchmarks;

/// <summary>Saving a state of a memory of 1024 pages, storing to some of them, restoring.</summary>
public class SavedStates
{
    private const ulong Address = 0xFFFF_A000_0200_0000;
    private const int MappedPages = 1024;

    private readonly GuestMemory _memory = new();

    public SavedStates()
    {
        _memory.Map(Address, MappedPages * GuestMemory.PageSize, PageAccess.Read | PageAccess.Write);
        for (var page = 0; page < MappedPages; page++) _memory.WriteU64(Address + ((ulong)page * GuestMemory.PageSize), (ulong)page);
    }

    /// <summary>Pages stored to.</summary>
    [Params(1, 4, 16)]
    public int Pages { get; set; } = 1;

    [Benchmark]
    public void SaveStoreRestore()
    {
        var state = _memory.Save();
        for (var page = 0; page < Pages; page++) _memory.WriteU64(Address + ((ulong)page * 7 * GuestMemory.PageSize) + 64, 1);
        _memory.Restore(state);
    }
}
