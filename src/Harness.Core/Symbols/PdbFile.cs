using System.Buffers.Binary;
using Harness.Core.Files;
using Harness.Core.Nt;

namespace Harness.Core.Symbols;

/// <summary>
/// A PDB: names for the addresses of one image, and its structures. The format is LLVM's public "The PDB File Format". The file may be damaged or
/// hostile: it is refused with a reason, or what cannot be read of it is not there. Only what is asked for is read.
/// </summary>
public sealed class PdbFile : IImageSymbols, IDisposable
{
    private const int Information = 1, Types = 2, Debug = 3, DebugHeader = 64;

    /// <summary>PDB version VC70: the first with a GUID.</summary>
    private const uint FirstWithGuid = 20000404;

    /// <summary>No stream has this number.</summary>
    private const ushort None = 0xFFFF;

    private readonly MsfFile _file;
    private readonly PublicSymbols _publics;
    private readonly PdbProcedures _procedures;
    private readonly List<string> _damage = [];
    private PdbTypes? _types;

    private PdbFile(MsfFile file)
    {
        _file = file;
        var information = file.Read(Information, 0, 28);
        if (information.Length < 28) throw new UnusablePdbException("is a damaged PDB: it has no information stream");
        if (BinaryPrimitives.ReadUInt32LittleEndian(information) < FirstWithGuid) throw new UnusablePdbException("is a PDB of an old version, which has no GUID");
        Guid = new Guid(information.AsSpan(12, 16));
        Writings = BinaryPrimitives.ReadUInt32LittleEndian(information.AsSpan(8));

        var debug = file.Read(Debug);
        if (debug.Length < DebugHeader || BinaryPrimitives.ReadInt32LittleEndian(debug) != -1) throw new UnusablePdbException("is a PDB without debug information (DBI)");
        Age = BinaryPrimitives.ReadUInt32LittleEndian(debug.AsSpan(8));

        // Module information, section contributions, section map, sources, type servers, edit and continue, and the optional streams.
        var begins = new int[8];
        begins[0] = DebugHeader;
        int[] sizes = [24, 28, 32, 36, 40, 52, 48];
        for (var i = 0; i < sizes.Length; i++)
        {
            var size = BinaryPrimitives.ReadInt32LittleEndian(debug.AsSpan(sizes[i]));
            if (size < 0 || size > debug.Length - begins[i]) throw new UnusablePdbException("is a damaged PDB: its debug information (DBI) is longer than its stream");
            begins[i + 1] = begins[i] + size;
        }

        var sections = Sections(debug.AsSpan(begins[6]..begins[7]));
        _publics = new PublicSymbols(file.Read(BinaryPrimitives.ReadUInt16LittleEndian(debug.AsSpan(20))), sections);
        _procedures = new PdbProcedures(file, debug[begins[0]..begins[1]], debug[begins[1]..begins[2]], sections);
    }

    /// <summary>The GUID that the image has too.</summary>
    public Guid Guid { get; }

    /// <summary>The age that the image has too.</summary>
    public uint Age { get; }

    /// <summary>How many public symbols it has.</summary>
    public int Publics => _publics.Count;

    /// <summary>The information stream's age: tools that add to a PDB count it up.</summary>
    internal uint Writings { get; }

    /// <summary>Opens a file.</summary>
    /// <exception cref="UnusablePdbException">It is no PDB that can be read; one line says what it is.</exception>
    /// <exception cref="IOException">It cannot be opened; also <see cref="UnauthorizedAccessException"/>.</exception>
    public static PdbFile Open(string path) => Read(RegularFile.Open(path));

    /// <summary>The same of a stream that can seek; the PDB owns it from then on.</summary>
    /// <exception cref="UnusablePdbException">It is no PDB that can be read.</exception>
    public static PdbFile Read(Stream stream)
    {
        try
        {
            return new PdbFile(MsfFile.Open(stream));
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>It was written with the image that has this identity.</summary>
    public bool IsOf(PdbIdentity image) => image.Guid == Guid && (image.Age == Age || image.Age == Writings);

    /// <inheritdoc/>
    public (uint Rva, string Name)? NameOf(uint rva) => Tried(() => _procedures.Holding(rva)) ?? _publics.AtOrBelow(rva);

    /// <inheritdoc/>
    public uint? AddressOf(string name) => _publics.AddressOf(name);

    /// <inheritdoc/>
    public BitField? Field(string structure, string path) => OfTypes.Field(structure, path);

    /// <inheritdoc/>
    public uint? SizeOf(string structure) => OfTypes.SizeOf(structure);

    public void Dispose() => _file.Dispose();

    private PdbTypes OfTypes => _types ??= new PdbTypes(Tried(() => _file.Read(Types)) ?? []);

    private PdbSections Sections(ReadOnlySpan<byte> optional)
    {
        var original = Stream(optional, 10);
        var omap = Stream(optional, 4) is { } moves ? _file.Read(moves) : [];
        var headers = omap.Length > 0 ? original : Stream(optional, 5) ?? original;
        if (headers is null) throw new UnusablePdbException("is a PDB without section headers, so that none of its names has an address");
        return new PdbSections(_file.Read(headers.Value), omap);
    }

    private static int? Stream(ReadOnlySpan<byte> optional, int index) =>
        optional.Length >= (index + 1) * 2 && BinaryPrimitives.ReadUInt16LittleEndian(optional[(index * 2)..]) is var stream and not None ? stream : null;

    /// <summary>Why parts that were asked for are not there, each reason once: "is a damaged PDB: …".</summary>
    internal IReadOnlyList<string> Damage => _damage;

    /// <summary>What is read late: a part that is damaged, or a file that went away, is not there.</summary>
    private T? Tried<T>(Func<T?> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is UnusablePdbException or IOException)
        {
            var reason = e is UnusablePdbException ? e.Message : "cannot be read any more: " + e.Message.ReplaceLineEndings(" ");
            if (!_damage.Contains(reason)) _damage.Add(reason);
            return default;
        }
    }
}
