using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>A module of the kernel.</summary>
/// <param name="FileName">KLDR_DATA_TABLE_ENTRY.BaseDllName: "driver.sys".</param>
/// <param name="Name">As a debugger says it before the '!': "driver"; "nt" for the kernel, whatever its file is called.</param>
/// <param name="Base">DllBase.</param>
/// <param name="Size">SizeOfImage in bytes.</param>
public sealed record LoadedModule(string FileName, string Name, KernelAddress Base, uint Size)
{
    /// <summary>The kernel image itself, the first on the list.</summary>
    public bool IsKernel => Name == Kernel;

    internal const string Kernel = "nt";

    internal bool Contains(KernelAddress address) => address.Value - Base.Value < Size;
}

/// <summary>What a module's image says of itself.</summary>
/// <param name="File">"driver.sys".</param>
/// <param name="Base">Where it is loaded.</param>
/// <param name="Size">SizeOfImage in bytes.</param>
/// <param name="Version">The file version of its version resource, "1.2.3.4"; null when it has none, or that is not in memory.</param>
/// <param name="TimeDateStamp">Of its PE header: seconds since 1970, or a hash of the file where the build is reproducible; null when it is not in memory.</param>
public sealed record ModuleRecord(string File, KernelAddress Base, uint Size, string? Version, uint? TimeDateStamp);

/// <summary>The loaded modules (PsLoadedModuleList), and names for the addresses in them.</summary>
public sealed class LoadedModules
{
    private const int MostModules = 4096;
    private const uint LargestImage = 0x4000_0000;

    /// <summary>Data without a symbol near before it has no name worth telling.</summary>
    private const uint NearestData = 0x1000;

    private readonly KernelMemoryReader _memory;
    private readonly ISymbols? _pdbs;
    private NtSymbols? _symbols;
    private readonly Dictionary<LoadedModule, MappedImage> _images = new(ReferenceEqualityComparer.Instance);

    internal LoadedModules(KernelMemoryReader memory, NtLayout layout, KernelAddress listHead, ISymbols? symbols)
    {
        _memory = memory;
        _pdbs = symbols;
        All = Read(layout.LoadedModule, listHead);
    }

    /// <summary>In list order: the kernel first.</summary>
    public IReadOnlyList<LoadedModule> All { get; }

    /// <summary>The module an address lies in.</summary>
    public LoadedModule? Containing(KernelAddress address)
    {
        foreach (var module in All)
            if (module.Contains(address)) return module;
        return null;
    }

    /// <summary>"nt!KeWaitForSingleObject+0x18", "driver+0x1234", or the address.</summary>
    /// <remarks>
    /// The image's PDB names it where there is one. A public symbol or an export names an address only when it lies in the same function (.pdata):
    /// "the nearest one below" is often another function altogether (static ones are not public), and a wrong name is worse than an offset.
    /// </remarks>
    public string Name(KernelAddress address)
    {
        if (Containing(address) is not { } module) return address.ToString();
        var rva = (uint)(address.Value - module.Base.Value);
        var image = Image(module);
        return (OfPdb(image, rva) ?? Nearest(image, rva, image.ExportAtOrBelow) ?? (module.IsKernel ? Symbol(image, rva) : null)) is var (start, name)
            ? module.Name + "!" + name + (rva == start ? "" : "+" + HexText.Of(rva - start))
            : module.Name + "+" + HexText.Of(rva);
    }

    /// <summary>"driver.sys+0x1234": the file and the offset in it, as records of drivers' routines have it; in the kernel, its <see cref="Name"/>.</summary>
    public string FileOffset(KernelAddress address) => Containing(address) switch
    {
        null => address.ToString(),
        { IsKernel: true } => Name(address),
        var module => module.FileName + "+" + HexText.Of(address.Value - module.Base.Value),
    };

    /// <summary>"driver.sys", "nt"; null outside of any module.</summary>
    public string? FileOf(KernelAddress address) => Containing(address) switch
    {
        null => null,
        { IsKernel: true } => LoadedModule.Kernel,
        var module => module.FileName,
    };

    /// <summary>The module of a file name, as <see cref="FileOf"/> gives it; null when it is not loaded.</summary>
    public ModuleRecord? Describe(string file)
    {
        foreach (var module in All)
            if ((module.IsKernel ? LoadedModule.Kernel : module.FileName) == file) return new ModuleRecord(module.FileName, module.Base, module.Size, Image(module).Version, Image(module).TimeDateStamp);
        return null;
    }

    /// <summary>The PDB that a module names; null when it names none, or cannot be read.</summary>
    public PdbIdentity? PdbOf(LoadedModule module) => Image(module).PdbIdentity;

    internal MappedImage Image(LoadedModule module)
    {
        if (!_images.TryGetValue(module, out var image)) _images[module] = image = new MappedImage(_memory, module);
        return image;
    }

    private (uint Rva, string Name)? OfPdb(MappedImage image, uint rva) =>
        _pdbs is not null && image.PdbIdentity is { } pdb && _pdbs.Find(pdb) is { } symbols ? Nearest(image, rva, symbols.NameOf) : null;

    /// <summary>Routines that nt doesn't export have names when the kernel is one of those whose symbols are known.</summary>
    private (uint Rva, string Name)? Symbol(MappedImage kernel, uint rva)
    {
        if (kernel.Function(rva) is not { } piece) return null;
        _symbols ??= NtSymbols.OfPdb(kernel.Pdb);
        var begin = kernel.Primary(piece).Begin;
        return begin <= rva && _symbols.At(begin) is { } name ? (begin, name) : null;
    }

    internal static (uint Rva, string Name)? Nearest(MappedImage image, uint rva, Func<uint, (uint Rva, string Name)?> atOrBelow)
    {
        if (image.Function(rva) is { } piece)
        {
            var primary = image.Primary(piece);
            // A piece that was moved away from its function has that function's name, not its neighbour's.
            if (primary != piece) return primary.Begin <= rva && atOrBelow(primary.Begin) is { } whole && whole.Rva == primary.Begin ? whole : null;
            return atOrBelow(rva) is { } inside && inside.Rva >= piece.Begin ? inside : null;
        }

        if (atOrBelow(rva) is not { } near) return null;
        if (!image.HasFunctions) return near;
        return image.EndOfFunctionBelow(rva) <= near.Rva && rva - near.Rva < NearestData ? near : null;
    }

    private List<LoadedModule> Read(LoadedModuleLayout layout, KernelAddress listHead)
    {
        var modules = new List<LoadedModule>();
        foreach (var link in _memory.List(listHead, MostModules, "the loaded module list").Entries)
        {
            var entry = link - layout.InLoadOrderLinks;
            var first = modules.Count == 0;
            if (_memory.Pointer(entry + layout.DllBase) is not { IsKernel: true } imageBase || _memory.UInt32(entry + layout.SizeOfImage) is not { } size
                || size == 0 || size > LargestImage || imageBase.Value + size < imageBase.Value)
            {
                _memory.Note($"the loaded module entry {entry} cannot be read");
                // Without the kernel in its place, another module must not pass for it.
                if (first) modules.Add(new LoadedModule("(unreadable)", LoadedModule.Kernel, KernelAddress.Null, 0));
                continue;
            }

            if (_memory.UnicodeString(entry + layout.BaseDllName) is not { Length: > 0 } file)
            {
                file = "module@" + imageBase;
                _memory.Note($"the name of the module at {imageBase} cannot be read");
            }

            modules.Add(new LoadedModule(file, first ? LoadedModule.Kernel : WithoutExtension(file), imageBase, size));
        }

        return modules;
    }

    private static string WithoutExtension(string file) => file.LastIndexOf('.') is > 0 and var dot ? file[..dot] : file;
}
