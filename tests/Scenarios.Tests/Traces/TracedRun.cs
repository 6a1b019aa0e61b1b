using Harness.Core.Evidence;
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
    /// <summary>Plays MyFault's own request of a scenario, or another.</summary>
    public static TracedRun Of(string scenario, int processors = 1, ulong seed = 1, TimeSpan? settle = null, MyFaultRequest? request = null)
    {
        var told = ScenarioCatalogue.Named(scenario)!;
        var asked = request ?? MyFault.WithCode(told.DefaultIoctl)!;
        var choices = new Choices(asked.Code, [], asked.OutputLength, told.ExpectedOutcome(asked.WhenItsCallerDies), settle ?? TimeSpan.FromMinutes(10));
        var evidence = new EvidenceLog();
        byte[] file = [];
        new EmulatedTarget().Play(told.Tell(choices), new DriverUnderTest(MyFault.FileName, MyFault.Image(), MyFault.Device), new Conditions(seed, processors), evidence,
            new Recording(null, Trace: true, (_, pieces) => file = Joined(pieces)));
        return new TracedRun(evidence.Observations, file);
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
