using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Harness.Emulation.Memory;

/// <summary>
/// The guest's 64-bit address space: 4096-byte pages with permissions, a shadow byte for every byte, and saved states. The kernel half
/// (from 0xFFFF800000000000) is one; each <see cref="Space"/> has its own user half. Not thread-safe: one machine, one host thread.
/// </summary>
public sealed unsafe class GuestMemory
{
    /// <summary>Bytes in a page.</summary>
    public const int PageSize = 4096;

    /// <summary>The IRQL from which nobody could page anything in.</summary>
    internal const int DispatchLevel = 2;

    /// <summary>The number of the first frame of physical memory that a page gets; page tables lie below.</summary>
    public const ulong FirstFrame = 0x10000;

    /// <summary>Shadow of bytes that nobody has written yet. Any store takes it away; reading them is nobody's business.</summary>
    public const byte Undefined = 1;

    private const ulong OffsetMask = PageSize - 1;

    private readonly PageFrames _frames = new();
    private readonly PageTable _table = new();
    private readonly TranslationBuffer _translations = new();
    private readonly UndoLog _log;
    private readonly Action<Page> _changed;
    private ulong _space = 1;
    private ulong _ordinal;
    private bool _userHalfHoldsCode;

    /// <summary>An empty address space; user half 1 is current.</summary>
    public GuestMemory()
    {
        _log = new UndoLog(_frames);
        _ordinal = _table.OrdinalOf(_space);
        _changed = Changed;
    }

    /// <summary>Which user half is current: any nonzero id, such as the directory table base. A saved state remembers it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is 0.</exception>
    public ulong Space
    {
        get => _space;
        set
        {
            ArgumentOutOfRangeException.ThrowIfZero(value);
            if (value == _space) return;
            _space = value;
            _ordinal = _table.OrdinalOf(value);
            _translations.Flush();
            if (!_userHalfHoldsCode) return;
            _userHalfHoldsCode = false;
            CodeWatcher?.CodeChanged();
        }
    }

    /// <summary>Every mapped page, by address, then by space: for dumps.</summary>
    public IEnumerable<MappedPage> Pages =>
        _table.All.Select(page => new MappedPage(_table.SpaceOf(page), page.Address, page.Access, page.FrameNumber))
            .OrderBy(page => page.Address).ThenBy(page => page.Space);

    /// <summary>Who has decoded instructions from this memory.</summary>
    internal ICodeWatcher? CodeWatcher { get; set; }

    internal Translation* Translations => _translations.Entries;

    /// <summary>Maps zero-filled pages, in the kernel half or in the current space's user half.</summary>
    /// <param name="address">A multiple of 4096.</param>
    /// <param name="length">In bytes; rounded up to whole pages.</param>
    /// <param name="access">Not <see cref="PageAccess.None"/>.</param>
    /// <exception cref="InvalidOperationException">A page in the range is mapped already; nothing was mapped.</exception>
    public void Map(ulong address, ulong length, PageAccess access)
    {
        if (access == PageAccess.None) throw new ArgumentException("a mapped page has some access", nameof(access));
        var end = EndOf(address, length);
        for (var at = address; at != end; at += PageSize)
            if (_table.Find(at, _ordinal) is not null) throw new InvalidOperationException($"guest page 0x{at:x} is mapped already");
        for (var at = address; at != end; at += PageSize)
        {
            var key = PageTable.KeyOf(at, _ordinal);
            var page = new Page { Key = key, Address = at, Frame = _frames.TakeZeroed(), FrameNumber = _table.TakeFrameNumber(), Access = access };
            _table.Add(page);
            _log.Mapped(page);
        }
    }

    /// <summary>
    /// Maps pages that show frames which other pages show already: bytes and shadow are the same memory, at a second address and from
    /// any space. A frame lives as long as any page shows it.
    /// </summary>
    /// <param name="address">A multiple of 4096.</param>
    /// <param name="frameNumbers">One for each page, from <see cref="FrameNumberOf"/>.</param>
    /// <param name="access">Not <see cref="PageAccess.Execute"/>: code is decoded where it was mapped first.</param>
    /// <exception cref="InvalidOperationException">A page in the range is mapped already, or the page a frame was mapped with is gone; nothing was mapped.</exception>
    public void MapFrames(ulong address, ReadOnlySpan<ulong> frameNumbers, PageAccess access)
    {
        if (access == PageAccess.None || (access & (PageAccess.Execute | PageAccess.Slots)) != 0) throw new ArgumentException("a second mapping is for data", nameof(access));
        var end = EndOf(address, (ulong)frameNumbers.Length * PageSize);
        for (var at = address; at != end; at += PageSize)
            if (_table.Find(at, _ordinal) is not null) throw new InvalidOperationException($"guest page 0x{at:x} is mapped already");
        foreach (var number in frameNumbers)
            if (_table.OfFrame(number) is null) throw new InvalidOperationException($"guest frame 0x{number:x} is nobody's");
        for (var i = 0; i < frameNumbers.Length; i++)
        {
            var at = address + ((ulong)i * PageSize);
            var origin = _table.OfFrame(frameNumbers[i])!;
            var page = new Page
            {
                Key = PageTable.KeyOf(at, _ordinal),
                Address = at,
                Frame = origin.Frame,
                FrameNumber = frameNumbers[i],
                IsAlias = true,
                Access = access,
                MayAliasCode = (origin.Access & PageAccess.Execute) != 0,
            };
            _frames.Share(page.Frame);
            _table.Add(page);
            _log.MappedAlias(page);
        }
    }

    /// <summary>The number of the frame that the page of an address shows: its place in physical memory. 0 when there is no page.</summary>
    public ulong FrameNumberOf(ulong address) => _table.Find(address, _ordinal)?.FrameNumber ?? 0;

    /// <summary>Takes pages away.</summary>
    /// <exception cref="InvalidOperationException">A page in the range isn't mapped; nothing was unmapped.</exception>
    public void Unmap(ulong address, ulong length)
    {
        foreach (var page in Mapped(address, length))
        {
            Changed(page);
            _table.Remove(page);
            _log.Unmapped(page);
        }
    }

    /// <summary>Gives mapped pages another access.</summary>
    /// <exception cref="InvalidOperationException">A page in the range isn't mapped; nothing was changed.</exception>
    public void Protect(ulong address, ulong length, PageAccess access)
    {
        if (access == PageAccess.None) throw new ArgumentException("a mapped page has some access; Unmap takes it away", nameof(access));
        foreach (var page in Mapped(address, length))
        {
            Changed(page);
            _log.BeforeProtect(page);
            page.Access = access;
        }
    }

    /// <summary>The access of the page an address is on; <see cref="PageAccess.None"/> when there is none.</summary>
    public PageAccess AccessOf(ulong address) => _table.Find(address, _ordinal)?.Access ?? PageAccess.None;

    /// <summary>Reads a byte for the kernel: permissions and shadow don't count.</summary>
    /// <exception cref="GuestAccessException">The address isn't mapped.</exception>
    public byte ReadU8(ulong a) => *Readable(a);

    /// <inheritdoc cref="ReadU8"/>
    public ushort ReadU16(ulong a)
    {
        if (Fits(a, sizeof(ushort))) return Unsafe.ReadUnaligned<ushort>(Readable(a));
        Span<byte> bytes = stackalloc byte[sizeof(ushort)];
        Read(a, bytes);
        return BinaryPrimitives.ReadUInt16LittleEndian(bytes);
    }

    /// <inheritdoc cref="ReadU8"/>
    public uint ReadU32(ulong a)
    {
        if (Fits(a, sizeof(uint))) return Unsafe.ReadUnaligned<uint>(Readable(a));
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        Read(a, bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    /// <inheritdoc cref="ReadU8"/>
    public ulong ReadU64(ulong a)
    {
        if (Fits(a, sizeof(ulong))) return Unsafe.ReadUnaligned<ulong>(Readable(a));
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        Read(a, bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    /// <summary>Writes a byte for the kernel: permissions and shadow don't count.</summary>
    /// <exception cref="GuestAccessException">The address isn't mapped; nothing was written.</exception>
    public void WriteU8(ulong a, byte value) => *Defined(Writable(a), 1) = value;

    /// <inheritdoc cref="WriteU8"/>
    public void WriteU16(ulong a, ushort value)
    {
        if (Fits(a, sizeof(ushort))) Unsafe.WriteUnaligned(Defined(Writable(a), sizeof(ushort)), value);
        else Write(a, new ReadOnlySpan<byte>(&value, sizeof(ushort)));
    }

    /// <inheritdoc cref="WriteU8"/>
    public void WriteU32(ulong a, uint value)
    {
        if (Fits(a, sizeof(uint))) Unsafe.WriteUnaligned(Defined(Writable(a), sizeof(uint)), value);
        else Write(a, new ReadOnlySpan<byte>(&value, sizeof(uint)));
    }

    /// <inheritdoc cref="WriteU8"/>
    public void WriteU64(ulong a, ulong value)
    {
        if (Fits(a, sizeof(ulong))) Unsafe.WriteUnaligned(Defined(Writable(a), sizeof(ulong)), value);
        else Write(a, new ReadOnlySpan<byte>(&value, sizeof(ulong)));
    }

    /// <summary>Reads bytes for the kernel, over as many pages as it takes.</summary>
    /// <exception cref="GuestAccessException">Some byte isn't mapped; what <paramref name="into"/> then holds is unspecified.</exception>
    public void Read(ulong a, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            var run = RunOf(a, into.Length);
            new ReadOnlySpan<byte>(Readable(a), run).CopyTo(into);
            into = into[run..];
            a += (ulong)run;
        }
    }

    /// <summary>Writes bytes for the kernel, over as many pages as it takes.</summary>
    /// <exception cref="GuestAccessException">Some byte isn't mapped; nothing was written.</exception>
    public void Write(ulong a, ReadOnlySpan<byte> from)
    {
        RequireMapped(a, (ulong)from.Length);
        while (!from.IsEmpty)
        {
            var run = RunOf(a, from.Length);
            from[..run].CopyTo(new Span<byte>(Defined(Writable(a), run), run));
            from = from[run..];
            a += (ulong)run;
        }
    }

    /// <summary>Writes the same byte <paramref name="length"/> times, for the kernel.</summary>
    /// <exception cref="GuestAccessException">Some byte isn't mapped; nothing was written.</exception>
    public void Fill(ulong a, ulong length, byte value)
    {
        RequireMapped(a, length);
        while (length > 0)
        {
            var run = RunOf(a, length);
            new Span<byte>(Defined(Writable(a), run), run).Fill(value);
            length -= (ulong)run;
            a += (ulong)run;
        }
    }

    /// <summary>Reads bytes of the current space; false when some byte isn't mapped.</summary>
    public bool TryRead(ulong a, Span<byte> into) => TryRead(_ordinal, a, into);

    /// <summary>Reads bytes of any space; false when some byte isn't mapped.</summary>
    public bool TryReadIn(ulong space, ulong a, Span<byte> into) => TryRead(_table.OrdinalOf(space), a, into);

    /// <summary>The shadow of one byte: 0 is ordinary, 1 <see cref="Undefined"/>; bit 7 makes an access by guest instructions stop the processor.</summary>
    /// <exception cref="GuestAccessException">The address isn't mapped.</exception>
    public byte ReadShadow(ulong a) => *(Readable(a) + PageFrames.ShadowOffset);

    /// <summary>Gives <paramref name="length"/> bytes the same shadow.</summary>
    /// <exception cref="GuestAccessException">Some byte isn't mapped; nothing was written.</exception>
    public void WriteShadow(ulong a, ulong length, byte value)
    {
        RequireMapped(a, length);
        while (length > 0)
        {
            var run = RunOf(a, length);
            new Span<byte>(Writable(a) + PageFrames.ShadowOffset, run).Fill(value);
            length -= (ulong)run;
            a += (ulong)run;
        }
    }

    /// <summary>
    /// Saves the state: bytes, shadow, mappings, permissions and the current space. Costs nothing by itself; each page changed
    /// afterwards costs one copy. States nest.
    /// </summary>
    public MemoryState Save()
    {
        _translations.ForbidWrites();
        return _log.Save(_space, _table.Frames);
    }

    /// <summary>Goes back to a saved state, which may be restored again. States saved after it are gone.</summary>
    /// <exception cref="InvalidOperationException">The state is gone, or another memory's.</exception>
    public void Restore(MemoryState state) => Space = _log.Restore(state, _table, _changed);

    /// <summary>Gives the newest saved state up and keeps what happened since.</summary>
    /// <exception cref="InvalidOperationException">There is a newer state, or this one is gone.</exception>
    public void Forget(MemoryState state) => _log.Forget(state);

    /// <summary>
    /// May a guest instruction make this access? When it may and lies on one page, the translation buffer has it afterwards.
    /// A store that may is one the caller will make: the saved state has its copy and decoded instructions are dropped.
    /// </summary>
    internal Refusal Check(ulong address, int size, bool write, int irql = 0)
    {
        if (!PageTable.IsCanonical(address) || !PageTable.IsCanonical(address + (ulong)size - 1))
            return new Refusal(RefusedBy.NonCanonical, address, 0);
        var first = RunOf(address, size);
        var refusal = CheckPaging(address, write);
        if (refusal.By == RefusedBy.Nothing && first < size) refusal = CheckPaging(address + (ulong)first, write);
        if (refusal.By != RefusedBy.Nothing) return refusal;
        if (irql >= DispatchLevel && (IsPageable(address) || IsPageable(address + (ulong)size - 1))) return new Refusal(RefusedBy.Irql, address, (ulong)size << 8 | (write ? 1UL << 16 : 0));
        for (var i = 0; i < size; i++)
        {
            var shadow = ReadShadow(address + (ulong)i);
            if ((shadow & 0x80) != 0)
                return new Refusal(RefusedBy.Shadow, address, shadow | ((ulong)size << 8) | (write ? 1UL << 16 : 0));
        }
        if (write)
        {
            _ = Writable(address);
            _ = Writable(address + (ulong)size - 1);
        }
        return default;
    }

    /// <summary>The bytes from an address to the end of its page, as code: its writes are watched from now on. Empty when the page can't be executed.</summary>
    internal ReadOnlySpan<byte> Code(ulong address)
    {
        var page = _table.Find(address, _ordinal);
        if (page is null || (page.Access & PageAccess.Execute) == 0) return default;
        if (!page.HoldsCode)
        {
            page.HoldsCode = true;
            _translations.ForbidWrites(page.Address);
        }
        // Whoever decodes knows addresses, not spaces: another space means other code.
        if (!PageTable.IsKernel(address)) _userHalfHoldsCode = true;
        var offset = (int)(address & OffsetMask);
        return new ReadOnlySpan<byte>(page.Frame + offset, PageSize - offset);
    }

    private static bool Fits(ulong a, int size) => (a & OffsetMask) <= (ulong)(PageSize - size);

    private static int RunOf(ulong a, int length) => Math.Min(length, PageSize - (int)(a & OffsetMask));

    private static int RunOf(ulong a, ulong length) => (int)Math.Min(length, PageSize - (a & OffsetMask));

    private static ulong EndOf(ulong address, ulong length)
    {
        if ((address & OffsetMask) != 0) throw new ArgumentException($"0x{address:x} is not the address of a page", nameof(address));
        if (length == 0) return address;
        var last = address + length - 1;
        if (last < address || !PageTable.IsCanonical(address) || !PageTable.IsCanonical(last) || PageTable.IsKernel(address) != PageTable.IsKernel(last))
            throw new ArgumentOutOfRangeException(nameof(length), $"0x{address:x} + 0x{length:x} leaves its half of the address space");
        return (last | OffsetMask) + 1;
    }

    private List<Page> Mapped(ulong address, ulong length)
    {
        var end = EndOf(address, length);
        var pages = new List<Page>();
        for (var at = address; at != end; at += PageSize)
            pages.Add(_table.Find(at, _ordinal) ?? throw new InvalidOperationException($"guest page 0x{at:x} is not mapped"));
        return pages;
    }

    private void RequireMapped(ulong a, ulong length)
    {
        while (length > 0)
        {
            if (_table.Find(a, _ordinal) is null) throw new GuestAccessException(a, write: true);
            var run = (ulong)RunOf(a, length);
            a += run;
            length -= run;
        }
    }

    private bool TryRead(ulong ordinal, ulong a, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            if (_table.Find(a, ordinal) is not { } page) return false;
            var run = RunOf(a, into.Length);
            new ReadOnlySpan<byte>(page.Frame + (a & OffsetMask), run).CopyTo(into);
            into = into[run..];
            a += (ulong)run;
        }
        return true;
    }

    private byte* Readable(ulong a)
    {
        var entry = TranslationBuffer.EntryOf(Translations, a);
        if ((a & TranslationBuffer.PageMask) == entry->ReadTag) return (byte*)((nint)a + entry->Addend);
        var page = _table.Find(a, _ordinal) ?? throw new GuestAccessException(a);
        if ((page.Access & (PageAccess.Read | PageAccess.Pageable)) == PageAccess.Read) _translations.AllowRead(page);
        return page.Frame + (a & OffsetMask);
    }

    private byte* Writable(ulong a)
    {
        var entry = TranslationBuffer.EntryOf(Translations, a);
        if ((a & TranslationBuffer.PageMask) == entry->WriteTag) return (byte*)((nint)a + entry->Addend);
        var page = _table.Find(a, _ordinal) ?? throw new GuestAccessException(a, write: true);
        _log.BeforeWrite(page);
        DropCode(page);
        if (page.MayAliasCode) CodeWatcher?.CodeChanged();
        else if ((page.Access & (PageAccess.Write | PageAccess.Pageable)) == PageAccess.Write) _translations.AllowWrite(page);
        return page.Frame + (a & OffsetMask);
    }

    private bool IsPageable(ulong address) => (AccessOf(address) & PageAccess.Pageable) != 0;

    /// <summary>The same bytes, and from now on written ones.</summary>
    private static byte* Defined(byte* at, int bytes)
    {
        var shadow = at + PageFrames.ShadowOffset;
        var ordinary = bytes switch
        {
            sizeof(ulong) => Unsafe.ReadUnaligned<ulong>(shadow) == 0,
            sizeof(uint) => Unsafe.ReadUnaligned<uint>(shadow) == 0,
            _ => false,
        };
        if (!ordinary) new Span<byte>(shadow, bytes).Replace(Undefined, (byte)0);
        return at;
    }

    private Refusal CheckPaging(ulong address, bool write)
    {
        var page = _table.Find(address, _ordinal);
        var wanted = write ? PageAccess.Write : PageAccess.Read;
        if (page is not null && (page.Access & wanted) != 0) return default;
        return new Refusal(RefusedBy.Paging, address, (page is null ? 0UL : 1UL) | (write ? 2UL : 0UL));
    }

    private void Changed(Page page)
    {
        _translations.Forget(page.Address);
        DropCode(page);
    }

    private void DropCode(Page page)
    {
        if (!page.HoldsCode) return;
        page.HoldsCode = false;
        CodeWatcher?.CodeChanged();
    }
}
