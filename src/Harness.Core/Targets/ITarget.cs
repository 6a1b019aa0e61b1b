using Harness.Core.Evidence;
using Harness.Core.Stories;

namespace Harness.Core.Targets;

/// <summary>Where a driver runs. A target plays stories and leaves evidence; it never judges.</summary>
public interface ITarget
{
    /// <summary>"emulated", "local", "hyperv".</summary>
    string Name { get; }

    /// <summary>What this machine lacks for the target, in one sentence; null when nothing.</summary>
    string? Lacks { get; }

    /// <summary>How long a story settles after a kill when the user doesn't say.</summary>
    TimeSpan DefaultSettle { get; }

    /// <summary>Looks at a driver file before anything is begun.</summary>
    /// <exception cref="UnusableDriverException">The file is not a driver this target can load at all.</exception>
    void Check(string fileName, byte[] image);

    /// <summary>Plays the story with the driver under test. Everything seen goes to <paramref name="evidence"/>, in order.</summary>
    /// <exception cref="UnusableDriverException">The file is not a driver this target can load at all.</exception>
    void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence);
}

/// <summary>A target whose machine is there before the run and after it, and may be somebody's: real time passes in it, and files come of it.</summary>
public interface IMachineTarget : ITarget
{
    /// <summary>The same target, for what the user says of its machine.</summary>
    ITarget With(MachineOptions options);

    /// <summary>As <see cref="ITarget.Play"/>. What the collectors leave (a trace, dumps) goes to <paramref name="folder"/>.</summary>
    /// <exception cref="UnusableDriverException">The file is not a driver this target can load at all.</exception>
    void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence, string folder);
}

/// <summary>What the user says of a machine.</summary>
/// <param name="Vouched">It may be brought down, although it does not look like a machine for that.</param>
/// <param name="Timeout">A run that takes longer is stopped, and the machine cleaned.</param>
public sealed record MachineOptions(bool Vouched, TimeSpan Timeout)
{
    /// <summary>When the user says nothing. The longest stories wait for the I/O manager's five minutes twice.</summary>
    public static readonly MachineOptions Usual = new(false, TimeSpan.FromMinutes(30));
}

/// <summary>What a target that can choose them is to run under; on a real machine they are what they are.</summary>
/// <param name="Seed">The seed of all chance.</param>
/// <param name="Processors">How many processors the machine has, 1 to 4.</param>
public sealed record Conditions(ulong Seed, int Processors);

/// <summary>The driver a run loads.</summary>
/// <param name="FileName">"driver.sys", without folder.</param>
/// <param name="Image">The file's bytes.</param>
/// <param name="Device">The NT name of the device the client opens, "\Device\X".</param>
/// <param name="Release">The request by which it lets go of everything it holds; null when it is not known to have one.</param>
public sealed record DriverUnderTest(string FileName, byte[] Image, string Device, ReleaseRequest? Release = null);

/// <summary>An I/O control code that makes a driver complete all that it holds.</summary>
/// <param name="Code">The I/O control code.</param>
/// <param name="OutputLength">Its output buffer's length in bytes.</param>
public sealed record ReleaseRequest(uint Code, int OutputLength);

/// <summary>The driver file cannot be loaded: the message says in one line what it is and what would help.</summary>
public sealed class UnusableDriverException(string message) : Exception(message);
