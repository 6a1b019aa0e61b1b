namespace Harness.Emulation.Memory;

/// <summary>The host memory behind guest pages. A frame holds a page's 4096 bytes and its 4096 shadow bytes.</summary>
internal sealed unsafe class PageFrames
{
    // Data and shadow of one byte must not share the low twelve address bits: a load of the shadow right after a store
    // of the data would wait for that store ("4K aliasing"), and both would fight for one cache set.
    public const int ShadowOffset = GuestMemory.PageSize + 128;

    /// <summary>From the first data byte to the last shadow byte.</summary>
    public const int FrameLength = ShadowOffset + GuestMemory.PageSize;

    private const int FrameStride = FrameLength + 128;
    private const int FramesInSlab = 32;

    private readonly List<byte[]> _slabs = [];
    private readonly Stack<nint> _free = [];
    private readonly Dictionary<nint, int> _shared = [];
    private byte* _next;
    private int _left;

    /// <summary>A frame of zeros.</summary>
    public byte* TakeZeroed()
    {
        if (_free.TryPop(out var used))
        {
            new Span<byte>((byte*)used, FrameLength).Clear();
            return (byte*)used;
        }
        return TakeFresh();
    }

    /// <summary>A frame with any contents.</summary>
    public byte* Take() => _free.TryPop(out var used) ? (byte*)used : TakeFresh();

    /// <summary>One page more shows this frame.</summary>
    public void Share(byte* frame) => _shared[(nint)frame] = _shared.GetValueOrDefault((nint)frame) + 1;

    /// <summary>A page lets its frame go; the last one frees it.</summary>
    public void Return(byte* frame)
    {
        if (!_shared.TryGetValue((nint)frame, out var others))
        {
            _free.Push((nint)frame);
            return;
        }
        if (others == 1) _shared.Remove((nint)frame);
        else _shared[(nint)frame] = others - 1;
    }

    private byte* TakeFresh()
    {
        if (_left == 0)
        {
            var slab = GC.AllocateArray<byte>((FrameStride * FramesInSlab) + 64, pinned: true);
            _slabs.Add(slab);
            _next = (byte*)(((nuint)System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(slab, 0) + 63) & ~(nuint)63);
            _left = FramesInSlab;
        }
        var frame = _next;
        _next += FrameStride;
        _left--;
        return frame;
    }
}
