using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>By which layout a kernel's memory is read: that of its own PDB where there is one, of whatever build, else the table's row.</summary>
internal static class KernelLayout
{
    /// <summary>The memory with its layout, the kernel being the first of the loaded modules.</summary>
    /// <exception cref="UnusableDumpException">No layout is known.</exception>
    public static MachineMemory Known(MachineMemory found, ISymbols? symbols)
    {
        var memory = new KernelMemoryReader(new UnnamedMemory(found.Memory));
        var kernel = memory.Pointer(found.LoadedModuleList) is { } first && memory.Pointer(first + LoadedModuleLayout.DllBaseOfEveryBuild) is { } nt ? MappedImage.At(memory, nt) : null;
        return Known(found, kernel, symbols);
    }

    /// <summary>The memory with its layout, the kernel being this image; null: it cannot be found.</summary>
    /// <exception cref="UnusableDumpException">No layout is known.</exception>
    public static MachineMemory Known(MachineMemory found, MappedImage? kernel, ISymbols? symbols)
    {
        var pdb = kernel?.PdbIdentity;
        var own = pdb is { } wanted ? symbols?.Find(wanted) : null;
        string? lacks = null;
        if (own is not null && NtLayout.FromSymbols(found.Build, own, out lacks) is { } exact) return found with { Layout = exact, KernelSymbols = own };
        var without = symbols is null ? null
            : kernel is null ? "symbols: the kernel image is not in the file, and so not which PDB it has"
            : pdb is not { } missing ? "symbols: the kernel image does not say which PDB it has"
            : own is null ? $"symbols: the kernel's PDB, {missing}, was not found"
            : $"symbols: {missing} does not tell where {lacks} lies";
        try
        {
            var table = NtLayout.ForBuild(found.Build);
            if (without is not null) found.Notes.Add(own is null ? without : without + ": the layout of build " + found.Build + " is the table's");
            return found with { Layout = table, KernelSymbols = own };
        }
        catch (UnknownBuildException e)
        {
            var help = pdb is { Name.Length: > 0 } known ? $"its kernel's PDB, {known}, would help (--symbols)" : "a row for it in nt-offsets.json would help";
            throw new UnusableDumpException($"is of an unknown Windows: {e.Message}; {(own is null ? help : $"its kernel's PDB was found, but does not tell where {lacks} lies")}");
        }
    }
}
