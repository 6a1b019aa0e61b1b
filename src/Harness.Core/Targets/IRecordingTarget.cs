using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Targets;

/// <summary>A target that can leave more of a run than its evidence: the memory of its machine, or an event trace.</summary>
public interface IRecordingTarget : ITarget
{
    /// <summary>It can leave the memory of its machine as a kernel dump.</summary>
    bool LeavesDumps { get; }

    /// <summary>It can leave an event trace of its kernel.</summary>
    bool LeavesTraces { get; }

    /// <summary>
    /// As <see cref="ITarget.Play"/>. When the story is told, before the driver's service is stopped, or where the machine stopped before,
    /// what was asked for is kept, and with it the images that name routines and can be had from nowhere else. The evidence is the same as without.
    /// </summary>
    /// <exception cref="UnusableDriverException">The file is not a driver this target can load at all.</exception>
    void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence, Recording recording);
}

/// <summary>What is to be left of a run besides its evidence.</summary>
/// <param name="Dump">How a kernel dump says which pages it holds; null: no dump.</param>
/// <param name="Trace">An event trace of the kernel, from the start of the machine to the end of the story.</param>
/// <param name="Keep">Called for each file with its name and its pieces, in the order of the file and each valid until the next is asked for.</param>
public sealed record Recording(DumpKind? Dump, bool Trace, Action<string, IEnumerable<ReadOnlyMemory<byte>>> Keep)
{
    /// <summary>The dump's file, as Windows names it.</summary>
    public const string DumpFileName = "MEMORY.DMP";

    /// <summary>The event trace's file.</summary>
    public const string TraceFileName = "trace.etl";
}

/// <summary>How a kernel dump says which pages of physical memory it holds.</summary>
public enum DumpKind
{
    /// <summary>In runs: "complete memory dump".</summary>
    Full,

    /// <summary>In a bitmap: "active memory dump".</summary>
    Bitmap,
}
