namespace Harness.Core.Nt;

/// <summary>Symbols of images, wherever they are kept.</summary>
public interface ISymbols
{
    /// <summary>The symbols of the image that was linked with this PDB, which are looked for once; null when there are none.</summary>
    IImageSymbols? Find(PdbIdentity pdb);
}

/// <summary>Names and structures of one image. Addresses are relative to its base (RVA).</summary>
public interface IImageSymbols
{
    /// <summary>The routine that the address lies in, or else the nearest name at or below it; null when there is none.</summary>
    (uint Rva, string Name)? NameOf(uint rva);

    /// <summary>Where a public symbol is; null when there is none of that name.</summary>
    uint? AddressOf(string name);

    /// <summary>A field of a structure, "Tail.Overlay.Thread" of "_IRP": its offset in bytes, and of a bit field its bits; null when it has none.</summary>
    BitField? Field(string structure, string path);

    /// <summary>A structure's size in bytes; null when it is not known.</summary>
    uint? SizeOf(string structure);
}
