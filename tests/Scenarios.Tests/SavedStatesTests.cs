using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.Emulation.Kernel;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests;

/// <summary>A machine saved at any step, restored and continued leaves what the uninterrupted run leaves.</summary>
public sealed class SavedStatesTests
{
    /// <summary>Long enough for timers, polls and DPCs to come; every step costs a whole run.</summary>
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(60);

    /// <summary>A rundown polls for minutes, and sixteen threads have much to do. A story of more steps than this is continued from each only so far, not to its end.</summary>
    private const int LongStory = 1000, Ahead = 100;

    public static TheoryData<string, int, ulong> EveryScenario =>
        [.. ScenarioCatalogue.All.SelectMany(scenario => new (int, ulong)[] { (1, 0), (4, 7) }.Select(machine => (scenario.Name, machine.Item1, machine.Item2)))];

    [Theory]
    [MemberData(nameof(EveryScenario))]
    public void Every_step_can_be_gone_back_to(string scenario, int processors, ulong seed)
    {
        var uninterrupted = new EvidenceLog();
        var whole = Machine(scenario, processors, seed, uninterrupted);
        List<int> trail = [Place(whole, uninterrupted)];
        while (whole.Step()) trail.Add(Place(whole, uninterrupted));
        var ahead = trail.Count > LongStory ? Ahead : int.MaxValue;
        var expected = Bytes(uninterrupted);
        uninterrupted.Observations.Should().HaveCountGreaterThan(10);

        var log = new EvidenceLog();
        var machine = Machine(scenario, processors, seed, log);
        var steps = 0;
        do
        {
            var state = machine.Save();
            var gone = 0;
            while (gone < ahead && machine.Step()) gone++;
            if (gone == ahead ? Place(machine, log) != trail[steps + gone] : !Bytes(log).AsSpan().SequenceEqual(expected)) Assert.Fail($"continued from step {steps}, the run goes otherwise");
            machine.Restore(state);
            machine.Forget(state);
            steps++;
        }
        while (machine.Step());

        Bytes(log).Should().Equal(expected);
        steps.Should().BeGreaterThan(100);
    }

    [Fact]
    public void A_step_of_the_processor_alone_is_no_other_run()
    {
        // Driver code interrupted after every single instruction, where only a call of nt ends a stretch otherwise.
        var stretched = new EvidenceLog();
        var whole = Machine("hang-irp-release", 1, 1, stretched);
        whole.Run();

        var log = new EvidenceLog();
        var machine = Machine("hang-irp-release", 1, 1, log);
        machine.LongestStretch = 1;
        machine.Run();

        Bytes(log).Should().Equal(Bytes(stretched));
    }

    [Fact]
    public void What_a_processor_holds_is_what_is_saved_of_it()
    {
        // Everything else of a processor is readonly, or set anew by each step.
        string[] perStep = ["_routine", "_step", "EnteredFrom"];
        var held = typeof(Processor).GetProperties().Where(property => property is { CanWrite: true, Name: nameof(Processor.Requested) or nameof(Processor.Halted) or nameof(Processor.SpinsOn) }).Select(property => property.Name);
        var fields = typeof(Processor).GetFields(System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Public)
            .Where(field => !field.IsInitOnly).Select(field => field.Name.TrimStart('<').Split('>')[0]).Except(perStep);

        fields.Should().BeEquivalentTo(held);
        typeof(ProcessorState).GetProperties().Select(property => property.Name).Except(["Registers"]).Should().BeEquivalentTo(held);
    }

    private static Machine Machine(string name, int processors, ulong seed, EvidenceLog log)
    {
        var scenario = ScenarioCatalogue.Named(name)!;
        var request = MyFault.WithCode(scenario.DefaultIoctl)!;
        var story = scenario.Tell(new Choices(request.Code, [], request.OutputLength, scenario.ExpectedOutcome(request.WhenItsCallerDies), Settle));
        return EmulatedTarget.Prepare(story, new DriverUnderTest(MyFault.FileName, MyFault.Image(), MyFault.Device), new Conditions(seed, processors), log);
    }

    /// <summary>Where a run is: its clock, its evidence, and what each processor is about to do.</summary>
    private static int Place(Machine machine, EvidenceLog log)
    {
        var place = new HashCode();
        place.Add(NtData.InterruptTime(machine.Memory));
        place.Add(log.Observations.Count);
        foreach (var p in machine.Processors)
        {
            ref var r = ref p.Registers;
            place.Add((r.Rip, r.Rsp, r.Rbp, r.Rax, r.Rcx, r.Cr8, p.Requested));
        }
        return place.ToHashCode();
    }

    private static byte[] Bytes(EvidenceLog log)
    {
        using var stream = new MemoryStream();
        EvidenceFile.Write(stream, log.Observations);
        return stream.ToArray();
    }
}
