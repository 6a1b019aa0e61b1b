using System.Buffers.Binary;
using System.Reflection.PortableExecutable;
using Harness.Core.Targets;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Image;

/// <summary>
/// A driver file (PE32+, x64, native), checked and ready to be mapped. Source of the format: "PE Format", learn.microsoft.com.
/// </summary>
public sealed class DriverImage
{
    /// <summary>What <see cref="Map"/> gives `__security_cookie` when the caller has no wish: not the linker's default, upper 16 bits clear.</summary>
    public const ulong SecurityCookie = 0x0000_71C3_9E5A_4D28;

    // The value the C runtime links in. A driver that still finds it (or 0) at start stops itself with int 29h.
    private const ulong LinkedSecurityCookie = 0x0000_2B99_2DDF_A232;

    // IMAGE_LOAD_CONFIG_DIRECTORY64.SecurityCookie.
    private const uint SecurityCookieField = 0x58;

    private readonly ImageBytes _bytes;
    private readonly IReadOnlyList<Relocation> _relocations;
    private readonly PageAccess[] _pages;
    private readonly uint _securityCookieRva;

    private DriverImage(string fileName, ImageBytes bytes, IReadOnlyList<ImageSection> sections, PEHeaders headers)
    {
        var header = headers.PEHeader!;
        FileName = fileName;
        _bytes = bytes;
        Sections = sections;
        SizeOfImage = (uint)header.SizeOfImage;
        PreferredBase = header.ImageBase;
        EntryPointRva = (uint)header.AddressOfEntryPoint;
        TimeDateStamp = (uint)headers.CoffHeader.TimeDateStamp;
        CheckSum = header.CheckSum;
        Imports = ImportTable.Read(bytes, header.ImportTableDirectory);
        Exports = ExportTable.Read(bytes, header.ExportTableDirectory);
        _relocations = RelocationTable.Read(bytes, header.BaseRelocationTableDirectory);
        _securityCookieRva = FindSecurityCookie(header.LoadConfigTableDirectory);
        _pages = PageAccesses((uint)header.SizeOfHeaders);
        CheckWrittenPlaces();
    }

    /// <summary>"driver.sys", without folder.</summary>
    public string FileName { get; }

    /// <summary>Bytes of address space, as the header has it; at most 64 MiB.</summary>
    public uint SizeOfImage { get; }

    /// <summary>Where the linker thought it would be.</summary>
    public ulong PreferredBase { get; }

    /// <summary>DriverEntry, or the runtime's routine that calls it.</summary>
    public uint EntryPointRva { get; }

    /// <summary>Seconds since 1970, or a hash of the contents in a reproducible build.</summary>
    public uint TimeDateStamp { get; }

    /// <summary>The header's checksum; 0 when the linker made none.</summary>
    public uint CheckSum { get; }

    /// <summary>In the order of the table.</summary>
    public IReadOnlyList<ImageImport> Imports { get; }

    /// <summary>In the order of their ordinals.</summary>
    public IReadOnlyList<ImageExport> Exports { get; }

    /// <summary>In the order of their addresses.</summary>
    public IReadOnlyList<ImageSection> Sections { get; }

    /// <summary>Reads and checks a driver file.</summary>
    /// <exception cref="UnusableDriverException">The file can't be loaded as an x64 kernel driver; the message says in one line why.</exception>
    public static DriverImage Parse(byte[] file, string fileName)
    {
        ArgumentNullException.ThrowIfNull(file);
        var headers = ReadHeaders(file, fileName);
        DriverKind.Check(headers, fileName);
        var (bytes, sections) = ImageLayout.Of(file, fileName, headers);
        CheckEntryPoint(headers, sections, fileName);
        var image = new DriverImage(fileName, bytes, sections, headers);
        DriverKind.Check(image.Imports, fileName);
        return image;
    }

    /// <summary>
    /// Puts the image into memory: headers and sections with their permissions, relocated, imports bound, security cookie set. Pages
    /// no section covers stay absent.
    /// </summary>
    /// <param name="memory">Where to.</param>
    /// <param name="address">A page address.</param>
    /// <param name="resolve">The address for an import; called once for each, in order.</param>
    /// <param name="securityCookie">The value for `__security_cookie`, when the image has one.</param>
    /// <exception cref="InvalidOperationException">Something is mapped there already.</exception>
    public void Map(GuestMemory memory, ulong address, Func<ImageImport, ulong> resolve, ulong securityCookie = SecurityCookie)
    {
        for (var first = 0; first < _pages.Length;)
        {
            var next = first + 1;
            while (next < _pages.Length && _pages[next] == _pages[first]) next++;
            if (_pages[first] != PageAccess.None) MapRun(memory, address, first, next, _pages[first]);
            first = next;
        }
        Relocate(memory, address);
        foreach (var import in Imports) memory.WriteU64(address + import.SlotRva, resolve(import));
        SetSecurityCookie(memory, address, securityCookie);
    }

    private static PEHeaders ReadHeaders(byte[] file, string fileName)
    {
        if (file.Length == 0) throw new UnusableDriverException($"{fileName} is not a driver: it is empty");
        if (file.Length < 2 || file[0] != 'M' || file[1] != 'Z')
            throw new UnusableDriverException($"{fileName} is not a driver: it does not start with 'MZ', as a Windows executable does");
        PEHeaders headers;
        try
        {
            headers = new PEHeaders(new MemoryStream(file, writable: false), file.Length);
        }
        catch (Exception e) when (e is BadImageFormatException or IOException or OverflowException or ArgumentException)
        {
            throw new UnusableDriverException($"{fileName} is not a whole Windows executable: its headers are missing or cut short");
        }
        // PEHeaders reads a bare COFF object too.
        if (headers.IsCoffOnly || headers.PEHeader is null)
            throw new UnusableDriverException($"{fileName} is not a Windows executable: it has no PE header");
        return headers;
    }

    private static void CheckEntryPoint(PEHeaders headers, IReadOnlyList<ImageSection> sections, string fileName)
    {
        var entry = (uint)headers.PEHeader!.AddressOfEntryPoint;
        if (entry == 0) throw new UnusableDriverException($"{fileName} has no entry point: link with /ENTRY:DriverEntry");
        if (!sections.Any(section => entry >= section.Rva && entry - section.Rva < section.Size && (section.Access & PageAccess.Execute) != 0))
            throw new UnusableDriverException($"{fileName} is a broken image: its entry point 0x{entry:x} is not in executable code");
    }

    private uint FindSecurityCookie(DirectoryEntry loadConfiguration)
    {
        const string what = "its load configuration";
        var table = (uint)loadConfiguration.RelativeVirtualAddress;
        // The structure's own first field is its size: what it doesn't reach doesn't exist.
        if (table == 0 || _bytes.U32(table, what) < SecurityCookieField + sizeof(ulong)) return 0;
        var cookie = _bytes.U64(table + SecurityCookieField, what);
        if (cookie == 0) return 0;
        var rva = cookie - PreferredBase;
        if (rva > SizeOfImage - sizeof(ulong)) throw _bytes.Broken($"{what} has a security cookie outside the image");
        return (uint)rva;
    }

    private PageAccess[] PageAccesses(uint headers)
    {
        var access = new PageAccess[(SizeOfImage + GuestMemory.PageSize - 1) / GuestMemory.PageSize];
        Allow(0, headers, PageAccess.Read);
        foreach (var section in Sections) Allow(section.Rva, section.Size, section.Access);
        return access;

        void Allow(uint rva, uint size, PageAccess what)
        {
            for (var page = rva / GuestMemory.PageSize; page < (rva + size + GuestMemory.PageSize - 1) / GuestMemory.PageSize; page++)
                access[page] |= what;
        }
    }

    private void CheckWrittenPlaces()
    {
        foreach (var (rva, type) in _relocations) Check(rva, (uint)RelocationTable.SizeOf(type), "a relocation");
        foreach (var import in Imports) Check(import.SlotRva, sizeof(ulong), "an import address");
        if (_securityCookieRva != 0) Check(_securityCookieRva, sizeof(ulong), "its security cookie");

        void Check(uint rva, uint size, string what)
        {
            if (_pages[rva / GuestMemory.PageSize] == PageAccess.None || _pages[(rva + size - 1) / GuestMemory.PageSize] == PageAccess.None)
                throw _bytes.Broken($"{what} is in no section (0x{rva:x})");
        }
    }

    private void MapRun(GuestMemory memory, ulong address, int first, int next, PageAccess access)
    {
        var start = first * GuestMemory.PageSize;
        var length = Math.Min(next * GuestMemory.PageSize, _bytes.Length) - start;
        memory.Map(address + (ulong)start, (ulong)length, access);
        memory.Write(address + (ulong)start, _bytes.All.Slice(start, length));
    }

    private void Relocate(GuestMemory memory, ulong address)
    {
        var delta = address - PreferredBase;
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        foreach (var (rva, type) in _relocations)
        {
            bytes.Clear();
            var place = bytes[..RelocationTable.SizeOf(type)];
            memory.Read(address + rva, place);
            var value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, RelocationTable.Apply(type, value, delta));
            memory.Write(address + rva, place);
        }
    }

    private void SetSecurityCookie(GuestMemory memory, ulong address, ulong value)
    {
        if (_securityCookieRva == 0) return;
        var at = address + _securityCookieRva;
        if (memory.ReadU64(at) is 0 or LinkedSecurityCookie) memory.WriteU64(at, value);
    }
}
