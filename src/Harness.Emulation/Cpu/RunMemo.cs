using System.Collections.Concurrent;

namespace Harness.Emulation.Cpu;

/// <summary>
/// Remembers what straight runs of code decode to, over all machines of the process: the same driver is loaded at the same address again
/// and again. Only a memo: ops follow from address and bytes alone, and the bytes are compared.
/// </summary>
internal static class RunMemo
{
    // Some twenty drivers' worth; then it starts anew.
    private const int MostRuns = 16384;

    private static readonly ConcurrentDictionary<ulong, Run> Runs = new();

    public static Run? Find(ulong rip, ReadOnlySpan<byte> code) =>
        Runs.TryGetValue(rip, out var run) && code.StartsWith(run.Bytes) ? run : null;

    public static void Add(ulong rip, ReadOnlySpan<byte> bytes, ReadOnlySpan<Op> ops)
    {
        if (Runs.Count >= MostRuns) Runs.Clear();
        Runs[rip] = new Run(bytes.ToArray(), ops.ToArray());
    }

    /// <summary>A run on one page.</summary>
    /// <param name="Bytes">All of it.</param>
    /// <param name="Ops">Without branch targets; the last is a branch or a seam.</param>
    internal sealed record Run(byte[] Bytes, Op[] Ops);
}
