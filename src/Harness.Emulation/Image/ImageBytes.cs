using System.Buffers.Binary;
using System.Text;
using Harness.Core.Targets;

namespace Harness.Emulation.Image;

/// <summary>An image laid out as in memory, addressed by RVA. Reading outside says which table of which file is broken.</summary>
internal sealed class ImageBytes(byte[] bytes, string fileName)
{
    private const int LongestName = 1024;

    public ReadOnlySpan<byte> All => bytes;

    public int Length => bytes.Length;

    public ushort U16(uint rva, string what) => BinaryPrimitives.ReadUInt16LittleEndian(At(rva, sizeof(ushort), what));

    public uint U32(uint rva, string what) => BinaryPrimitives.ReadUInt32LittleEndian(At(rva, sizeof(uint), what));

    public ulong U64(uint rva, string what) => BinaryPrimitives.ReadUInt64LittleEndian(At(rva, sizeof(ulong), what));

    public string Name(uint rva, string what)
    {
        var rest = At(rva, 1, what);
        var end = rest.IndexOf((byte)0);
        if (end is < 1 or > LongestName || rest[..end].ContainsAnyExceptInRange((byte)0x20, (byte)0x7E))
            throw Broken($"{what} has no readable name at 0x{rva:x}");
        return Encoding.ASCII.GetString(rest[..end]);
    }

    /// <summary>The bytes from an RVA to the end of the image, at least <paramref name="atLeast"/> of them.</summary>
    public ReadOnlySpan<byte> At(uint rva, uint atLeast, string what) =>
        (ulong)rva + atLeast <= (ulong)bytes.Length ? bytes.AsSpan((int)rva) : throw Broken($"{what} points outside the image (0x{rva:x})");

    public UnusableDriverException Broken(string how) => new($"{fileName} is a broken image: {how}");
}
