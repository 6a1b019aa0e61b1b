using System.Buffers.Binary;
using System.Text;
using Core.Tests.Diagnosis;
using Harness.Core.Nt;

namespace Core.Tests.Dumps;

/// <summary>
/// Puts a fake kernel's memory behind page tables and writes it as each kind of file. Frames are given in an order that is neither that of the
/// addresses nor without gaps.
/// </summary>
internal sealed class FakeDump
{
    public const int PageSize = 0x1000;
    private const ulong Present = 1, Large = 0x80, Transition = 0x800;

    private readonly FakeKernel _kernel;
    private readonly SortedDictionary<ulong, byte[]> _frames = [];
    private readonly int _levels;
    private readonly ulong _spread;
    private ulong _next = 0x20;

    /// <param name="kernel">What is in memory; later changes of it are not seen.</param>
    /// <param name="levels">Of page tables: 4 or 5.</param>
    /// <param name="largeKernel">The kernel image is mapped by a page of 2 MiB.</param>
    /// <param name="transition">Every so many of the pages are in transition; 0: none.</param>
    /// <param name="spread">From one used frame to the next.</param>
    public FakeDump(FakeKernel kernel, int levels = 4, bool largeKernel = false, int transition = 0, ulong spread = 1)
    {
        _kernel = kernel;
        _spread = spread;
        _levels = levels;
        Root = NewTable();
        // As Windows maps its page tables.
        BinaryPrimitives.WriteUInt64LittleEndian(_frames[Root].AsSpan(0x1ED * 8), (Root << 12) | Present | 2);
        const ulong LargeFrame = 0x600;
        var number = 0;
        foreach (var page in kernel.Memory.Pages.Reverse())
        {
            var bytes = (byte[])kernel.Memory.PageAt(page).Clone();
            if (largeKernel && page >> 21 == FakeKernel.KernelBase.Value >> 21)
            {
                _frames[LargeFrame + (page >> 12 & 0x1FF)] = bytes;
                Map(page, LargeFrame, 2, Present | Large);
                continue;
            }

            // One of three frames stays free.
            var frame = Free(++number % 3 == 0 ? 2UL : 1UL);
            _frames[frame] = bytes;
            var away = transition > 0 && number % transition == 0;
            Map(page, frame, 1, away ? Transition : Present);
            Where[page] = frame;
        }
    }

    /// <summary>Frame of the top table.</summary>
    public ulong Root { get; }

    /// <summary>Frames of the kernel's pages by their addresses; those in large pages left out.</summary>
    public Dictionary<ulong, ulong> Where { get; } = [];

    public KernelAddress DebuggerData { get; init; }

    /// <summary>DUMP_HEADER64 with a body of runs.</summary>
    public byte[] Full() => [.. Header(1, Runs()), .. Pages()];

    /// <summary>With a body of a page bitmap.</summary>
    public byte[] Bitmap(uint type)
    {
        var last = _frames.Keys.Last();
        var bitmap = new byte[(last / 8) + 1];
        foreach (var frame in _frames.Keys) bitmap[frame / 8] |= (byte)(1 << (int)(frame % 8));
        var head = new byte[(0x38 + bitmap.Length + PageSize - 1) / PageSize * PageSize];
        Encoding.ASCII.GetBytes(type == 5 ? "FDMPDUMP" : "SDMPDUMP", head);
        Put(head, 0x20, 0x2000 + (ulong)head.Length);
        Put(head, 0x28, (ulong)_frames.Count);
        Put(head, 0x30, last + 1);
        bitmap.CopyTo(head, 0x38);
        return [.. Header(type, []), .. head, .. Pages()];
    }

    /// <summary>The same for a machine of so many bytes, all of them there; what nobody wrote is a hole in the file.</summary>
    public void WriteBitmap(Stream file, ulong machine)
    {
        var frames = machine / PageSize;
        if (_frames.Keys.Last() >= frames) throw new InvalidOperationException($"frame {_frames.Keys.Last()} is not in a machine of {frames} pages");
        var head = new byte[(0x38 + (frames / 8) + PageSize - 1) / PageSize * PageSize];
        Encoding.ASCII.GetBytes("FDMPDUMP", head);
        Put(head, 0x20, 0x2000 + (ulong)head.Length);
        Put(head, 0x28, frames);
        Put(head, 0x30, frames);
        head.AsSpan(0x38, (int)(frames / 8)).Fill(0xFF);
        file.Write(Header(5, []));
        file.Write(head);
        foreach (var (frame, bytes) in _frames)
        {
            file.Position = 0x2000 + head.Length + (long)(frame * PageSize);
            file.Write(bytes);
        }

        file.SetLength(0x2000 + head.Length + (long)machine);
    }

    /// <summary>With a body of ranges, whose pages are not aligned in the file.</summary>
    public byte[] Ranges(uint type)
    {
        var runs = Runs();
        var metadata = 0x10 + (16 * runs.Count);
        var head = new byte[0x20 + metadata];
        Put(head, 0, 0x40);
        Encoding.ASCII.GetBytes("RDMPDUMP", head.AsSpan(4));
        Put(head, 0x10, (ulong)metadata);
        Put(head, 0x18, 0x2000 + (ulong)head.Length);
        Put(head, 0x20, (ulong)runs.Count);
        Put(head, 0x28, (ulong)_frames.Count);
        foreach (var (i, (first, count)) in runs.Index())
        {
            Put(head, 0x30 + (i * 16), first);
            Put(head, 0x38 + (i * 16), count);
        }

        return [.. Header(type, []), .. head, .. Pages()];
    }

    /// <summary>A body of virtual pieces: the thread, its process and its stack, and the pages from these addresses.</summary>
    public byte[] Triage(KernelAddress thread, KernelAddress process, params KernelAddress[] pages)
    {
        var layout = _kernel.Layout;
        var file = new List<byte>(Header(4, [])) { Capacity = 0x40000 };
        file.AddRange(new byte[0x80]);
        var words = new Dictionary<int, uint>();
        var prcb = new byte[0x100];
        Put(prcb, (int)layout.Prcb.CurrentThread, thread.Value);
        Append(0x1C, prcb);
        Append(0x20, Read(process, layout.EProcess.SizeInBytes));
        Append(0x24, Read(thread, layout.EThread.SizeInBytes));
        var low = new KernelAddress(_kernel.Memory.UInt64(thread + layout.KThread.KernelStack));
        var stack = Read(low, (uint)(_kernel.Memory.UInt64(thread + layout.KThread.StackBase) - low.Value));
        Append(0x28, stack);
        words[0x2C] = (uint)stack.Length;
        var contents = pages.Select(page => (page, (uint)Offset(), Take(page))).ToList();
        words[0x78] = (uint)file.Count;
        words[0x7C] = (uint)contents.Count;
        foreach (var (page, offset, bytes) in contents)
        {
            var entry = new byte[16];
            Put(entry, 0, page.Value);
            Put(entry, 8, ((ulong)bytes << 32) | offset);
            file.AddRange(entry);
        }

        words[0x08] = (uint)file.Count;
        file.AddRange("TRGD"u8);
        var all = file.ToArray();
        Put(all, 0x2048, low.Value);
        foreach (var (at, value) in words) BinaryPrimitives.WriteUInt32LittleEndian(all.AsSpan(0x2000 + at), value);
        return all;

        int Offset() => file.Count;

        uint Take(KernelAddress page)
        {
            file.AddRange(Read(page, PageSize));
            return PageSize;
        }

        void Append(int word, byte[] bytes)
        {
            words[word] = (uint)file.Count;
            file.AddRange(bytes);
        }

        byte[] Read(KernelAddress at, uint length)
        {
            var bytes = new byte[length];
            return _kernel.Memory.TryRead(at, bytes) ? bytes : throw new InvalidOperationException($"{at} is absent");
        }
    }

    /// <summary>ELF core with a PT_LOAD for each run and a QEMU note for each of these CR3.</summary>
    public byte[] Elf(params ulong[] cr3)
    {
        var runs = Runs();
        var notes = cr3.SelectMany(Note).ToArray();
        var head = new byte[0x40 + (56 * (runs.Count + 1))];
        Put(head, 0, 0x00010102_464C457F);
        Put(head, 0x10, 0x00000001_003E0004);
        Put(head, 0x20, 0x40);
        BinaryPrimitives.WriteUInt16LittleEndian(head.AsSpan(0x36), 56);
        BinaryPrimitives.WriteUInt16LittleEndian(head.AsSpan(0x38), (ushort)(runs.Count + 1));
        Segment(0, 4, (ulong)head.Length, 0, (ulong)notes.Length);
        var offset = (ulong)(head.Length + notes.Length);
        foreach (var (i, (first, count)) in runs.Index())
        {
            Segment(i + 1, 1, offset, first * PageSize, count * PageSize);
            offset += count * PageSize;
        }

        return [.. head, .. notes, .. Pages()];

        void Segment(int index, ulong type, ulong at, ulong physical, ulong length)
        {
            var entry = 0x40 + (56 * index);
            Put(head, entry, type);
            Put(head, entry + 8, at);
            Put(head, entry + 0x18, physical);
            Put(head, entry + 0x20, length);
        }

        byte[] Note(ulong table)
        {
            var note = new byte[12 + 8 + 440];
            Put(note, 0, (440UL << 32) | 5);
            Encoding.ASCII.GetBytes("QEMU", note.AsSpan(12));
            Put(note, 20 + 416, table);
            Put(note, 20 + 424, _levels == 5 ? 1UL << 12 : 0);
            return note;
        }
    }

    /// <summary>All physical memory from 0; with the stub that starts processors, or without.</summary>
    public byte[] Raw(bool stub)
    {
        var image = new byte[Math.Max((_frames.Keys.Last() + 1) * PageSize, 0x10_0000)];
        foreach (var (frame, bytes) in _frames) bytes.CopyTo(image, (long)(frame * PageSize));
        if (!stub) return image;
        Put(image, 0x3000, 0x00000001_000600E9);
        Put(image, 0x3000 + 0xA0, Root * PageSize);
        Put(image, 0x3000 + 0xA8, _levels == 5 ? 1UL << 12 : 0);
        return image;
    }

    private static void Put(byte[] bytes, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);

    private byte[] Header(uint type, List<(ulong First, ulong Count)> runs)
    {
        var header = new byte[0x2000];
        for (var i = 0; i < header.Length; i += 4) Encoding.ASCII.GetBytes("PAGE", header.AsSpan(i));
        Encoding.ASCII.GetBytes("PAGEDU64", header);
        Put(header, 0x08, ((ulong)_kernel.Memory.Build << 32) | 0xF);
        Put(header, 0x10, Root * PageSize);
        Put(header, 0x20, _kernel.Memory.LoadedModuleList.Value);
        Put(header, 0x28, _kernel.Memory.ActiveProcessHead.Value);
        Put(header, 0x30, (2UL << 32) | 0x8664);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(0x38), 0x161);
        Put(header, 0x80, DebuggerData.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(0xF98), type);
        if (runs.Count == 0) return header;
        if (runs.Count > 42) throw new InvalidOperationException("too many runs for a header");
        Put(header, 0x88, (ulong)runs.Count);
        Put(header, 0x90, (ulong)_frames.Count);
        foreach (var (i, (first, count)) in runs.Index())
        {
            Put(header, 0x98 + (i * 16), first);
            Put(header, 0xA0 + (i * 16), count);
        }

        return header;
    }

    private List<(ulong First, ulong Count)> Runs()
    {
        var runs = new List<(ulong First, ulong Count)>();
        foreach (var frame in _frames.Keys)
        {
            if (runs.Count > 0 && runs[^1].First + runs[^1].Count == frame) runs[^1] = (runs[^1].First, runs[^1].Count + 1);
            else runs.Add((frame, 1));
        }

        return runs;
    }

    private IEnumerable<byte> Pages() => _frames.Values.SelectMany(bytes => bytes);

    private ulong Free(ulong step) => _next += step * _spread;

    private ulong NewTable()
    {
        var frame = Free(1);
        _frames[frame] = new byte[PageSize];
        return frame;
    }

    private void Map(ulong page, ulong frame, int leaf, ulong flags)
    {
        var table = Root;
        for (var level = _levels; level > leaf; level--)
        {
            var at = _frames[table].AsSpan((int)(page >> (12 + (9 * (level - 1))) & 0x1FF) * 8);
            var entry = BinaryPrimitives.ReadUInt64LittleEndian(at);
            if (entry == 0) BinaryPrimitives.WriteUInt64LittleEndian(at, entry = (NewTable() << 12) | Present | 2);
            table = entry >> 12;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(_frames[table].AsSpan((int)(page >> (12 + (9 * (leaf - 1))) & 0x1FF) * 8), (frame << 12) | flags);
    }
}
