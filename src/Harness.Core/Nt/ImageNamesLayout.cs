namespace Harness.Core.Nt;

/// <summary>
/// An event of our own: names of an image that has neither a PDB nor a file anywhere, as the CLR's rundown has names of methods that were compiled in memory.
/// Traces of Windows have none. The emulated kernel's image is made when it is needed, and so its traces carry its names.
/// Payload: u64 image base, u32 number of names, and of each u32 RVA of the routine and its name, ANSI with a zero. One event has a part of them.
/// </summary>
public static class ImageNamesLayout
{
    /// <summary>The event class, in records with an EVENT_TRACE_HEADER ("full").</summary>
    public static readonly Guid Class = new("5f1a7c0e-6d0b-4f0e-9a53-0d1c2b7e8f46");

    /// <summary>Its only type.</summary>
    public const byte Names = 1;
    public const ushort Version = 1;

    public const int ImageBase = 0, Count = 8, First = 12;
}
