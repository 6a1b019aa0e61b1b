using Harness.Emulation.Memory;

namespace Harness.Emulation.Image;

/// <summary>A routine or variable a driver needs from another image.</summary>
/// <param name="Library">As the driver spells it: "ntoskrnl.exe".</param>
/// <param name="Name">Null when imported by ordinal.</param>
/// <param name="Ordinal">The ordinal, or, beside a name, the linker's hint.</param>
/// <param name="SlotRva">Where the loader writes the address: the import address table entry.</param>
public sealed record ImageImport(string Library, string? Name, ushort Ordinal, uint SlotRva)
{
    /// <summary>"ntoskrnl.exe!IoCompleteRequest" or "ntoskrnl.exe!#17".</summary>
    public override string ToString() => $"{Library}!{Name ?? "#" + Ordinal}";
}

/// <summary>A routine or variable an image offers.</summary>
/// <param name="Name">Null when it has an ordinal only.</param>
/// <param name="Ordinal">With the table's base added.</param>
/// <param name="Rva">Where it is; 0 for a forwarder.</param>
/// <param name="Forwarder">"HAL.KeFlushWriteBuffer" when another image has it; else null.</param>
public sealed record ImageExport(string? Name, ushort Ordinal, uint Rva, string? Forwarder);

/// <summary>A section as it lies in memory.</summary>
/// <param name="Name">".text", "PAGE", "INIT"…</param>
/// <param name="Rva">Its first byte.</param>
/// <param name="Size">In bytes, in memory.</param>
/// <param name="Access">What its pages allow.</param>
/// <param name="Discardable">The kernel frees it after DriverEntry.</param>
public sealed record ImageSection(string Name, uint Rva, uint Size, PageAccess Access, bool Discardable);
