using System.Runtime.InteropServices;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Cpu;

/// <summary>
/// Decoded instructions of one memory, shared by its processors. Straight runs of code lie one behind the other, so that the next
/// instruction is the next <see cref="Op"/>; every run ends with a branch or a seam. When code bytes change, everything decoded turns
/// stale: each op looks its address up again.
/// </summary>
internal sealed unsafe class CodeCache : ICodeWatcher
{
    private const int OpsInChunk = 1024;
    private const int LongestRun = 32;
    private const int ShortcutCount = 4096;

    private readonly GuestMemory _memory;
    private readonly InstructionDecoder _decoder = new();
    private readonly Dictionary<ulong, nint> _decoded = [];
    private readonly Shortcut[] _shortcuts = new Shortcut[ShortcutCount];
    private readonly List<Op[]> _chunks = [];
    private int _chunk = -1;
    private int _used;
    private bool _stale;

    private CodeCache(GuestMemory memory) => _memory = memory;

    public static CodeCache Of(GuestMemory memory)
    {
        if (memory.CodeWatcher is CodeCache known) return known;
        var code = new CodeCache(memory);
        memory.CodeWatcher = code;
        return code;
    }

    /// <summary>Before a run, when no op is in use: gives the room of stale ones back.</summary>
    public void BeforeRun()
    {
        if (!_stale) return;
        _stale = false;
        _decoded.Clear();
        Array.Clear(_shortcuts);
        _chunk = _chunks.Count > 0 ? 0 : -1;
        _used = 0;
    }

    /// <summary>The op at an address, when it has been decoded; null when <see cref="Find"/> must look.</summary>
    public Op* FindDecoded(ulong rip)
    {
        ref readonly var shortcut = ref _shortcuts[ShortcutOf(rip)];
        return shortcut.Rip == rip ? shortcut.Op : null;
    }

    /// <summary>The op at an address; null when nothing can be executed there, and then why.</summary>
    public Op* Find(ulong rip, out CpuExit exit)
    {
        exit = default;
        ref var shortcut = ref _shortcuts[ShortcutOf(rip)];
        if (shortcut.Rip == rip && shortcut.Op is not null) return shortcut.Op;
        Op* op;
        if (_decoded.TryGetValue(rip, out var known)) op = (Op*)known;
        else if (!CanFetch(rip, out exit)) return null;
        else op = DecodeRun(rip, out exit);
        // Pageable code is looked up each time: whether it may be executed depends on the IRQL.
        if (op is not null && !IsPageable(rip)) shortcut = new Shortcut(rip, op);
        return op;
    }

    /// <summary>Code that may be paged out.</summary>
    public bool IsPageable(ulong rip) => (_memory.AccessOf(rip) & PageAccess.Pageable) != 0;

    public void CodeChanged()
    {
        if (_decoded.Count == 0) return;
        for (var chunk = 0; chunk <= _chunk; chunk++)
        {
            var ops = (Op*)Marshal.UnsafeAddrOfPinnedArrayElement(_chunks[chunk], 0);
            var count = chunk == _chunk ? _used : OpsInChunk;
            for (var i = 0; i < count; i++) ops[i].Handler = &Branches.Stale;
        }
        _decoded.Clear();
        Array.Clear(_shortcuts);
        _stale = true;
    }

    /// <summary>The instruction at an address in words, for a person.</summary>
    public string Describe(ulong rip)
    {
        Span<byte> bytes = stackalloc byte[InstructionDecoder.LongestInstruction];
        var length = Fetch(rip, bytes, out _);
        return InstructionDecoder.Describe(bytes[..length], rip);
    }

    private static int ShortcutOf(ulong rip) => (int)((rip ^ (rip >> 12)) & (ShortcutCount - 1));

    private bool CanFetch(ulong rip, out CpuExit exit)
    {
        exit = default;
        var access = _memory.AccessOf(rip);
        if ((access & (PageAccess.Execute | PageAccess.Slots)) == PageAccess.Execute) return true;
        if (!PageTable.IsCanonical(rip)) exit = new CpuExit(CpuExitKind.GeneralProtection, rip, 0, null);
        else if ((access & PageAccess.Slots) != 0) exit = new CpuExit(CpuExitKind.Slot, rip, 0, null);
        else exit = new CpuExit(CpuExitKind.PageFault, rip, 0x10UL | (access == PageAccess.None ? 0UL : 1UL), null);
        return false;
    }

    /// <summary>Up to 15 bytes of code, over a page boundary when the next page can be executed too.</summary>
    private int Fetch(ulong rip, Span<byte> into, out bool secondPageMissing)
    {
        secondPageMissing = false;
        var code = _memory.Code(rip);
        if (code.Length >= into.Length)
        {
            code[..into.Length].CopyTo(into);
            return into.Length;
        }
        code.CopyTo(into);
        if (code.Length == 0 || !CanFetch(rip + (ulong)code.Length, out _))
        {
            secondPageMissing = true;
            return code.Length;
        }
        _memory.Code(rip + (ulong)code.Length)[..(into.Length - code.Length)].CopyTo(into[code.Length..]);
        return into.Length;
    }

    private Op* DecodeRun(ulong rip, out CpuExit exit)
    {
        exit = default;
        // An instruction takes at most two ops, and the seam one.
        var first = Reserve((2 * LongestRun) + 1);
        var code = _memory.Code(rip);
        if (RunMemo.Find(rip, code) is { } known) return Place(known, first);
        var op = first;
        Span<byte> bytes = stackalloc byte[InstructionDecoder.LongestInstruction];
        var at = rip;
        var endsRun = false;
        for (var count = 0; count < LongestRun && !endsRun && (count == 0 || (OnPage(at) != 0 && !_decoded.ContainsKey(at))); count++)
        {
            var length = Fetch(at, bytes, out var secondPageMissing);
            var start = op;
            if (!_decoder.Decode(bytes[..length], at, ref op, out endsRun))
            {
                if (count > 0) break;
                exit = secondPageMissing
                    ? new CpuExit(CpuExitKind.PageFault, at + (ulong)length, 0x10UL | (_memory.AccessOf(at + (ulong)length) == PageAccess.None ? 0UL : 1UL), null)
                    : new CpuExit(CpuExitKind.GeneralProtection, at, 0, null);
                return null;
            }
            _decoded.TryAdd(at, (nint)start);
            at += start->Length;
            // After an instruction on two pages the run ends, so that a run is on one page or its last instruction on two.
            if (OnPage(at) < OnPage(at - start->Length) && OnPage(at) != 0) break;
        }
        if (!endsRun) WriteSeam(op++, at);
        _used += (int)(op - first);
        if (at - rip <= (ulong)code.Length) RunMemo.Add(rip, code[..(int)(at - rip)], new ReadOnlySpan<Op>(first, (int)(op - first)));
        return first;
    }

    /// <summary>Ops from the memo, up to the first address that is decoded already.</summary>
    private Op* Place(RunMemo.Run run, Op* first)
    {
        var op = first;
        var last = 0UL;
        foreach (ref readonly var known in run.Ops.AsSpan())
        {
            // The second op of an instruction with 32-bit addressing has the address of the first.
            if (known.Rip != last && op != first && _decoded.ContainsKey(known.Rip))
            {
                WriteSeam(op++, known.Rip);
                break;
            }
            *op = known;
            if (known.Rip != last && known.Length != 0) _decoded.TryAdd(known.Rip, (nint)op);
            last = known.Rip;
            op++;
        }
        _used += (int)(op - first);
        return first;
    }

    private static void WriteSeam(Op* op, ulong rip)
    {
        *op = default;
        op->Handler = &Branches.Seam;
        op->Rip = rip;
    }

    private static ulong OnPage(ulong address) => address & (GuestMemory.PageSize - 1);

    private Op* Reserve(int count)
    {
        if (_chunk < 0 || _used + count > OpsInChunk)
        {
            // The rest of the chunk is never used; mark it so that CodeChanged may pass over it.
            if (_chunk >= 0) Array.Clear(_chunks[_chunk], _used, OpsInChunk - _used);
            _chunk++;
            _used = 0;
            if (_chunk == _chunks.Count) _chunks.Add(GC.AllocateArray<Op>(OpsInChunk, pinned: true));
        }
        return (Op*)Marshal.UnsafeAddrOfPinnedArrayElement(_chunks[_chunk], _used);
    }

    private readonly struct Shortcut(ulong rip, Op* op)
    {
        public ulong Rip { get; } = rip;

        public Op* Op { get; } = op;
    }
}
