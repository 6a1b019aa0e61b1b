using System.Reflection.PortableExecutable;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Symbols;

/// <summary>
/// The file of a loaded image, read as if it were mapped: its exports and functions name addresses in it where nothing else does. The file may be
/// damaged or of another build, so it says which image it is.
/// </summary>
public sealed class ImageFile
{
    /// <summary>No image of the kernel is larger.</summary>
    private const int LargestFile = 256 << 20;

    /// <summary>Any address of the kernel would do.</summary>
    private static readonly KernelAddress Base = new(0xFFFF_F800_0000_0000);

    private readonly MappedImage _image;

    private ImageFile(MappedImage image, uint timeDateStamp, uint size) => (_image, TimeDateStamp, Size) = (image, timeDateStamp, size);

    /// <summary>IMAGE_FILE_HEADER.TimeDateStamp.</summary>
    public uint TimeDateStamp { get; }

    /// <summary>IMAGE_OPTIONAL_HEADER64.SizeOfImage in bytes.</summary>
    public uint Size { get; }

    /// <summary>The PDB that it was linked with; null when its debug directory names none.</summary>
    public PdbIdentity? PdbIdentity => _image.PdbIdentity;

    /// <summary>Opens a file; null when it is no image of x64 that can be read.</summary>
    /// <exception cref="IOException">It cannot be opened; also <see cref="UnauthorizedAccessException"/>.</exception>
    public static ImageFile? Open(string path)
    {
        // A pipe has no length either, and to open it may take for ever.
        if ((File.ResolveLinkTarget(path, returnFinalTarget: true) as FileInfo ?? new FileInfo(path)).Length == 0) return null;
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        if (file.Length > LargestFile) return null;
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        try
        {
            var headers = new PEHeaders(new MemoryStream(bytes));
            if (headers.PEHeader is not { Magic: PEMagic.PE32Plus } optional) return null;
            var mapped = new MappedImage(new KernelMemoryReader(new Mapping(bytes, headers)), new LoadedModule("image", "image", Base, (uint)optional.SizeOfImage));
            return mapped.IsReadable ? new ImageFile(mapped, (uint)headers.CoffHeader.TimeDateStamp, (uint)optional.SizeOfImage) : null;
        }
        catch (BadImageFormatException)
        {
            return null;
        }
    }

    /// <summary>
    /// The routine that an address lies in, by the image's exports or by others' names: only one that begins in the same function (.pdata), since the
    /// nearest one below is often another.
    /// </summary>
    /// <param name="rva">The address.</param>
    /// <param name="atOrBelow">Those who know more names; null: the exports.</param>
    public (uint Rva, string Name)? NameOf(uint rva, Func<uint, (uint Rva, string Name)?>? atOrBelow = null) => LoadedModules.Nearest(_image, rva, atOrBelow ?? _image.ExportAtOrBelow);

    /// <summary>The file's headers and sections where the loader would put them.</summary>
    private sealed class Mapping(byte[] file, PEHeaders headers) : IKernelMemory
    {
        public int Build => 0;

        public KernelAddress ActiveProcessHead => KernelAddress.Null;

        public KernelAddress LoadedModuleList => KernelAddress.Null;

        public bool TryRead(KernelAddress address, Span<byte> destination)
        {
            var rva = address.Value - Base.Value;
            if (rva < (ulong)headers.PEHeader!.SizeOfHeaders) return Copy((long)rva, destination);
            foreach (var section in headers.SectionHeaders)
                if (rva >= (uint)section.VirtualAddress && rva - (uint)section.VirtualAddress < (uint)section.SizeOfRawData) return Copy((uint)section.PointerToRawData + (long)(rva - (uint)section.VirtualAddress), destination);
            return false;
        }

        private bool Copy(long offset, Span<byte> destination)
        {
            if (offset + destination.Length > file.Length) return false;
            file.AsSpan((int)offset, destination.Length).CopyTo(destination);
            return true;
        }
    }
}
