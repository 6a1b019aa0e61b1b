using System.Text.Json.Serialization;
using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>Closed: there is no fifth verdict, and silence is never a pass.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Verdict>))]
public enum Verdict
{
    [JsonStringEnumMemberName("pass")] Pass,
    [JsonStringEnumMemberName("fail")] Fail,
    [JsonStringEnumMemberName("inconclusive")] Inconclusive,
    [JsonStringEnumMemberName("error")] Error,
}

/// <summary>What the rules say of one run.</summary>
/// <param name="Verdict">The verdict.</param>
/// <param name="Outcome">What became of the victim at the last judged checkpoint; null when it cannot be told.</param>
/// <param name="After">From the termination request to the process object's signal, when it ended.</param>
/// <param name="Because">One sentence: who, what, how long.</param>
/// <param name="Findings">What the driver did wrong, expected or not.</param>
/// <param name="Facts">Each fact the zombie rule weighed: established, refuted or missing, with its source.</param>
public sealed record Judgement(Verdict Verdict, Outcome? Outcome, TimeSpan? After, string Because, IReadOnlyList<Finding> Findings, IReadOnlyList<Fact> Facts);

/// <summary>What a rule says of a driver.</summary>
/// <param name="Id">"zombie-no-cancel-routine"; a lesson can be asked for by it.</param>
/// <param name="Title">A few words.</param>
/// <param name="Code">Bug check code where the finding has one, "0x44".</param>
/// <param name="Parameters">Its parameters.</param>
/// <param name="Driver">The guilty driver's module, null when it cannot be told.</param>
/// <param name="Says">One or two sentences: what happened, to whom, by which evidence.</param>
/// <param name="Expected">The scenario expected exactly this.</param>
public sealed record Finding(string Id, string Title, string? Code, IReadOnlyList<KernelAddress> Parameters, string? Driver, string Says, bool Expected);

/// <summary>One fact a rule weighed.</summary>
/// <param name="Name">"process object not signalled".</param>
/// <param name="Holds">True, false, or null: no evidence either way.</param>
/// <param name="Source">The collector and the line of evidence: "process-state #41".</param>
public sealed record Fact(string Name, bool? Holds, string? Source);
