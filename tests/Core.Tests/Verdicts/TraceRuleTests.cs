using Core.Tests.Evidence;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Verdicts;

/// <summary>What an event trace adds to the evidence of a run, and what it may not.</summary>
public sealed class TraceRuleTests
{
    private const string Cited = "etw #";

    /// <summary>The victim as a trace tells it that holds every link of the chain.</summary>
    private static TracedFate Fate(Answer answer = Answer.Proven, Hold? hold = Hold.NoCancelRoutine, string? driver = "guilty.sys", double? endedAfter = null, params TracedRequest[] requests)
    {
        var asked = TimeSpan.FromSeconds(3);
        IReadOnlyList<TracedFact> facts = answer is Answer.Proven or Answer.ConsistentWith
            ? [new("its end was asked for", true), new("an IRP that it sent to a driver was not completed", true), new("the function that waits, on a stack with which it switches in", answer == Answer.Proven ? true : null)] : [];
        return new TracedFate(Tale.VictimPid, "victim.exe", asked, new TracedThread(8, 4, "harness.exe"), endedAfter is { } after ? asked + TimeSpan.FromSeconds(after) : null, answer,
            answer is Answer.Proven or Answer.ConsistentWith ? hold : null, answer == Answer.Proven ? "nt!IopCancelAlertedRequest" : null, driver, TimeSpan.FromSeconds(20), "The trace says so.", facts, Wait(Tale.VictimTid), [], requests);
    }

    private static TracedWait Wait(int tid) => new(tid, WaitReason.Executive, TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(23), 1, TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), null, ["nt!KiSwapThread+0x21", "nt!IopCancelAlertedRequest+0x6d"]);

    private static TracedRequest Request(double? completedAfter) => new(Tale.Irp, IrpMajor.DeviceControl, "guilty.sys", "guilty.sys+0x1100", [], TimeSpan.FromSeconds(1), Tale.VictimTid,
        completedAfter is { } after ? TimeSpan.FromSeconds(3 + after) : null, null);

    private static IReadOnlyList<Observation> With(Tale tale, TracedFate? fate, params string[] gaps) => tale.Add(new EventTraceSeen("trace.etl", fate is null ? [] : [fate], gaps, []), Sources.Etw).Evidence;

    /// <summary>What a real machine tells: neither what happens inside of its kernel nor, without a dump, its memory.</summary>
    private static IReadOnlyList<Observation> FromOutside(IReadOnlyList<Observation> evidence) =>
        [.. evidence.Where(o => o is not (IrpSent or DispatchReturned or CancelRequested or CancelRoutineReturned or IrpCompleted or IrpFinished or IrpDisassociated or KernelMemorySeen))];

    [Fact]
    public void Where_kernel_memory_was_not_seen_a_proven_trace_tells_the_zombie()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(With(Tale.Zombie(), Fate())));

        (judgement.Verdict, judgement.Outcome).Should().Be((Verdict.Pass, Outcome.Zombie));
        judgement.Findings.Should().ContainSingle().Which.Should().Match<Finding>(found => found.Id == "zombie-no-cancel-routine" && found.Driver == "guilty.sys" && found.Expected && found.Says.Contains("The trace says so."));
        judgement.Facts.Should().OnlyContain(fact => fact.Holds == true).And.Contain(fact => fact.Name == "its end was asked for" && fact.Source!.StartsWith(Cited));
        Judge.Of(Tale.Run(Outcome.Ended), FromOutside(With(Tale.Zombie(), Fate()))).Verdict.Should().Be(Verdict.Fail);
    }

    [Fact]
    public void A_trace_that_is_only_consistent_with_a_zombie_proves_none()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(With(Tale.Zombie(), Fate(Answer.ConsistentWith))));

        (judgement.Verdict, judgement.Outcome).Should().Be((Verdict.Inconclusive, Outcome.Zombie));
        judgement.Because.Should().Contain("no evidence for: the function that waits, on a stack with which it switches in");
        judgement.Facts.Should().OnlyContain(fact => fact.Holds == null == (fact.Source == null));
        judgement.Findings.Should().BeEmpty();
    }

    [Fact]
    public void Without_memory_and_without_a_trace_nothing_is_told() =>
        Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(Tale.Zombie().Evidence)).Verdict.Should().Be(Verdict.Inconclusive);

    [Fact]
    public void A_trace_that_lost_events_tells_nothing_and_says_so()
    {
        var fate = Fate(Answer.CannotTell) with { Says = "'victim.exe' (pid 412): 7 events were lost, so nothing is certain." };
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(With(Tale.Zombie(), fate, "7 events were lost")));

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().Contain("the event trace cannot tell").And.Contain("7 events were lost");
        Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(With(Tale.Zombie(), null, "7 events were lost"))).Because.Should().Contain("tells nothing of it; 7 events were lost");
    }

    [Fact]
    public void What_kernel_memory_has_seen_otherwise_no_trace_makes_good()
    {
        // Nobody cancelled its IRP, and its stack could not be read.
        var tale = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(irps: Tale.Held(cancel: false)) with { Stack = [] });
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), With(tale, Fate()));

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Facts.Should().Contain(fact => fact.Name == "Irp.Cancel is set" && fact.Holds == false);
    }

    [Fact]
    public void Beside_kernel_memory_a_trace_confirms()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), With(Tale.Zombie(), Fate(Answer.ConsistentWith)));

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.Facts.Should().Contain(fact => fact.Name == "the event trace, too, shows that guilty.sys kept it" && fact.Holds == true && fact.Source!.StartsWith(Cited));
    }

    [Fact]
    public void Beside_kernel_memory_a_trace_that_cannot_tell_changes_nothing()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), With(Tale.Zombie(), Fate(Answer.CannotTell), "7 events were lost"));

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.Facts.Should().ContainSingle(fact => fact.Holds == null);
    }

    [Theory]
    [InlineData(Answer.Proven, "other.sys", "and not other.sys")]
    [InlineData(Answer.NotAZombie, null, "the event trace shows that a driver kept it")]
    public void A_trace_that_says_otherwise_than_kernel_memory_leaves_nothing_to_stand_on(Answer answer, string? driver, string why)
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), With(Tale.Zombie(), Fate(answer, driver: driver)));

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().Contain(why);
    }

    [Theory]
    [InlineData("Guilty.SYS", "guilty.sys", "the event trace, too, shows that guilty.sys kept it")]
    [InlineData("Wdf01000.sys", "guilty.sys", "the event trace shows that a driver kept it")]
    [InlineData("guilty.sys", null, "the event trace shows that a driver kept it")]
    public void What_a_trace_names_otherwise_need_not_be_another_driver(string traced, string? inMemory, string fact)
    {
        // Names have no case; a KMDF driver's dispatch routines are the framework's; and memory that cannot tell whose device it is names nobody.
        var evidence = With(Tale.Zombie(), Fate(driver: traced)).WithThread(thread => thread with { Irps = [.. thread.Irps.Select(irp => irp with { Holder = inMemory })] });
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), evidence);

        judgement.Verdict.Should().Be(Verdict.Pass, judgement.Because);
        judgement.Facts.Should().Contain(known => known.Name == fact && known.Holds == true && known.Source!.StartsWith(Cited));
    }

    [Fact]
    public void A_process_cannot_be_there_after_the_trace_has_its_end()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(With(Tale.Zombie(), Fate(endedAfter: 2))));

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().StartWith("Evidence contradicts itself");
        // It was there until the harness let it go.
        Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(With(Tale.Zombie(), Fate(endedAfter: 601)))).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void A_process_that_is_gone_cannot_have_stayed_in_the_trace()
    {
        var gone = FromOutside(With(Tale.Sound(), Fate()));
        Judge.Of(Tale.Run(Outcome.Ended), gone).Because.Should().StartWith("Evidence contradicts itself");
        Judge.Of(Tale.Run(Outcome.Ended), FromOutside(With(Tale.Sound(), Fate(Answer.NotAZombie, endedAfter: 0.001)))).Verdict.Should().Be(Verdict.Pass);
        Judge.Of(Tale.Run(Outcome.Ended), FromOutside(With(Tale.Sound(), Fate(Answer.CannotTell), "7 events were lost"))).Verdict.Should().Be(Verdict.Pass, "a trace with gaps need not have its end");
    }

    [Theory]
    [InlineData(Hold.CancelRoutineDidNotComplete, Verdict.Pass)]
    [InlineData(Hold.NoCancelRoutine, Verdict.Fail)]
    [InlineData(Hold.Rundown, Verdict.Inconclusive)]
    public void The_wait_tells_whether_a_cancel_routine_was_called(Hold hold, Verdict verdict)
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie, more: new CancelRoutineRanPromise("request")), FromOutside(With(Tale.Zombie(), Fate(hold: hold))));

        judgement.Verdict.Should().Be(verdict);
        judgement.Findings.Any(found => found.Id == "promise-broken-cancel-routine-ran").Should().Be(verdict == Verdict.Fail);
    }

    [Fact]
    public void The_wait_of_another_thread_tells_nothing_of_the_request()
    {
        var run = Tale.Run(Outcome.Zombie, more: new CancelRoutineRanPromise("request"));
        var inTrace = FromOutside(With(Tale.Zombie(), Fate() with { Wait = Wait(Tale.VictimTid + 4) }));
        IReadOnlyList<Observation> inMemory = [.. Tale.Zombie().Evidence.WithThread(thread => thread with { Tid = Tale.VictimTid + 4 }).Where(o => o is not (IrpSent or DispatchReturned or CancelRequested))];

        foreach (var evidence in new[] { inTrace, inMemory })
        {
            var judgement = Judge.Of(run, evidence);
            judgement.Verdict.Should().Be(Verdict.Inconclusive);
            judgement.Findings.Should().OnlyContain(found => found.Expected);
        }
    }

    [Fact]
    public void A_trace_that_is_only_consistent_with_a_wait_breaks_no_promise() =>
        Judge.Of(Tale.Run(Outcome.Zombie, more: new CancelRoutineRanPromise("request")), FromOutside(With(Tale.Zombie(), Fate() with { Answer = Answer.ConsistentWith }))).Verdict.Should().Be(Verdict.Inconclusive);

    [Fact]
    public void Kernel_memory_tells_it_too()
    {
        var stack = Tale.SynchronousStack.Select(frame => frame.Replace("KeWaitForSingleObject", "KeDelayExecutionThread")).ToList();
        var tale = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.DelayExecution, stack));
        IReadOnlyList<Observation> evidence = [.. tale.Evidence.Where(o => o is not (IrpSent or DispatchReturned))];

        Judge.Of(Tale.Run(Outcome.Zombie, more: new CancelRoutineRanPromise("request")), evidence).Verdict.Should().Be(Verdict.Pass);
        Judge.Of(Tale.Run(Outcome.Zombie, more: new CancelRoutineRanPromise("other")), evidence).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Theory]
    [InlineData(300, null, Verdict.Pass)]
    [InlineData(300, 400.0, Verdict.Pass)]
    [InlineData(300, 20.0, Verdict.Inconclusive)]
    [InlineData(20, null, Verdict.Inconclusive)]
    public void An_IRP_that_outlives_its_process_after_five_minutes_was_given_up(int endedAfter, double? completedAfter, Verdict verdict)
    {
        var tale = Tale.Pending().Killed().Later(TimeSpan.FromSeconds(endedAfter)).Ended().SeenGone("settled");
        var fate = Fate(hold: Hold.Rundown, endedAfter: endedAfter, requests: Request(completedAfter));

        Judge.Of(GivenUp, FromOutside(With(tale, fate))).Verdict.Should().Be(verdict);
        Judge.Of(GivenUp, FromOutside(With(tale, fate with { Answer = Answer.ConsistentWith }))).Verdict.Should().Be(Verdict.Inconclusive);
    }

    // Beside another promise about the outcome, a late end is what was promised.
    private static RunDescription GivenUp => Tale.Run([new OutcomePromise("settled", Outcome.Ended), new OutcomePromise("settled", Outcome.Ended), new IrpDisassociatedPromise("request")]);

    [Fact]
    public void An_IRP_that_was_seen_to_be_completed_was_not_given_up()
    {
        var tale = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(5)).Completed(NtStatus.Success).Ended().SeenGone("settled");

        Judge.Of(GivenUp, With(tale, Fate(hold: Hold.Rundown, endedAfter: 300, requests: Request(null)))).Findings.Should().Contain(found => found.Id == "promise-broken-irp-disassociated");
    }

    [Theory]
    [InlineData(0x36, 0x8004, Verdict.Pass)]
    [InlineData(0x36, null, Verdict.Pass)]
    [InlineData(0x36, 0xC007, Verdict.Inconclusive)]
    [InlineData(0x35, 0x8004, Verdict.Inconclusive)]
    public void The_system_s_log_tells_it_and_an_error_of_the_driver_s_own_does_not(int id, int? qualifiers, Verdict verdict)
    {
        var tale = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(5)).Ended().SeenGone("settled")
            .Add(new EventLogSeen("System", [new LoggedEvent("DriverFault-guilty", id, Tale.Device) { Qualifiers = qualifiers }]), Sources.EventLog);

        Judge.Of(GivenUp, FromOutside(tale.Evidence)).Verdict.Should().Be(verdict);
    }

    [Theory]
    [InlineData(0xC0000120, Verdict.Pass)]
    [InlineData(0x00000000, Verdict.Fail)]
    public void The_client_s_status_is_the_IRP_s(uint status, Verdict verdict)
    {
        var tale = Tale.Pending().Killed().LaterMs(10).Add(new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "DeviceIoControl(h, 0x222008)", "request", new NtStatus(status), 0)).Ended().SeenGone("settled");

        Judge.Of(Tale.Run(Outcome.Ended, more: new RequestStatusPromise("request", NtStatus.Cancelled)), FromOutside(tale.Evidence)).Verdict.Should().Be(verdict);
    }

    [Fact]
    public void Sooner_than_a_second_after_the_kill_a_trace_proves_no_more_than_memory()
    {
        var tale = Tale.Pending().Killed().LaterMs(500).Seen("settled", Tale.Stuck());
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), FromOutside(With(tale, Fate())));

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().Contain("too soon");
    }

    [Fact]
    public void A_process_that_had_the_ID_before_is_not_the_victim()
    {
        var before = Fate(Answer.NotAZombie, endedAfter: 0.001) with { Asked = TimeSpan.FromSeconds(1), Image = "other.exe", Says = "It went." };
        var lingering = before with { Asked = null };
        var evidence = FromOutside(Tale.Zombie().Add(new EventTraceSeen("trace.etl", [before, Fate(), lingering], [], []), Sources.Etw).Evidence);

        Judge.Of(Tale.Run(Outcome.Zombie), evidence).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void What_is_told_of_the_request_is_not_told_of_another()
    {
        var log = new EventLogSeen("System", [new LoggedEvent("DriverFault-guilty", 0x36, Tale.Device)]);
        var returned = new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "DeviceIoControl(h, 0x222008)", "request", NtStatus.Cancelled, 0);
        var hung = FromOutside(With(Tale.Zombie(), Fate(hold: Hold.CancelRoutineDidNotComplete)));
        var gone = FromOutside(With(Tale.Pending().Killed().Add(returned).Later(TimeSpan.FromMinutes(5)).Ended().SeenGone("settled").Add(log, Sources.EventLog), Fate(hold: Hold.Rundown, endedAfter: 300, requests: Request(null))));
        Kept(hung, request => new CancelRoutineRanPromise(request));
        Kept(gone, request => new IrpDisassociatedPromise(request));
        Kept([.. gone.Where(o => o is not EventLogSeen)], request => new IrpDisassociatedPromise(request));
        Kept(gone, request => new RequestStatusPromise(request, NtStatus.Cancelled));

        static void Kept(IReadOnlyList<Observation> evidence, Func<string, Promise> promise)
        {
            Judge.Of(Tale.Run([promise("request")]), evidence).Verdict.Should().Be(Verdict.Pass);
            Judge.Of(Tale.Run([promise("other")]), evidence).Verdict.Should().Be(Verdict.Inconclusive);
        }
    }

    [Fact]
    public void A_call_that_came_back_without_having_waited_had_its_status_from_anybody()
    {
        var returned = new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "DeviceIoControl(h, 0x222008)", "request", NtStatus.Success, 0);
        var evidence = FromOutside(Tale.Pending().Killed().Add(returned).Ended().SeenGone("settled").Evidence).Without<ConditionPassed>();

        Judge.Of(Tale.Run([new RequestStatusPromise("request", NtStatus.Cancelled)]), evidence).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void Memory_that_cannot_name_the_wait_breaks_no_promise()
    {
        var run = Tale.Run([new CancelRoutineRanPromise("request")]);
        var tale = Tale.Zombie();
        IReadOnlyList<Observation> named = [.. tale.Evidence.Where(o => o is not (IrpSent or DispatchReturned or CancelRequested))];
        IReadOnlyList<string> unnamed = [.. Tale.SynchronousStack.Select(frame => frame.StartsWith("nt!Io", StringComparison.Ordinal) ? "nt+0x1234" : frame)];

        Judge.Of(run, named).Verdict.Should().Be(Verdict.Fail);
        Judge.Of(run, named.WithThread(thread => thread with { Stack = [.. thread.Stack.Select((frame, i) => frame with { Name = unnamed[i] })] })).Verdict.Should().Be(Verdict.Inconclusive, "what is inferred may be another wait");
        Judge.Of(run, named.WithThread(thread => thread with { Irps = [] })).Verdict.Should().Be(Verdict.Inconclusive);
        Judge.Of(run, named.With<KernelMemorySeen>(seen => seen with { Processes = [.. seen.Processes.Select(process => process with { Signalled = true })] })).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void It_survives_its_file()
    {
        var evidence = With(Tale.Zombie(), Fate(requests: Request(2)));
        EvidenceText.Read(EvidenceText.Of(evidence)).OfType<EventTraceSeen>().Single().Should().BeEquivalentTo(evidence.OfType<EventTraceSeen>().Single());
    }
}
