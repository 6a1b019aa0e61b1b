using System.Text.Json.Serialization;
using Harness.Core.Stories;

namespace Harness.Core.Evidence;

/// <summary>run.json: everything that made this run what it was. With evidence.jsonl it is all that a verdict needs.</summary>
/// <param name="Scenario">The scenario's name, "hang-irp".</param>
/// <param name="Target">"emulated", "local", "hyperv".</param>
/// <param name="Story">The story as it was told to the target.</param>
/// <param name="Driver">The driver under test.</param>
/// <param name="Choices">What the user chose.</param>
/// <param name="Seed">The seed of all chance in the run.</param>
/// <param name="Processors">Processors of a machine that is made for the run; 1 where the target is a machine that is there already.</param>
/// <param name="HarnessVersion">The harness that ran it.</param>
/// <param name="Replay">The command line that runs it again.</param>
/// <param name="Started">Wall-clock time of the start; null where byte-equal files are wanted.</param>
public sealed record RunDescription(string Scenario, string Target, Story Story, DriverFile Driver, Choices Choices, ulong Seed, int Processors,
    string HarnessVersion, string Replay,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DateTimeOffset? Started = null);

/// <summary>The driver file of a run.</summary>
/// <param name="Path">As the user gave it.</param>
/// <param name="FileName">"driver.sys", without folder.</param>
/// <param name="Sha256">Of the file's bytes, lower-case hexadecimal.</param>
/// <param name="Device">The NT name of the device the client opens.</param>
public sealed record DriverFile(string Path, string FileName, string Sha256, string Device);
