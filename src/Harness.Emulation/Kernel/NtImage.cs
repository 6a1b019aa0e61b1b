using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Text;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// The emulated nt as a PE image: headers, code that is rows of slots, .pdata that any x64 unwinder can read, exports by which
/// a debugger names every routine, and the variables of the kernel. Made once per process; each machine maps a copy.
/// </summary>
/// <remarks>
/// A routine is a row of slots of eight bytes. The first holds a real <c>sub rsp, N</c>; the rest are int3, so that nothing in them looks
/// like an epilogue. Fetching from a slot ends the processor's run, and the slot's step is carried out instead (docs/decisions).
/// </remarks>
internal sealed class NtImage
{
    public const ulong Base = 0xFFFFF803_10000000;
    public const uint SizeOfImage = 0x120000;
    public const int SlotSize = 8;

    /// <summary>The PE header's, by which a debugger knows that a file is this image.</summary>
    public const uint TimeDateStamp = 0x5F000000;

    /// <summary>As the loaded module list and the export directory name it.</summary>
    public const string FileName = "ntoskrnl.exe";

    private const uint FileAlignment = 0x200, HeadersSize = 0x400, TextRva = 0x1000, PdataRva = 0x80000, EdataRva = 0xA0000, DataRva = 0x100000;

    /// <summary>Home space for a callee's four register arguments and eight more on the stack: IopXxxControlFile takes eleven.</summary>
    public const uint OutgoingArguments = 0x60;

    private static readonly byte[] Breakpoints = [0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC];

    private readonly Slot[] _slots;
    private readonly byte[] _headers, _text, _pdata, _edata;
    private readonly FrozenDictionary<string, ulong> _addresses;
    private readonly (uint Rva, string Name)[] _byAddress;
    private readonly FrozenDictionary<string, Routine> _routines;

    private NtImage(IReadOnlyList<Routine> routines)
    {
        var slots = new List<Slot>();
        var addresses = new Dictionary<string, ulong>();
        var text = new List<byte>();
        var pdata = new List<byte>();
        var xdata = new List<byte>();
        var xdataRva = PdataRva + (uint)(routines.Count * 12);
        xdataRva = (xdataRva + 7) & ~7u;
        foreach (var routine in routines)
        {
            var begin = TextRva + (uint)text.Count;
            routine.Address = Base + begin;
            if (!addresses.TryAdd(routine.Name, Base + begin)) throw new InvalidOperationException($"nt!{routine.Name} is defined twice");
            for (var step = 0; step < routine.Steps.Length; step++)
            {
                slots.Add(new Slot(routine, step));
                text.AddRange(step == 0 ? routine.Prologue() : Breakpoints);
            }
            // A call in the last step leaves a return address behind it that must still belong to this routine.
            slots.Add(new Slot(routine, -1));
            text.AddRange(Breakpoints);
        }
        // Unwind information names handlers by address, so it comes when every routine has one.
        foreach (var routine in routines)
        {
            Append32(pdata, (uint)(routine.Address - Base));
            Append32(pdata, (uint)(routine.AddressOf(routine.Steps.Length + 1) - Base));
            Append32(pdata, xdataRva + (uint)xdata.Count);
            xdata.AddRange(routine.UnwindInfo());
            while (xdata.Count % 4 != 0) xdata.Add(0);
        }
        foreach (var (name, offset) in NtData.Exports) addresses.Add(name, Base + DataRva + offset);
        if (text.Count > PdataRva - TextRva) throw new InvalidOperationException("nt's text is too large for its section");
        ExceptionDirectorySize = (uint)pdata.Count;
        while (pdata.Count < (int)(xdataRva - PdataRva)) pdata.Add(0);
        pdata.AddRange(xdata);
        _slots = [.. slots];
        _text = [.. text];
        _pdata = [.. pdata];
        _addresses = addresses.ToFrozenDictionary();
        _routines = routines.ToFrozenDictionary(r => r.Name);
        _byAddress = [.. addresses.Select(a => ((uint)(a.Value - Base), a.Key)).OrderBy(a => a.Item1)];
        _edata = ExportDirectory();
        _headers = Headers();
    }

    /// <summary>The one image.</summary>
    public static NtImage Instance { get; } = new(NtRoutines.All());

    private uint ExceptionDirectorySize { get; }

    /// <summary>Address of a routine or variable of nt.</summary>
    public ulong this[string name] => _addresses[name];

    /// <summary>A routine of nt.</summary>
    public Routine RoutineOf(string name) => _routines[name];

    /// <summary>Every routine, in the order of their addresses.</summary>
    public IEnumerable<Routine> Routines => _routines.Values.OrderBy(r => r.Address);

    public bool TryFind(string name, out ulong address) => _addresses.TryGetValue(name, out address);

    /// <summary>The names of everything nt has, for lists and suggestions.</summary>
    public IEnumerable<string> Names => _addresses.Keys;

    public static bool Contains(ulong address) => address - Base < SizeOfImage;

    /// <summary>The slot at an address of nt's text.</summary>
    public bool TrySlot(ulong address, out Slot slot)
    {
        var offset = address - Base - TextRva;
        var index = offset / SlotSize;
        if (offset % SlotSize != 0 || index >= (ulong)_slots.Length)
        {
            slot = default;
            return false;
        }
        slot = _slots[index];
        return slot.Step >= 0;
    }

    /// <summary>"nt!KeSetEvent+0x8".</summary>
    public string NameOf(ulong address)
    {
        var rva = (uint)(address - Base);
        var (low, high) = (0, _byAddress.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_byAddress[middle].Rva <= rva) low = middle + 1;
            else high = middle;
        }
        if (low == 0) return "nt+0x" + rva.ToString("x");
        var (start, name) = _byAddress[low - 1];
        return rva == start ? "nt!" + name : $"nt!{name}+0x{rva - start:x}";
    }

    /// <summary>The image as a file: for a debugger, which has the names of a module's routines out of its file. Pieces in their order.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> File =>
        ((byte[][])[_headers, _text, _pdata, _edata]).SelectMany(part => (ReadOnlyMemory<byte>[])[part, new byte[InFile(part) - (uint)part.Length]]);

    /// <summary>Maps a fresh copy. Text is a page of slots; data is zero.</summary>
    public void Map(GuestMemory memory)
    {
        MapSection(memory, 0, _headers, PageAccess.Read);
        MapSection(memory, TextRva, _text, PageAccess.Read | PageAccess.Execute | PageAccess.Slots);
        MapSection(memory, PdataRva, _pdata, PageAccess.Read);
        MapSection(memory, EdataRva, _edata, PageAccess.Read);
        memory.Map(Base + DataRva, SizeOfImage - DataRva, PageAccess.Read | PageAccess.Write);
    }

    private static void MapSection(GuestMemory memory, uint rva, byte[] content, PageAccess access)
    {
        memory.Map(Base + rva, ((ulong)content.Length + 0xFFF) & ~0xFFFul, access);
        memory.Write(Base + rva, content);
    }

    /// <summary>PE32+ headers as the loader leaves them in memory ([MS] PE format): enough for any debugger to find sections, exports and .pdata.</summary>
    private byte[] Headers()
    {
        var h = new byte[HeadersSize];
        var s = h.AsSpan();
        "MZ"u8.CopyTo(s);
        Put32(s, 0x3C, 0x80);
        "PE\0\0"u8.CopyTo(s[0x80..]);
        var coff = s[0x84..];
        Put16(coff, 0, 0x8664);
        Put16(coff, 2, 4);
        Put32(coff, 4, TimeDateStamp);
        Put16(coff, 16, 0xF0);
        Put16(coff, 18, 0x22);
        var optional = s[0x98..];
        Put16(optional, 0, 0x20B);
        optional[2] = 14;
        Put32(optional, 4, PdataRva - TextRva);
        Put32(optional, 16, TextRva);
        Put32(optional, 20, TextRva);
        BinaryPrimitives.WriteUInt64LittleEndian(optional[24..], Base);
        Put32(optional, 32, 0x1000);
        Put32(optional, 36, FileAlignment);
        Put16(optional, 40, 10);
        Put16(optional, 44, 10);
        Put16(optional, 48, 10);
        Put32(optional, 56, SizeOfImage);
        Put32(optional, 60, HeadersSize);
        Put16(optional, 68, 1);
        Put32(optional, 108, 16);
        Put32(optional, 112, EdataRva);
        Put32(optional, 116, (uint)_edata.Length);
        Put32(optional, 112 + (3 * 8), PdataRva);
        Put32(optional, 116 + (3 * 8), ExceptionDirectorySize);
        var sections = s[0x188..];
        var file = HeadersSize;
        PutSection(sections, ".text", TextRva, PdataRva - TextRva, 0x60000020, _text, ref file);
        PutSection(sections[40..], ".pdata", PdataRva, EdataRva - PdataRva, 0x40000040, _pdata, ref file);
        PutSection(sections[80..], ".edata", EdataRva, DataRva - EdataRva, 0x40000040, _edata, ref file);
        PutSection(sections[120..], ".data", DataRva, SizeOfImage - DataRva, 0xC0000080, [], ref file);
        return h;
    }

    private byte[] ExportDirectory()
    {
        var names = _addresses.Keys.Order(StringComparer.Ordinal).ToArray();
        var functions = 40u;
        var pointers = functions + (4 * (uint)names.Length);
        var ordinals = pointers + (4 * (uint)names.Length);
        var strings = ordinals + (2 * (uint)names.Length);
        var text = new List<byte>();
        var directory = new byte[strings];
        for (var i = 0; i < names.Length; i++)
        {
            Put32(directory, (int)functions + (4 * i), (uint)(_addresses[names[i]] - Base));
            Put32(directory, (int)pointers + (4 * i), EdataRva + strings + (uint)text.Count);
            Put16(directory, (int)ordinals + (2 * i), (ushort)i);
            text.AddRange(Encoding.ASCII.GetBytes(names[i]));
            text.Add(0);
        }
        Put32(directory, 12, EdataRva + strings + (uint)text.Count);
        text.AddRange(Encoding.ASCII.GetBytes(FileName + "\0"));
        Put32(directory, 16, 1);
        Put32(directory, 20, (uint)names.Length);
        Put32(directory, 24, (uint)names.Length);
        Put32(directory, 28, EdataRva + functions);
        Put32(directory, 32, EdataRva + pointers);
        Put32(directory, 36, EdataRva + ordinals);
        return [.. directory, .. text];
    }

    private static uint InFile(byte[] part) => ((uint)part.Length + FileAlignment - 1) & ~(FileAlignment - 1);

    private static void PutSection(Span<byte> at, string name, uint rva, uint size, uint characteristics, byte[] content, ref uint file)
    {
        Encoding.ASCII.GetBytes(name, at);
        Put32(at, 8, size);
        Put32(at, 12, rva);
        Put32(at, 16, InFile(content));
        Put32(at, 20, content.Length == 0 ? 0 : file);
        file += InFile(content);
        Put32(at, 36, characteristics);
    }

    private static void Put16(Span<byte> at, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(at[offset..], value);

    private static void Put32(Span<byte> at, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(at[offset..], value);

    private static void Append32(List<byte> to, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        to.AddRange(bytes);
    }
}

/// <summary>One slot of nt's text: what to do when a processor comes to it. Step -1 pads the routine's end.</summary>
internal readonly record struct Slot(Routine Routine, int Step);
