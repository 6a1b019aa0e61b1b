using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>What a trace may cost, whatever it tells of itself. Windows makes buffers of at most 16 MiB.</summary>
internal static class TraceLimits
{
    public const int LargestBuffer = 16 << 20;

    /// <summary>Buffers that are read of one file: 64 GiB of the usual size.</summary>
    public const int MostBuffers = 1 << 20;

    /// <summary>Bytes of buffers that are in memory at once, one for each processor.</summary>
    public const long MostLoaded = 256L << 20;

    /// <summary>How many times a compressed buffer may grow: a record of 16 bytes has a time, which doesn't compress to nothing.</summary>
    public const int MostGrowth = 256;

    /// <summary>Frames of cached stacks that are kept.</summary>
    public const int MostFrames = 4 << 20;

    public static bool IsSize(uint size) => size is >= TraceBufferLayout.SizeInBytes and <= LargestBuffer;
}
