using System.Text.Json;

namespace Harness.Core.Nt;

/// <summary>Addresses in one kernel image, relative to its base, out of the symbol table of exactly that image.</summary>
/// <param name="LoadedModuleList">PsLoadedModuleList.</param>
/// <param name="DebuggerDataBlock">KdDebuggerDataBlock.</param>
/// <param name="DataBlockEncoded">KdpDataBlockEncoded.</param>
/// <param name="WaitNever">KiWaitNever.</param>
/// <param name="WaitAlways">KiWaitAlways.</param>
public sealed record NtSymbols(uint LoadedModuleList, uint DebuggerDataBlock, uint DataBlockEncoded, uint WaitNever, uint WaitAlways)
{
    /// <summary>The symbols that belong to a PDB; null when the table doesn't have it.</summary>
    /// <param name="pdb">GUID and age as symbol servers spell them.</param>
    public static NtSymbols? OfPdb(string pdb)
    {
        using var stream = typeof(NtSymbols).Assembly.GetManifestResourceStream("nt-offsets.json")!;
        using var json = JsonDocument.Parse(stream);
        foreach (var build in json.RootElement.GetProperty("symbols_rva").EnumerateObject())
        {
            if (!string.Equals(build.Value.GetProperty("pdb_guid_age").GetString(), pdb, StringComparison.OrdinalIgnoreCase)) continue;
            var rva = build.Value.GetProperty("rva");
            return new NtSymbols(Of("PsLoadedModuleList"), Of("KdDebuggerDataBlock"), Of("KdpDataBlockEncoded"), Of("KiWaitNever"), Of("KiWaitAlways"));

            uint Of(string name) => rva.GetProperty(name).GetUInt32();
        }

        return null;
    }
}
