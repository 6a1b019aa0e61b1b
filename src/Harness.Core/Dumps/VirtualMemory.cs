using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>The kernel's virtual memory as a file holds it.</summary>
internal abstract class VirtualMemory
{
    /// <summary>Reads; false when any byte is absent.</summary>
    public bool TryRead(KernelAddress address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var piece = destination[..Math.Min(destination.Length, PhysicalMemory.PageSize - (int)(address.Value % PhysicalMemory.PageSize))];
            if (!TryReadInPage(address, piece)) return false;
            destination = destination[piece.Length..];
            address += (ulong)piece.Length;
        }

        return true;
    }

    protected abstract bool TryReadInPage(KernelAddress address, Span<byte> destination);
}

/// <summary>Physical memory behind page tables.</summary>
internal sealed class PagedMemory(PhysicalMemory physical, PageTables tables) : VirtualMemory
{
    public PageTables Tables => tables;

    public PhysicalMemory Physical => physical;

    protected override bool TryReadInPage(KernelAddress address, Span<byte> destination) =>
        tables.Translate(address) is { } at && physical.TryRead(at, destination);
}

/// <summary>A piece of virtual memory in the file.</summary>
/// <param name="Address">Its first address.</param>
/// <param name="Length">In bytes.</param>
/// <param name="Offset">Where it begins in the file.</param>
internal readonly record struct VirtualBlock(KernelAddress Address, uint Length, uint Offset);

/// <summary>Virtual memory in pieces of any size, as a triage dump (kernel minidump) has it.</summary>
internal sealed class BlockMemory : VirtualMemory
{
    /// <summary>So many blocks may begin before an address and not reach it before the search for one that does is given up.</summary>
    private const int MostOverlapping = 64;

    private readonly FileBytes _file;
    private readonly VirtualBlock[] _blocks;

    public BlockMemory(FileBytes file, IEnumerable<VirtualBlock> blocks)
    {
        _file = file;
        _blocks = [.. blocks.OrderBy(block => block.Address.Value)];
    }

    protected override bool TryReadInPage(KernelAddress address, Span<byte> destination)
    {
        var done = 0;
        while (done < destination.Length)
        {
            var here = address + (ulong)done;
            if (Holding(here) is not { } block) return false;
            var within = here.Value - block.Address.Value;
            var length = (int)Math.Min((ulong)(destination.Length - done), block.Length - within);
            if (!_file.TryRead(block.Offset + within, destination.Slice(done, length))) return false;
            done += length;
        }

        return true;
    }

    /// <summary>Blocks may overlap: of those that begin before the address the nearest that reaches it.</summary>
    private VirtualBlock? Holding(KernelAddress address)
    {
        int low = 0, high = _blocks.Length;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_blocks[middle].Address.Value <= address.Value) low = middle + 1;
            else high = middle;
        }

        for (var i = low - 1; i >= Math.Max(0, low - MostOverlapping); i--)
            if (address.Value - _blocks[i].Address.Value < _blocks[i].Length) return _blocks[i];
        return null;
    }
}
