using Harness.Core.Nt;
using Harness.Core.Symbols;

namespace Harness.Tracing.Zombies;

/// <summary>Names for the frames of stacks: by the PDB of an image, else by the exports of its file, else by what the trace has, else module and offset.</summary>
internal sealed class FrameNames(ImageTimeline images, ISymbols? symbols, ImageFiles? files)
{
    private readonly Dictionary<(ulong Address, KernelImage? Image), string> _names = [];
    private readonly Dictionary<KernelImage, (IImageSymbols? Pdb, ImageFile? File)> _sources = [];

    /// <summary>Images whose routines have names because of their exports alone.</summary>
    public IEnumerable<string> Exports => _sources.Where(source => source.Value is { Pdb: null, File: not null }).Select(source => source.Key.File);

    /// <summary>Images whose routines have the names that the trace has for them.</summary>
    public IEnumerable<string> Carried => _sources.Where(source => source.Value is { Pdb: null, File: null } && images.Named.Contains(source.Key)).Select(source => source.Key.File);

    /// <summary>"nt!KeWaitForSingleObject+0x18", "driver.sys+0x1234", or the address.</summary>
    public string Of(ulong address, double at)
    {
        var image = images.Holding(address, at);
        if (_names.TryGetValue((address, image), out var name)) return name;
        return _names[(address, image)] = image is null ? new KernelAddress(address).ToString() : Name(image, (uint)(address - image.Base));
    }

    public IReadOnlyList<string> Of(ulong[]? stack, double at) => stack is null ? [] : [.. stack.Select(address => Of(address, at))];

    /// <summary>"driver.sys", "nt"; null outside of any image.</summary>
    public string? ModuleOf(ulong address, double at) => images.Holding(address, at)?.Module;

    // A trace that nobody merged does not tell which PDB an image has; its file does.
    private (IImageSymbols? Pdb, ImageFile? File) SourceOf(KernelImage image)
    {
        var file = files?.Find(image.File, image.TimeDateStamp, (uint)image.Size);
        return ((images.PdbOf(image) ?? file?.PdbIdentity) is { } pdb ? symbols?.Find(pdb) : null, file);
    }

    private string Name(KernelImage image, uint rva)
    {
        if (!_sources.TryGetValue(image, out var source)) _sources[image] = source = SourceOf(image);
        // Where the file is there too, its functions tell whether the PDB's nearest name is the routine's.
        var found = source switch
        {
            (null, null) => images.NameIn(image, rva),
            ({ } pdb, null) => pdb.NameOf(rva),
            ({ } pdb, { } file) => file.NameOf(rva, pdb.NameOf),
            (null, { } file) => file.NameOf(rva),
        };
        return found is var (start, name) ? $"{image.Module}!{name}{(rva == start ? "" : "+" + HexText.Of(rva - start))}" : $"{image.Module}+{HexText.Of(rva)}";
    }
}
