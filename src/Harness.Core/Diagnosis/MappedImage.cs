using System.Buffers.Binary;
using System.Globalization;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// What a loaded module's own headers tell, read from where it is mapped: its functions (.pdata) and its exports. PE format: the public
/// "PE Format" page of Microsoft Learn.
/// </summary>
internal sealed class MappedImage
{
    private const int MostExports = 0x10000;
    private const int RuntimeFunctionSize = 12;
    private const int MostChained = 32;
    private const byte ChainedInfo = 4;

    // PE data directories, and of the debug directory the entry that names the PDB.
    private const uint Exports = 0, Resources = 2, Functions = 3, Debug = 6;
    private const uint RtVersion = 16, FixedFileInfo = 0xFEEF04BD, MostResources = 256;
    private const uint DebugEntrySize = 28, CodeView = 2, Rsds = 0x53445352, MostDebugEntries = 16;

    private readonly KernelMemoryReader _memory;
    private readonly LoadedModule _module;
    private readonly KernelAddress _base;
    private readonly uint _size;
    private readonly (uint Rva, uint Size) _exports;
    private readonly (uint Rva, uint Size) _functions;
    private readonly (uint Rva, uint Size) _debug;
    private readonly (uint Rva, uint Size) _resources;
    private PdbIdentity? _pdb;
    private bool _pdbIsRead;
    /// <summary>Address in the upper half, address of the name in the lower, so that they sort as they should.</summary>
    private ulong[]? _sortedExports;

    public MappedImage(KernelMemoryReader memory, LoadedModule module)
    {
        _memory = memory;
        _module = module;
        _base = module.Base;
        _size = module.Size;
        if (DirectoriesAt() is not { } directories)
        {
            memory.Note($"the PE header of {module.FileName} at {module.Base} cannot be read: its functions and exports are unknown");
            return;
        }

        IsReadable = true;
        _exports = Directory(directories, Exports);
        _functions = Directory(directories, Functions);
        _debug = Directory(directories, Debug);
        _resources = Directory(directories, Resources);
        // IMAGE_FILE_HEADER.TimeDateStamp lies 0x80 before the directories of a PE32+ header.
        TimeDateStamp = memory.UInt32(directories - 0x80);
    }

    /// <summary>The image that begins at this address, whoever it is; null when there is none of x64.</summary>
    public static MappedImage? At(KernelMemoryReader memory, KernelAddress address)
    {
        if (memory.UInt16(address) is not 0x5A4D || memory.UInt32(address + 0x3C) is not { } pe || pe > 0x1000 || memory.UInt32(address + pe + 0x50) is not { } size) return null;
        var image = new MappedImage(memory, new LoadedModule("image", "image", address, size));
        return image.IsReadable ? image : null;
    }

    /// <summary>The name in the export directory, "ntoskrnl.exe" whatever the file is called; null when there is none.</summary>
    public string? ExportName => _exports.Size >= 0x28 && _memory.UInt32(_base + _exports.Rva + 0x0C) is { } name && name < _size ? _memory.AsciiString(_base + name, 64) : null;

    /// <summary>GUID and age of the image's PDB, as symbol servers spell them; "" when the image doesn't tell.</summary>
    public string Pdb => PdbIdentity?.Key ?? "";

    /// <summary>The image's PDB; null when it doesn't tell.</summary>
    public PdbIdentity? PdbIdentity
    {
        get
        {
            if (!_pdbIsRead) (_pdb, _pdbIsRead) = (ReadPdb(), true);
            return _pdb;
        }
    }

    /// <summary>IMAGE_FILE_HEADER.TimeDateStamp; null when the header cannot be read.</summary>
    public uint? TimeDateStamp { get; }

    /// <summary>The file version in the image's version resource, "1.2.3.4"; null when it has none, or its section was discarded or is not in memory.</summary>
    public string? Version
    {
        get
        {
            // Resources are a tree of three levels, type, name and language; the first name and language will do.
            if (_resources.Size == 0 || ResourceEntry(0, RtVersion) is not { } names || ResourceEntry(names, null) is not { } languages || ResourceEntry(languages, null) is not { } leaf) return null;
            if (_memory.UInt32(_base + _resources.Rva + leaf) is not { } data || _memory.UInt32(_base + _resources.Rva + leaf + 4) is not { } size || data >= _size) return null;
            // VS_VERSIONINFO: its key and padding, then VS_FIXEDFILEINFO on a multiple of four.
            for (uint at = 0; at < Math.Min(size, 0x60); at += 4)
                if (_memory.UInt32(_base + data + at) is FixedFileInfo && _memory.UInt32(_base + data + at + 8) is { } high && _memory.UInt32(_base + data + at + 12) is { } low)
                    return string.Create(CultureInfo.InvariantCulture, $"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}");
            return null;
        }
    }

    /// <summary>Where the image is mapped.</summary>
    public KernelAddress Base => _base;

    /// <summary>Where the table has the RUNTIME_FUNCTION whose range holds the address; null for a leaf function and outside of code.</summary>
    public KernelAddress? EntryOf(uint rva) => LastBeginningAtOrBelow(rva) is >= 0 and var index && At(index) is { } found && rva < found.End ? EntryAddress(index) : null;

    /// <summary>The headers could be read, and the function table so far: a function that isn't found then is not there.</summary>
    public bool IsReadable { get; private set; }

    /// <summary>True when there is a function table to ask.</summary>
    public bool HasFunctions => _functions.Size >= RuntimeFunctionSize;

    /// <summary>The RUNTIME_FUNCTION whose range holds the address; null for a leaf function and outside of code.</summary>
    public RuntimeFunction? Function(uint rva) => At(LastBeginningAtOrBelow(rva)) is { } found && rva < found.End ? found : null;

    /// <summary>The end of the last function that begins at or below the address; 0 when there is none.</summary>
    public uint EndOfFunctionBelow(uint rva) => At(LastBeginningAtOrBelow(rva))?.End ?? 0;

    /// <summary>The function a piece belongs to: compilers split functions and chain the pieces' unwind information.</summary>
    public RuntimeFunction Primary(RuntimeFunction piece)
    {
        for (var i = 0; i < MostChained && Chained(piece) is { } next; i++) piece = next;
        return piece;
    }

    /// <summary>The export nearest to the address, at or below it: its address and name.</summary>
    public (uint Rva, string Name)? ExportAtOrBelow(uint rva)
    {
        var exports = _sortedExports ??= ReadExports();
        int low = 0, high = exports.Length;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Rva(exports[middle]) <= rva) low = middle + 1;
            else high = middle;
        }

        if (low == 0) return null;
        var nearest = Rva(exports[low - 1]);
        // Several names for one address: the first in the name table, which is sorted.
        var first = low - 1;
        while (first > 0 && Rva(exports[first - 1]) == nearest) first--;
        var name = _memory.AsciiString(_base + (uint)exports[first], 256);
        if (name is null) NoteExports();
        return string.IsNullOrEmpty(name) ? null : (nearest, name);
    }

    /// <summary>Where an export is; null when there is none of that name, or its table is not in memory.</summary>
    public KernelAddress? Export(string name)
    {
        if (_exports.Size < 0x28) return null;
        foreach (var export in _sortedExports ??= ReadExports())
            if (_memory.AsciiString(_base + (uint)export, 256) == name) return _base + Rva(export);
        return null;
    }

    /// <summary>Address of the image's unwind information for a function, or null when it lies outside of the image.</summary>
    public KernelAddress? UnwindInfo(RuntimeFunction function) => function.Unwind != 0 && function.Unwind < _size ? _base + function.Unwind : null;

    /// <summary>A RUNTIME_FUNCTION read from this address of the image (the end of a chained UNWIND_INFO).</summary>
    public RuntimeFunction? FunctionAt(KernelAddress address)
    {
        Span<byte> entry = stackalloc byte[RuntimeFunctionSize];
        for (var i = 0; i < 2; i++)
        {
            if (!_memory.TryRead(address, entry)) return null;
            var found = new RuntimeFunction(BinaryPrimitives.ReadUInt32LittleEndian(entry), BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]), BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]));
            // An odd unwind address stands for another entry of the table that has the information.
            if (found.Unwind % 2 == 0) return found;
            address = _base + (found.Unwind - 1);
        }

        return null;
    }

    private RuntimeFunction? Chained(RuntimeFunction piece)
    {
        if (UnwindInfo(piece) is not { } info || _memory.UInt32(info) is not { } header) return null;
        if (((header >> 3) & ChainedInfo) == 0) return null;
        var codes = (header >> 16) & 0xFF;
        return FunctionAt(info + 4 + (2 * ((codes + 1) & ~1u)));
    }

    /// <summary>Index of the last table entry that begins at or below; -1 when none does or the table is absent there. A table that isn't sorted gives a wrong entry, never an endless search.</summary>
    private int LastBeginningAtOrBelow(uint rva)
    {
        int low = 0, high = (int)(_functions.Size / RuntimeFunctionSize);
        while (low < high)
        {
            var middle = low + ((high - low) / 2);
            if (_memory.UInt32(EntryAddress(middle)) is not { } begin)
            {
                IsReadable = false;
                _memory.Note($"the function table of {_module.FileName} at {EntryAddress(middle)} is not in memory");
                return -1;
            }

            if (begin <= rva) low = middle + 1;
            else high = middle;
        }

        return low - 1;
    }

    private RuntimeFunction? At(int index) =>
        index < 0 || FunctionAt(EntryAddress(index)) is not { } found || found.Begin >= found.End || found.End > _size ? null : found;

    private KernelAddress EntryAddress(int index) => _base + _functions.Rva + ((ulong)index * RuntimeFunctionSize);

    private KernelAddress? DirectoriesAt()
    {
        if (_memory.UInt16(_base) is not 0x5A4D || _memory.UInt32(_base + 0x3C) is not { } peOffset || peOffset > 0x1000) return null;
        var pe = _base + peOffset;
        if (_memory.UInt32(pe) is not 0x4550 || _memory.UInt16(pe + 4) is not 0x8664) return null;
        return _memory.UInt16(pe + 0x18) is 0x20B && _memory.UInt32(pe + 0x84) is >= 4 ? pe + 0x88 : null;
    }

    private PdbIdentity? ReadPdb()
    {
        Span<byte> record = stackalloc byte[24];
        for (uint i = 0; i < Math.Min(_debug.Size / DebugEntrySize, MostDebugEntries); i++)
        {
            var entry = _base + _debug.Rva + (i * DebugEntrySize);
            if (_memory.UInt32(entry + 12) is not CodeView || _memory.UInt32(entry + 20) is not { } rva || rva == 0 || rva >= _size) continue;
            if (!_memory.TryRead(_base + rva, record) || BinaryPrimitives.ReadUInt32LittleEndian(record) != Rsds) continue;
            return new PdbIdentity(Nt.PdbIdentity.FileName(_memory.AsciiString(_base + rva + 24, KernelMemoryReader.LongestString) ?? ""), new Guid(record[4..20]), BinaryPrimitives.ReadUInt32LittleEndian(record[20..]));
        }

        return null;
    }

    /// <summary>The offset in the resources that the entry of a resource directory leads to; of several the first, or that of an identifier.</summary>
    private uint? ResourceEntry(uint directory, uint? id)
    {
        // IMAGE_RESOURCE_DIRECTORY: the numbers of named entries and of those with an identifier, at 12 and 14; the named come first.
        var at = _base + _resources.Rva + directory;
        if (directory >= _resources.Size || _memory.UInt16(at + 12) is not { } named || _memory.UInt16(at + 14) is not { } numbered) return null;
        for (uint i = 0; i < Math.Min((uint)named + numbered, MostResources); i++)
        {
            if (_memory.UInt32(at + 16 + (i * 8)) is not { } name || _memory.UInt32(at + 20 + (i * 8)) is not { } offset) return null;
            if (id is null || name == id) return offset & 0x7FFF_FFFF;
        }

        return null;
    }

    private (uint Rva, uint Size) Directory(KernelAddress directories, uint index)
    {
        if (_memory.UInt32(directories + (index * 8)) is not { } rva || _memory.UInt32(directories + (index * 8) + 4) is not { } size) return default;
        return rva == 0 || rva >= _size ? default : (rva, Math.Min(size, _size - rva));
    }

    private static uint Rva(ulong export) => (uint)(export >> 32);

    private ulong[] ReadExports()
    {
        if (_exports.Size < 0x28) return [];
        var directory = _base + _exports.Rva;
        if (_memory.UInt32(directory + 0x14) is not { } functionCount || _memory.UInt32(directory + 0x18) is not { } nameCount)
        {
            NoteExports();
            return [];
        }

        functionCount = Math.Min(functionCount, MostExports);
        nameCount = Math.Min(nameCount, MostExports);
        var functions = Table(directory + 0x1C, functionCount * 4);
        var names = Table(directory + 0x20, nameCount * 4);
        var ordinals = Table(directory + 0x24, nameCount * 2);
        var found = new ulong[Math.Min(names.Length / 4, ordinals.Length / 2)];
        var count = 0;
        for (var i = 0; i < found.Length; i++)
        {
            var ordinal = BinaryPrimitives.ReadUInt16LittleEndian(ordinals.AsSpan(i * 2));
            if ((ordinal * 4) + 4 > functions.Length) continue;
            var rva = BinaryPrimitives.ReadUInt32LittleEndian(functions.AsSpan(ordinal * 4));
            var nameRva = BinaryPrimitives.ReadUInt32LittleEndian(names.AsSpan(i * 4));
            // An address within the export directory is the text of a forwarder.
            var forwarder = rva >= _exports.Rva && rva - _exports.Rva < _exports.Size;
            if (rva != 0 && rva < _size && nameRva < _size && !forwarder) found[count++] = ((ulong)rva << 32) | nameRva;
        }

        found = found[..count];
        Array.Sort(found);
        return found;
    }

    private byte[] Table(KernelAddress rvaAt, uint length)
    {
        var rva = _memory.UInt32(rvaAt) ?? _size;
        var bytes = rva >= _size ? [] : new byte[Math.Min(length, _size - rva)];
        var available = _memory.ReadAvailable(_base + rva, bytes);
        if (available < length) NoteExports();
        return bytes[..available];
    }

    private void NoteExports() => _memory.Note($"the export table of {_module.FileName} is not wholly in memory: some of its routines have no name");
}

/// <summary>RUNTIME_FUNCTION: a function or a piece of one; addresses relative to the image.</summary>
internal readonly record struct RuntimeFunction(uint Begin, uint End, uint Unwind);
