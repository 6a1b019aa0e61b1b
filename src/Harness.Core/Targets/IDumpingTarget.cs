using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Targets;

/// <summary>A target that can leave the memory of its machine as a kernel dump.</summary>
public interface IDumpingTarget : ITarget
{
    /// <summary>
    /// As <see cref="ITarget.Play"/>. When the story is told, before the driver's service is stopped, or where the machine stopped before,
    /// the dump is kept, and with it the images that a debugger can have from nowhere else. The evidence is the same as without.
    /// </summary>
    /// <exception cref="UnusableDriverException">The file is not a driver this target can load at all.</exception>
    void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence, DumpRequest dump);
}

/// <summary>A kernel dump that is asked for.</summary>
/// <param name="Kind">How it says which pages it holds.</param>
/// <param name="Keep">Called for each file with its name and its pieces, in the order of the file and each valid until the next is asked for.</param>
public sealed record DumpRequest(DumpKind Kind, Action<string, IEnumerable<ReadOnlyMemory<byte>>> Keep)
{
    /// <summary>The dump's file, as Windows names it.</summary>
    public const string FileName = "MEMORY.DMP";
}

/// <summary>How a kernel dump says which pages of physical memory it holds.</summary>
public enum DumpKind
{
    /// <summary>In runs: "complete memory dump".</summary>
    Full,

    /// <summary>In a bitmap: "active memory dump".</summary>
    Bitmap,
}
