using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;

namespace Harness.Cli;

/// <summary>A target that this build of the command cannot offer. It is listed with the reason, and asking for it is an unusable argument.</summary>
internal sealed record AbsentTarget(string Name, string? Lacks, TimeSpan DefaultSettle) : ITarget
{
    /// <summary>A Hyper-V guest.</summary>
    public static readonly AbsentTarget HyperV = new("hyperv", "this version cannot run drivers in a Hyper-V guest yet", TimeSpan.FromSeconds(15));

    public void Check(string fileName, byte[] image) => throw Absent();

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence) => throw Absent();

    private UsageException Absent() => new($"--target {Name}: {Lacks}");
}
