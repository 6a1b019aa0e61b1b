using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>
/// The stacks of a session that caches them: its StackWalk events carry a key, and the frames come later, when the kernel forgets the stack or
/// the session ends. So they are collected in a pass of their own.
/// </summary>
public sealed class CachedStacks
{
    private readonly Dictionary<ulong, List<(long Until, int First, int Count)>> _stacks = [];
    private readonly List<ulong> _frames = [];
    private int _definitions;

    /// <summary>Stacks that were left out, since more than four million frames are not kept.</summary>
    public int LeftOut { get; private set; }

    /// <summary>Stacks that are known.</summary>
    public int Count => _definitions;

    /// <summary>Reads the whole trace once.</summary>
    public static CachedStacks Of(TraceFile trace)
    {
        var stacks = new CachedStacks();
        var reader = trace.Events();
        while (reader.Next())
        {
            var record = reader.Record;
            if (record.IsKernel && record.HookId is KernelTraceEvents.StackWalkKeyDelete or KernelTraceEvents.StackWalkKeyRundown) stacks.Add(record.Time, record.Payload, record.Is32Bit ? 4 : 8);
        }

        return stacks;
    }

    /// <summary>The stack that this key stood for at this time, innermost frame first; empty when the trace doesn't tell.</summary>
    /// <param name="key">The key in the payload of StackWalkKeyKernel or StackWalkKeyUser.</param>
    /// <param name="time">
    /// The time of that record itself, not the one in its payload: between the event that a stack belongs to and the stack's own record the kernel
    /// may forget another stack of the same key.
    /// </param>
    public ReadOnlySpan<ulong> Find(ulong key, long time)
    {
        if (!_stacks.TryGetValue(key, out var all)) return [];
        // A key may stand for another stack once the first has been forgotten.
        var (low, high) = (0, all.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (all[middle].Until < time) low = middle + 1;
            else high = middle;
        }

        return low < all.Count ? CollectionsMarshal.AsSpan(_frames).Slice(all[low].First, all[low].Count) : [];
    }

    private void Add(long time, ReadOnlySpan<byte> payload, int pointer)
    {
        if (payload.Length < pointer) return;
        var count = (payload.Length / pointer) - 1;
        // An empty one takes memory too.
        if (_frames.Count + count + _definitions > TraceLimits.MostFrames)
        {
            LeftOut++;
            return;
        }

        var key = Pointer(payload);
        var first = _frames.Count;
        for (var i = 1; i <= count; i++) _frames.Add(Pointer(payload[(i * pointer)..]));
        if (!_stacks.TryGetValue(key, out var all)) _stacks[key] = all = [];
        all.Add((time, first, count));
        _definitions++;

        ulong Pointer(ReadOnlySpan<byte> at) => pointer == 4 ? BinaryPrimitives.ReadUInt32LittleEndian(at) : BinaryPrimitives.ReadUInt64LittleEndian(at);
    }
}
