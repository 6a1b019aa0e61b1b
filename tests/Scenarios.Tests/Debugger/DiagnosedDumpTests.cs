using FluentAssertions;
using Harness.Cli;
using Harness.Cli.Arguments;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Debugger;

/// <summary>What the diagnosis says of a dump alone is what the verdict said of the run that left it.</summary>
public sealed class DiagnosedDumpTests
{
    private static readonly MyFaultRequest[] SoundRequests = [MyFault.Echo, MyFault.Pend];

    public static TheoryData<string, DumpKind, int> EveryScenario =>
        [.. from scenario in ScenarioCatalogue.All from kind in Enum.GetValues<DumpKind>() select (scenario.Name, kind, kind == DumpKind.Full ? 1 : 4)];

    public static TheoryData<string, string> EveryDriver =>
        [.. from variant in (string[])["gcc-O2", "clang-O2"] from file in Directory.EnumerateFiles(Repository.File("tests", "drivers", "bin", variant), "*.sys").Order(StringComparer.Ordinal) select (variant, Path.GetFileNameWithoutExtension(file))];

    [Theory]
    [MemberData(nameof(EveryScenario))]
    public void A_scenario_s_dump_tells_what_its_verdict_told(string scenario, DumpKind kind, int processors) =>
        TellsTheSame(scenario, Rehearsal.CommittedMyFault, ioctl: null, kind, processors).Should().NotBeNull();

    [Fact]
    public void The_dump_of_a_sound_request_shows_no_zombie()
    {
        foreach (var request in SoundRequests)
            TellsTheSame("hang-irp", Rehearsal.CommittedMyFault, request.Code, DumpKind.Full, 1).Should().NotBe(Outcome.Zombie);
    }

    [Theory]
    [MemberData(nameof(EveryDriver))]
    public void A_test_driver_s_dump_tells_what_its_verdict_told(string variant, string driver) =>
        TellsTheSame("hang-irp", Rehearsal.TestDriver(variant, driver, string.Concat(driver.Split('-').Select(word => char.ToUpperInvariant(word[0]) + word[1..]))), 0x222000, DumpKind.Bitmap, 1);

    private static Outcome? TellsTheSame(string scenario, DriverArgument driver, uint? ioctl, DumpKind kind, int processors)
    {
        var target = new EmulatedTarget();
        var request = new RunRequest([ScenarioCatalogue.Named(scenario)!], target, driver, ioctl, [], null, null, null, new Conditions(1, processors), RequestKind.Control, false);
        byte[]? file = null;
        var run = PlayedRun.Play(PlayedRun.Describe("driverfault", request.Scenarios[0], target, driver, request.ChoicesFor(request.Scenarios[0]), request.Conditions), target, driver.Driver,
            new Recording(kind, Trace: false, (name, pieces) => file = name == Recording.DumpFileName ? [.. pieces.SelectMany(piece => piece.ToArray())] : file));
        using var dump = KernelDump.Read(new FileBytes(file!));
        var seen = Examination.Of(dump);

        dump.Notes.Should().BeEmpty();
        seen.Notes.Should().BeEmpty();
        var memory = run.Evidence.OfType<KernelMemorySeen>().LastOrDefault();
        var victim = memory?.Processes.FirstOrDefault(process => run.Evidence.OfType<TerminateRequested>().Any(kill => kill.Process == run.Description.Story.Victim && kill.Pid == process.Pid));
        if (run.Judgement.Outcome != Outcome.Zombie)
        {
            if (run.Judgement.Outcome == Outcome.Ended) seen.Zombies.Should().BeEmpty();
            return run.Judgement.Outcome;
        }

        var sent = run.Evidence.OfType<IrpSent>().FirstOrDefault(o => o.Request == run.Description.Story.Request);
        var live = StuckThread.Of(victim, sent?.Irp)!;
        var told = seen.Remains.Should().ContainSingle(remains => remains.Process.Pid == victim!.Pid).Which;
        // What no rule explained is unclear here too; one look is certain only of the wait that begins with the kill and has no limit.
        var explained = run.Judgement.Findings.Any(finding => finding.Id.StartsWith("zombie-", StringComparison.Ordinal) || finding.Id == "blocked-in-dispatch");
        told.Standing.Should().Be(!explained ? Standing.Unclear : live.Hold == Hold.NoCancelRoutine ? Standing.Zombie : Standing.LikelyZombie, told.Says);
        if (told.Zombie is not { } zombie) return run.Judgement.Outcome;
        var finding = run.Judgement.Findings.First(finding => finding.Id == zombie.Id);
        zombie.Stuck.Driver.Should().Be(finding.Driver);
        zombie.Stuck.Thread.Tid.Should().Be(live.Thread.Tid);
        zombie.Stuck.Irp?.Address.Should().Be(live.Irp?.Address);
        zombie.Stuck.Function.Should().Be(live.Function);
        zombie.Stuck.Thread.Stack.Should().Equal(live.Thread.Stack);
        DebuggerText.Of(told.Process).Should().Equal(DebuggerText.Of(victim!));
        return run.Judgement.Outcome;
    }
}
