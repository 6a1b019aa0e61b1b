using System.Text;
using Harness.Core.Evidence;
using Harness.Core.Reports;

namespace Core.Tests.Evidence;

/// <summary>evidence.jsonl as a string.</summary>
internal static class EvidenceText
{
    internal static string Of(IReadOnlyList<Observation> evidence)
    {
        using var stream = new MemoryStream();
        EvidenceFile.Write(stream, evidence);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    internal static IReadOnlyList<Observation> Read(string text)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(text));
        return EvidenceFile.Read(stream);
    }

    internal static IReadOnlyList<Observation> Replace(IReadOnlyList<Observation> evidence, string old, string @new) => Read(Of(evidence).Replace(old, @new));
}
