using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// An address for every export that isn't modelled: calling it, or reading it as a variable, stops the run. The addresses follow from the names,
/// so none of this is state of the machine; only what a driver imports from elsewhere is added, before anything runs.
/// </summary>
internal sealed class UnmodelledExports(GuestMemory memory)
{
    private const ulong Stride = 0x10;

    /// <summary>Names that ntoskrnl.exe and hal.dll export, in ordinal order. Source: the import libraries of mingw-w64.</summary>
    private static readonly Lazy<string[]> _ofNt = new(ReadNames);

    private readonly List<string> _imported = [];

    /// <summary>Where nothing of nt's own list stands any more: names that a driver imports and that list doesn't have.</summary>
    private static ulong Others => AddressMap.Unmodelled + 0x10_0000;

    /// <summary>The address that stands for an import of a driver which is being loaded.</summary>
    public ulong Import(string name)
    {
        if (TryFind(name, out var address)) return address;
        if (!_imported.Contains(name)) _imported.Add(name);
        return Mapped(Others + ((ulong)_imported.IndexOf(name) * Stride));
    }

    /// <summary>The address of something that Windows' nt exports.</summary>
    public bool TryFind(string name, out ulong address)
    {
        var index = Array.BinarySearch(_ofNt.Value, name, StringComparer.Ordinal);
        address = index < 0 ? 0 : Mapped(AddressMap.Unmodelled + ((ulong)index * Stride));
        return index >= 0;
    }

    /// <summary>The export whose address, or one within it, this is; null: none.</summary>
    public string? NameAt(ulong address)
    {
        if (address - AddressMap.Unmodelled < Others - AddressMap.Unmodelled) return At(_ofNt.Value, address - AddressMap.Unmodelled);
        return address - Others < 0x10_0000 ? At(_imported, address - Others) : null;
    }

    private static string? At(IReadOnlyList<string> names, ulong offset) => offset / Stride < (ulong)names.Count ? names[(int)(offset / Stride)] : null;

    private ulong Mapped(ulong address)
    {
        if (memory.AccessOf(address & ~0xFFFul) == PageAccess.None) memory.Map(address & ~0xFFFul, 0x1000, PageAccess.Execute | PageAccess.Slots);
        return address;
    }

    private static string[] ReadNames()
    {
        using var stream = typeof(UnmodelledExports).Assembly.GetManifestResourceStream("nt-exports.txt")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
