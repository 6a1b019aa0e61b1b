using System.Buffers.Binary;
using System.Text;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Core.Tests.Diagnosis;

/// <summary>Kernel memory made of pages that a test writes; a page nobody wrote is absent.</summary>
internal sealed class FakeMemory(int build, NtLayout? layout = null) : IKernelMemory
{
    private const ulong PageSize = 0x1000;
    private readonly Dictionary<ulong, byte[]> _pages = [];

    public int Build { get; set; } = build;

    public NtLayout Layout => layout ?? NtLayout.ForBuild(Build);

    public ISymbols? Symbols { get; set; }

    public KernelAddress ActiveProcessHead { get; set; }

    public KernelAddress LoadedModuleList { get; set; }

    public KernelAddress ProcessIdTable { get; set; }

    /// <summary>Reads so far, successful or not.</summary>
    public int Reads { get; private set; }

    /// <summary>Addresses of the pages there are, ascending.</summary>
    public IReadOnlyList<ulong> Pages => [.. _pages.Keys.Order()];

    public bool TryRead(KernelAddress address, Span<byte> destination)
    {
        Reads++;
        for (var i = 0; i < destination.Length;)
        {
            var at = address.Value + (ulong)i;
            if (!_pages.TryGetValue(at & ~(PageSize - 1), out var page)) return false;
            var offset = (int)(at & (PageSize - 1));
            var length = Math.Min(page.Length - offset, destination.Length - i);
            page.AsSpan(offset, length).CopyTo(destination[i..]);
            i += length;
        }

        return true;
    }

    public void Write(KernelAddress address, ReadOnlySpan<byte> bytes)
    {
        for (var i = 0; i < bytes.Length;)
        {
            var at = address.Value + (ulong)i;
            if (!_pages.TryGetValue(at & ~(PageSize - 1), out var page)) _pages[at & ~(PageSize - 1)] = page = new byte[PageSize];
            var offset = (int)(at & (PageSize - 1));
            var length = Math.Min(page.Length - offset, bytes.Length - i);
            bytes.Slice(i, length).CopyTo(page.AsSpan(offset));
            i += length;
        }
    }

    public void Byte(KernelAddress address, int value) => Write(address, [(byte)value]);

    public void UInt16(KernelAddress address, int value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)value);
        Write(address, bytes);
    }

    public void UInt32(KernelAddress address, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Write(address, bytes);
    }

    public void UInt64(KernelAddress address, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Write(address, bytes);
    }

    public void Pointer(KernelAddress address, KernelAddress value) => UInt64(address, value.Value);

    /// <summary>A UNICODE_STRING whose characters are put at <paramref name="buffer"/>.</summary>
    public void UnicodeString(KernelAddress address, KernelAddress buffer, string text)
    {
        var bytes = Encoding.Unicode.GetBytes(text);
        UInt16(address, bytes.Length);
        UInt16(address + 2, bytes.Length + 2);
        Pointer(address + 8, buffer);
        Write(buffer, bytes);
    }

    public ulong UInt64(KernelAddress address)
    {
        Span<byte> bytes = stackalloc byte[8];
        return TryRead(address, bytes) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : throw new InvalidOperationException($"{address} is absent");
    }

    /// <summary>A list without entries.</summary>
    public void ListHead(KernelAddress head)
    {
        Pointer(head, head);
        Pointer(head + 8, head);
    }

    /// <summary>InsertTailList.</summary>
    public void Append(KernelAddress head, KernelAddress entry)
    {
        var last = new KernelAddress(UInt64(head + 8));
        Pointer(entry, head);
        Pointer(entry + 8, last);
        Pointer(last, entry);
        Pointer(head + 8, entry);
    }

    /// <summary>RemoveEntryList.</summary>
    public void Unlink(KernelAddress entry)
    {
        var (next, previous) = (new KernelAddress(UInt64(entry)), new KernelAddress(UInt64(entry + 8)));
        Pointer(previous, next);
        Pointer(next + 8, previous);
    }

    /// <summary>Makes the pages of a range absent.</summary>
    public void Remove(KernelAddress address, ulong length = 1)
    {
        for (var page = address.Value & ~(PageSize - 1); page < address.Value + length; page += PageSize) _pages.Remove(page);
    }

    /// <summary>Takes one page away and gives its bytes, to be put back with <see cref="Write"/>.</summary>
    public byte[] PageAt(ulong address) => _pages[address];
}
