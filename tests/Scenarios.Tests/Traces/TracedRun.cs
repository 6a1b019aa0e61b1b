using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.Scenarios;

namespace Scenarios.Tests.Traces;

/// <summary>A scenario with its trace.</summary>
/// <param name="Evidence">What the machine itself told.</param>
/// <param name="File">trace.etl.</param>
internal sealed record TracedRun(IReadOnlyList<Observation> Evidence, byte[] File)
{
    /// <summary>Plays MyFault's own request of a scenario or another, or the first request of a test driver.</summary>
    public static TracedRun Of(string scenario, int processors = 1, ulong seed = 1, TimeSpan? settle = null, MyFaultRequest? request = null, string? driver = null)
    {
        var told = ScenarioCatalogue.Named(scenario)!;
        var asked = request ?? MyFault.WithCode(told.DefaultIoctl)!;
        var under = driver is null ? Rehearsal.CommittedMyFault : Rehearsal.TestDriver("gcc-O2", driver, string.Concat(driver.Split('-').Select(word => char.ToUpperInvariant(word[0]) + word[1..])));
        var choices = new Choices(driver is null ? asked.Code : 0x222000, [], asked.OutputLength, told.ExpectedOutcome(asked.WhenItsCallerDies), settle ?? TimeSpan.FromMinutes(10));
        var (evidence, alone) = (new EvidenceLog(), new EvidenceLog());
        var files = new Dictionary<string, byte[]>();
        new EmulatedTarget().Play(told.Tell(choices), under.Driver, new Conditions(seed, processors), evidence,
            new Recording(null, Trace: true, (name, pieces) => files[name] = Joined(pieces)));
        if (driver is not null) new EmulatedTarget().Play(told.Tell(choices), under.Driver, new Conditions(seed, processors), alone);
        return new TracedRun(evidence.Observations, files[Recording.TraceFileName]) { WithoutTrace = alone.Observations, Kernel = files["ntoskrnl.exe"] };
    }

    /// <summary>What it tells when nobody traces it; for test drivers.</summary>
    public IReadOnlyList<Observation> WithoutTrace { get; private init; } = [];

    /// <summary>The image of nt that is left beside the trace.</summary>
    public byte[] Kernel { get; private init; } = [];

    public static byte[] Bytes(IReadOnlyList<Observation> evidence)
    {
        using var stream = new MemoryStream();
        EvidenceFile.Write(stream, evidence);
        return stream.ToArray();
    }

    public static byte[] Joined(IEnumerable<ReadOnlyMemory<byte>> pieces)
    {
        using var file = new MemoryStream();
        foreach (var piece in pieces) file.Write(piece.Span);
        return file.ToArray();
    }

    /// <summary>The file, taken apart.</summary>
    public TraceRecords Trace => field ??= new TraceRecords(File);

    /// <summary>Every rule that it breaks.</summary>
    public static IReadOnlyList<string> Broken(byte[] file)
    {
        var records = new TraceRecords(file);
        return records.Broken.Count > 0 ? records.Broken : new TracedMachine(records).Broken;
    }
}
