using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Verdicts;

public sealed class JudgeTests
{
    private static readonly IReadOnlyList<KernelAddress> Parameters = [new(Tale.Irp.Value), new(0), new(0), new(0)];

    [Fact]
    public void A_request_that_a_timer_completes_50_ms_after_the_kill_ends_the_process_after_50_ms()
    {
        var tale = Tale.Pending().Killed().Cancelled(null).LaterMs(50).Completed(NtStatus.Success).Ended().SeenGone("settled");
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence);

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.After.Should().Be(TimeSpan.FromMilliseconds(50));
        judgement.Because.Should().Contain("50 ms");
    }

    [Fact]
    public void A_process_that_ends_where_a_zombie_was_promised_is_a_fail()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), Tale.Sound().Evidence);

        judgement.Verdict.Should().Be(Verdict.Fail);
        judgement.Outcome.Should().Be(Outcome.Ended);
        judgement.Findings.Should().ContainSingle().Which.Id.Should().Be("promise-broken-outcome");
    }

    [Fact]
    public void A_request_that_was_over_before_the_kill_leaves_nothing_to_judge()
    {
        var tale = Tale.Pending().Completed(NtStatus.Success).Add(new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "DeviceIoControl(h, 0x222008)", "request", NtStatus.Success, 4))
            .LaterMs(1).Killed().Ended().SeenGone("settled");

        foreach (var evidence in new[] { tale.Evidence, tale.Evidence.Without<IrpCompleted>(), tale.Evidence.Without<CallReturned>() })
        {
            foreach (var expected in new[] { Outcome.Zombie, Outcome.Ended })
            {
                var judgement = Judge.Of(Tale.Run(expected, more: new RequestStatusPromise("request", NtStatus.Cancelled)), evidence);
                judgement.Verdict.Should().Be(Verdict.Inconclusive);
                judgement.Outcome.Should().Be(Outcome.NotPending);
                judgement.Findings.Should().BeEmpty();
            }
        }
    }

    [Fact]
    public void A_call_that_returned_STATUS_PENDING_is_not_over()
    {
        var tale = Tale.Pending().Add(new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "DeviceIoControl(h, 0x222008)", "request", NtStatus.Pending, 0))
            .Killed().Cancelled("guilty.sys+0x1400").Completed(NtStatus.Cancelled).LaterMs(100).Ended().SeenGone("settled");

        Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void A_completion_that_a_driver_above_kept_is_not_the_end_of_the_request()
    {
        var tale = Tale.Pending().Completed(NtStatus.Success).LaterMs(1).Killed().Cancelled("guilty.sys+0x1400").Completed(NtStatus.Cancelled).Ended().SeenGone("settled");

        Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void A_victim_killed_before_its_request_reached_the_driver_proves_nothing()
    {
        var evidence = Tale.Sound().Evidence.Where(o => o is not (IrpSent or ConditionPassed or IrpCompleted or CancelRequested)).ToList();
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), evidence);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().Contain("request pending when it was killed");
    }

    [Fact]
    public void A_process_that_ended_without_a_recorded_kill_proves_nothing()
    {
        Judge.Of(Tale.Run(Outcome.Ended), Tale.Sound().Evidence.Without<TerminateRequested>()).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void A_checkpoint_that_was_never_reached_proves_nothing()
    {
        var evidence = Tale.Sound().Evidence.Without<ProcessStates>().Without<KernelMemorySeen>();
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), evidence);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().Contain("'settled'");
    }

    [Fact]
    public void No_evidence_at_all_is_inconclusive() => Judge.Of(Tale.Run(Outcome.Zombie), []).Verdict.Should().Be(Verdict.Inconclusive);

    [Fact]
    public void A_story_without_promises_is_inconclusive() => Judge.Of(Tale.Run([]), Tale.Sound().Evidence).Verdict.Should().Be(Verdict.Inconclusive);

    [Fact]
    public void A_user_mode_look_is_enough_to_see_that_the_process_is_gone_but_not_when()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), Tale.Sound().Evidence.Without<ProcessEnded>());

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.After.Should().BeNull();
    }

    public static TheoryData<string, string> Obstacles => new()
    {
        { "unmodelled", "nt!KeSetAffinityThread" },
        { "stopped", "instruction limit" },
        { "driver entry", "STATUS_INSUFFICIENT_RESOURCES" },
        { "open", "STATUS_OBJECT_NAME_NOT_FOUND" },
    };

    [Theory]
    [MemberData(nameof(Obstacles))]
    public void What_keeps_a_run_from_being_judged_is_named_and_never_a_pass(string obstacle, string named)
    {
        IReadOnlyList<Observation> Hindered(IReadOnlyList<Observation> evidence) => obstacle switch
        {
            "unmodelled" => [.. evidence, new Unmodelled("nt!KeSetAffinityThread", "guilty.sys+0x10", "sets a thread's processors") { N = 90 }],
            "stopped" => [.. evidence, new RunStopped("instruction limit reached") { N = 90 }],
            "driver entry" => evidence.With<DriverEntryReturned>(o => o with { Status = NtStatus.InsufficientResources }),
            _ => evidence.With<CallReturned>(o => o with { Status = NtStatus.ObjectNameNotFound }),
        };

        foreach (var (run, tale) in new[] { (Tale.Run(Outcome.Ended), Tale.Sound()), (Tale.Run(Outcome.Zombie), Tale.Zombie()) })
        {
            var judgement = Judge.Of(run, Hindered(tale.Evidence));
            judgement.Verdict.Should().Be(Verdict.Inconclusive);
            judgement.Because.Should().Contain(named);
        }

        Judge.Of(Tale.Run(Outcome.Ended), Hindered(Tale.Zombie().Evidence)).Verdict.Should().Be(Verdict.Fail, "a proven defect stays proven");
    }

    [Fact]
    public void An_open_that_nobody_needs_may_fail()
    {
        var evidence = Tale.Sound().Add(new CallReturned(Story.Controller, 8, 12, "CreateFile(c)", null, NtStatus.AccessDenied, 0)).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended), evidence).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void Missing_exports_that_nobody_calls_do_no_harm()
    {
        var evidence = Tale.Sound().Add(new ExportsMissing("guilty.sys", ["KeSetAffinityThread"])).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended), evidence).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void A_bug_check_is_a_fail_named_as_Microsoft_names_it_even_though_nothing_else_was_seen()
    {
        var tale = Tale.Pending().Killed().Add(new BugChecked(0x44, Parameters, "guilty.sys+0x1450", ["nt!KeBugCheckEx", "guilty.sys+0x1450"]));
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), tale.Evidence);

        judgement.Verdict.Should().Be(Verdict.Fail);
        var finding = judgement.Findings.Should().ContainSingle().Subject;
        finding.Should().BeEquivalentTo(new { Id = "bug-check-0x44", Title = "MULTIPLE_IRP_COMPLETE_REQUESTS", Code = "0x44", Parameters, Driver = "guilty.sys", Expected = false });
    }

    [Fact]
    public void A_bug_check_that_the_kernel_raises_is_blamed_on_the_innermost_driver()
    {
        var tale = Tale.Pending().Add(new BugChecked(0x11B, Parameters, "nt!IoCancelIrp+0x40", ["nt!IoCancelIrp+0x40", "lower.sys+0x20", "guilty.sys+0x30"]));

        Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence).Findings[0].Driver.Should().Be("lower.sys");
    }

    [Fact]
    public void A_bug_check_nobody_can_be_blamed_for_names_nobody()
    {
        var tale = Tale.Pending().Add(new BugChecked(0xBADC0DE, Parameters, "nt!KiTrap+0x4", ["0xfffff80012345678"]));
        var finding = Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence).Findings[0];

        finding.Driver.Should().BeNull();
        finding.Id.Should().Be("bug-check-0xbadc0de");
    }

    [Fact]
    public void A_fault_seen_on_the_way_fails_a_run_that_ends_as_promised()
    {
        var fault = new DriverFault("use-after-free", "guilty.sys+0x88", "read 8 bytes of a freed pool block", Fatal: false, []);
        foreach (var (run, tale) in new[] { (Tale.Run(Outcome.Ended), Tale.Sound()), (Tale.Run(Outcome.Zombie), Tale.Zombie()) })
        {
            var judgement = Judge.Of(run, tale.Add(fault).Add(fault).Evidence);
            judgement.Verdict.Should().Be(Verdict.Fail);
            judgement.Findings.Where(f => f.Id == "use-after-free").Should().ContainSingle().Which.Says.Should().Contain("2 times");
        }
    }

    [Fact]
    public void An_IRP_the_IO_manager_gave_up_on_is_a_finding_though_the_process_ended()
    {
        var tale = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(5))
            .Add(new IrpDisassociated(Tale.Irp, "request", Tale.Device, "guilty.sys")).Ended().SeenGone("settled");
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence);

        judgement.Verdict.Should().Be(Verdict.Fail);
        judgement.Outcome.Should().Be(Outcome.Ended);
        judgement.Findings.Should().ContainSingle().Which.Id.Should().Be("cancel-timeout");
    }

    [Fact]
    public void Two_checkpoints_are_judged_each_and_the_last_gives_the_outcome()
    {
        Promise[] promises = [new OutcomePromise("hung", Outcome.Zombie), new OutcomePromise("released", Outcome.Ended)];
        var hung = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("hung", Tale.Stuck());
        var released = Judge.Of(Tale.Run(promises), hung.LaterMs(3).Completed(NtStatus.Success).Ended().SeenGone("released").Evidence);

        released.Verdict.Should().Be(Verdict.Pass);
        released.Outcome.Should().Be(Outcome.Ended);
        released.After.Should().Be(TimeSpan.FromMinutes(10) + TimeSpan.FromMilliseconds(3));
        released.Findings.Should().ContainSingle().Which.Expected.Should().BeTrue();
        released.Facts.Should().Contain(f => f.Name.StartsWith("hung: ")).And.Contain(f => f.Name.StartsWith("released: "));
    }

    [Fact]
    public void A_zombie_that_its_release_does_not_let_go_is_a_fail()
    {
        Promise[] promises = [new OutcomePromise("hung", Outcome.Zombie), new OutcomePromise("released", Outcome.Ended)];
        var tale = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("hung", Tale.Stuck()).LaterMs(10).Seen("released", Tale.Stuck());
        var judgement = Judge.Of(Tale.Run(promises), tale.Evidence);

        judgement.Verdict.Should().Be(Verdict.Fail);
        judgement.Findings.Should().ContainSingle().Which.Expected.Should().BeFalse();
    }

    [Fact]
    public void A_sound_driver_in_a_story_that_expects_the_end_twice_passes()
    {
        Promise[] promises = [new OutcomePromise("hung", Outcome.Ended), new OutcomePromise("released", Outcome.Ended)];
        var tale = Tale.Pending().Killed().Cancelled("guilty.sys+0x1400").Completed(NtStatus.Cancelled).LaterMs(2).Ended().SeenGone("hung").SeenGone("released");
        var judgement = Judge.Of(Tale.Run(promises), tale.Evidence);

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.After.Should().Be(TimeSpan.FromMilliseconds(2));
    }

    [Fact]
    public void A_wrong_completion_status_breaks_its_promise()
    {
        Promise promise = new RequestStatusPromise("request", NtStatus.Cancelled);
        Judge.Of(Tale.Run(Outcome.Ended, more: promise), Tale.Sound().Evidence).Verdict.Should().Be(Verdict.Pass);

        var wrong = Judge.Of(Tale.Run(Outcome.Ended, more: promise), Tale.Sound().Evidence.With<IrpCompleted>(o => o with { Status = NtStatus.Success }));
        wrong.Verdict.Should().Be(Verdict.Fail);
        wrong.Findings.Select(f => f.Id).Should().Equal("cancelled-with-other-status", "promise-broken-request-status");
        var finding = wrong.Findings[1];
        finding.Driver.Should().Be("guilty.sys");

        var silent = Judge.Of(Tale.Run(Outcome.Ended, more: promise), Tale.Sound().Evidence.Without<IrpCompleted>());
        silent.Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void A_cancel_routine_that_completes_with_another_status_is_a_finding_and_somebody_else_s_completion_is_none()
    {
        var own = Judge.Of(Tale.Run(Outcome.Ended), Tale.Sound().Evidence.With<IrpCompleted>(o => o with { Status = NtStatus.Success }));
        own.Findings.Should().ContainSingle().Which.Id.Should().Be("cancelled-with-other-status");

        var foreign = Judge.Of(Tale.Run(Outcome.Ended), Tale.Sound().Evidence.With<IrpCompleted>(o => o with { Status = NtStatus.Success, By = "other.sys+0x10" }));
        foreign.Findings.Should().BeEmpty();
    }

    [Fact]
    public void A_client_that_goes_long_after_it_was_killed_went_late()
    {
        TimeSpan End(double seconds) => Tale.Sound().Evidence.OfType<TerminateRequested>().First().At + TimeSpan.FromSeconds(seconds);
        Judgement After(double seconds) => Judge.Of(Tale.Run(Outcome.Ended), Tale.Sound().Evidence.With<ProcessEnded>(o => o with { At = End(seconds) }));

        After(9.9).Findings.Should().BeEmpty();
        After(10.1).Findings.Should().ContainSingle().Which.Should().BeEquivalentTo(new { Id = "ended-late", Driver = "guilty.sys" });
    }

    [Fact]
    public void A_cancel_routine_that_was_promised_and_is_not_there_breaks_its_promise()
    {
        Promise promise = new CancelRoutineRanPromise("request");
        Judge.Of(Tale.Run(Outcome.Ended, more: promise), Tale.Sound().Evidence).Verdict.Should().Be(Verdict.Pass);

        var none = Judge.Of(Tale.Run(Outcome.Ended, more: promise), Tale.Sound().Evidence.With<CancelRequested>(o => o with { CancelRoutine = null }));
        none.Verdict.Should().Be(Verdict.Fail);
        none.Findings.Should().ContainSingle().Which.Should().BeEquivalentTo(new { Id = "promise-broken-cancel-routine-ran", Driver = "guilty.sys" });

        Judge.Of(Tale.Run(Outcome.Ended, more: promise), Tale.Sound().Evidence.Without<CancelRequested>()).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void An_observation_of_another_request_at_the_same_address_is_not_ours()
    {
        var evidence = Tale.Sound().Add(new IrpCompleted(Tale.Irp, "another", NtStatus.Success, 0, "guilty.sys+0x10")).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended, more: new RequestStatusPromise("request", NtStatus.Cancelled)), evidence).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void A_collector_that_knows_only_addresses_is_understood()
    {
        var evidence = Tale.Sound().Evidence.With<IrpCompleted>(o => o with { Request = null }).With<CancelRequested>(o => o with { Request = null });

        Judge.Of(Tale.Run(Outcome.Ended, more: [new RequestStatusPromise("request", NtStatus.Cancelled), new CancelRoutineRanPromise("request")]), evidence)
            .Verdict.Should().Be(Verdict.Pass);
    }
}
