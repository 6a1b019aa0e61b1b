using FluentAssertions;
using Harness.Cli;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Core.Verdicts;
using Harness.Emulation;
using Harness.Scenarios;
using Harness.Windows;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests.Traces;

/// <summary>
/// The evidence of a real machine, made of a run of the emulated one: what clients and process lists tell and the trace, read as the target 'local' reads its own; nothing that only an
/// emulator sees, and kernel memory only where a test says so.
/// </summary>
public sealed class TraceAsEvidenceTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("hang-irp-release", null, "zombie-no-cancel-routine")]
    [InlineData("hang-irp-noop-cancel", null, "zombie-cancel-routine-did-not-complete")]
    [InlineData("hang-irp-overlapped", null, "zombie-in-rundown")]
    [InlineData("terminate-then-release", null, "zombie-in-rundown")]
    [InlineData("hang-irp-completion-port", null, "zombie-in-rundown")]
    [InlineData("hang-irp", "polling-dispatch", "blocked-in-dispatch")]
    public void Without_a_dump_the_trace_proves_the_zombie_and_names_its_driver(string scenario, string? driver, string finding)
    {
        foreach (var processors in new[] { 1, 4 })
        {
            var (run, evidence) = Played(scenario, driver, processors: processors);
            var live = Judge.Of(run, evidence);
            var judgement = Judge.Of(run, OfARealMachine(evidence, Traced(evidence)));

            judgement.Verdict.Should().Be(Verdict.Pass, judgement.Because);
            var found = judgement.Findings.Should().ContainSingle(f => f.Id == finding).Which;
            found.Should().Match<Finding>(f => f.Expected && f.Driver == live.Findings.Single(other => other.Id == finding).Driver);
            judgement.Facts.Should().OnlyContain(fact => fact.Holds == true).And.Contain(fact => fact.Source!.StartsWith("etw #"));
        }
    }

    [Theory]
    [InlineData("hang-irp", null)]
    [InlineData("hang-create", null)]
    [InlineData("terminate-twice", null)]
    [InlineData("hang-irp", "blocking-dispatch")]
    public void Where_the_thread_never_ran_again_the_trace_alone_proves_nothing(string scenario, string? driver)
    {
        var (run, evidence) = Played(scenario, driver);
        var judgement = Judge.Of(run, OfARealMachine(evidence, Traced(evidence)));

        (judgement.Verdict, judgement.Outcome).Should().Be((Verdict.Inconclusive, Outcome.Zombie), judgement.Because);
        judgement.Because.Should().Contain("no evidence for: ");
    }

    [Fact]
    public void Every_story_is_judged_alike_with_a_trace_beside_kernel_memory()
    {
        foreach (var scenario in ScenarioCatalogue.All)
        {
            foreach (var request in new[] { null, MyFault.Pend })
            {
                if (request is not null && scenario.Name == "hang-create") continue;
                var (run, evidence) = Played(scenario.Name, request: request);
                var (live, traced) = (Judge.Of(run, evidence), Judge.Of(run, [.. evidence, Traced(evidence)]));

                (traced.Verdict, traced.Outcome).Should().Be((live.Verdict, live.Outcome), $"{scenario.Name}: {traced.Because}");
                traced.Findings.Should().BeEquivalentTo(live.Findings, scenario.Name);
                traced.Facts.Should().OnlyContain(fact => fact.Holds == true);
                if (live.Outcome == Outcome.Zombie) traced.Facts.Should().Contain(fact => fact.Name.EndsWith("the event trace, too, shows that myfault.sys kept it"));
            }
        }
    }

    [Fact]
    public void A_sound_driver_s_caller_ends_in_the_trace_too()
    {
        foreach (var scenario in new[] { "pend-then-terminate", "hang-irp", "hang-irp-overlapped" })
        {
            var (run, evidence) = Played(scenario, request: MyFault.Pend);
            var judgement = Judge.Of(run, OfARealMachine(evidence, Traced(evidence)));

            judgement.Outcome.Should().Be(Outcome.Ended);
            judgement.Findings.Should().BeEmpty();
            // What the cancel routine did nobody outside of the kernel sees.
            judgement.Verdict.Should().Be(scenario == "pend-then-terminate" ? Verdict.Inconclusive : Verdict.Pass, judgement.Because);
        }
    }

    [Fact]
    public void The_trace_of_another_driver_is_a_contradiction()
    {
        var (run, hung) = Played("hang-irp-release");
        var (_, sound) = Played("hang-irp-release", request: MyFault.Pend);
        var judgement = Judge.Of(run, [.. hung, Traced(sound) with { N = hung.Count + 1 }]);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().StartWith("Evidence contradicts itself");
    }

    [Fact]
    public void A_trace_that_lost_events_is_refused()
    {
        var (run, evidence) = Played("hang-irp-release");
        // TRACE_LOGFILE_HEADER.EventsLost, behind the headers of the buffer and of the event.
        BitConverter.GetBytes(7).CopyTo(_trace!, TraceBufferLayout.SizeInBytes + SystemTraceHeaderLayout.SizeInBytes + TraceLogfileHeaderLayout.EventsLost);
        Traced(evidence).Gaps.Should().Equal("7 events were lost");
        var judgement = Judge.Of(run, OfARealMachine(evidence, Traced(evidence)));

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().Contain("the event trace cannot tell").And.Contain("7 events were lost");
    }

    [Fact]
    public void Of_processes_that_are_not_the_story_s_nothing_is_told()
    {
        var (_, evidence) = Played("hang-irp-release");

        Traced(evidence).Processes.Should().ContainSingle();
        Traced([.. evidence.Where(o => o is not CallEntered { Process: "victim" })]).Processes.Should().BeEmpty();
    }

    [Fact]
    public void Names_come_from_the_machine_s_own_nt_and_what_lacks_them_is_said()
    {
        var (_, evidence) = Played("hang-irp-release");
        _trace = TracedZombiesTests.Nameless(_trace!);
        var nameless = Read(evidence).Should().ContainSingle().Which.Should().BeOfType<EventTraceSeen>().Which;
        nameless.Processes.Single().Answer.Should().Be(Answer.ConsistentWith);
        nameless.Lacks.Should().Equal("names of nt's routines: --symbols with its PDB, or its file beside the trace");

        var system = Directory.CreateDirectory(_scratch["system32"]).FullName;
        File.WriteAllBytes(Path.Combine(system, "ntoskrnl.exe"), _kernel!);
        Read(evidence, system).Should().ContainSingle().Which.Should().BeOfType<EventTraceSeen>().Which.Processes.Single().Answer.Should().Be(Answer.Proven);

        // IMAGE_FILE_HEADER.TimeDateStamp, behind the signature and two fields.
        _kernel![BitConverter.ToInt32(_kernel, 0x3C) + 8] ^= 1;
        File.WriteAllBytes(Path.Combine(system, "ntoskrnl.exe"), _kernel);
        Read(evidence, system).OfType<NotObserved>().Should().ContainSingle(not => not.What == "names of routines in the event trace").Which.Why.Should().Contain("ntoskrnl.exe is of another build");
    }

    [Fact]
    public void What_is_no_trace_is_said_and_nothing_is_told()
    {
        var (_, evidence) = Played("hang-irp");
        _trace = [1, 2, 3, 4];
        var said = Read(evidence);

        said.Should().ContainSingle().Which.Should().BeOfType<NotObserved>().Which.What.Should().Be("what the event trace tells");
    }

    private byte[]? _trace, _kernel;

    private (RunDescription Run, IReadOnlyList<Observation> Evidence) Played(string scenario, string? driver = null, MyFaultRequest? request = null, int processors = 1)
    {
        var under = driver is null ? Rehearsal.CommittedMyFault : Rehearsal.TestDriver("gcc-O2", driver, string.Concat(driver.Split('-').Select(word => char.ToUpperInvariant(word[0]) + word[1..])));
        var target = new EmulatedTarget();
        var asked = new RunRequest([ScenarioCatalogue.Named(scenario)!], target, under, driver is null ? request?.Code : 0x222000, [], driver is null ? request?.OutputLength : 16, driver is null ? null : Outcome.Zombie, TimeSpan.FromSeconds(15), new Conditions(1, processors));
        var run = PlayedRun.Describe("driverfault", asked.Scenarios[0], target, under, asked.ChoicesFor(asked.Scenarios[0]), asked.Conditions);
        var played = PlayedRun.Play(run, target, under.Driver, new Recording(null, Trace: true, (name, pieces) =>
        {
            if (name == Recording.TraceFileName) _trace = TracedRun.Joined(pieces);
            else _kernel = TracedRun.Joined(pieces);
        }));
        return (run, played.Evidence);
    }

    /// <summary>As the target 'local' reads the trace in its run folder, at the end of the evidence.</summary>
    private EventTraceSeen Traced(IReadOnlyList<Observation> evidence) => Read(evidence).OfType<EventTraceSeen>().Single() with { N = evidence.Count + 1 };

    private IReadOnlyList<Observation> Read(IReadOnlyList<Observation> evidence, string? images = null)
    {
        var folder = Directory.CreateDirectory(_scratch["run"]).FullName;
        File.WriteAllBytes(Path.Combine(folder, Recording.TraceFileName), _trace!);
        var waits = new Waits(TimeProvider.System, default);
        var timeline = new Harness.Windows.Timeline(waits);
        new TraceReading(new Collecting(folder, null), timeline, waits).Read([.. evidence.OfType<CallEntered>().Where(call => call.Process != Story.Controller).Select(call => call.Pid)], images);
        var log = new EvidenceLog();
        timeline.CopyTo(log);
        return log.Observations;
    }

    private static IReadOnlyList<Observation> OfARealMachine(IReadOnlyList<Observation> evidence, EventTraceSeen trace) =>
        [.. evidence.Where(o => o is DriverLoaded or DriverEntryReturned or CallEntered or CallReturned or ConditionPassed or TerminateRequested or ProcessEnded or ProcessStates or DriverUnloaded or DriverNotUnloaded), trace];
}
