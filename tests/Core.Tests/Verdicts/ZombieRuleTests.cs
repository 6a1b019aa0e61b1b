using Core.Tests.Evidence;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Verdicts;

public sealed class ZombieRuleTests
{
    [Fact]
    public void Catches_a_driver_that_pends_without_a_cancel_routine()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), Tale.Zombie().Evidence);

        judgement.Verdict.Should().Be(Verdict.Fail);
        judgement.Outcome.Should().Be(Outcome.Zombie);
        judgement.After.Should().BeNull();
        var finding = judgement.Findings.Should().ContainSingle().Subject;
        finding.Id.Should().Be("zombie-no-cancel-routine");
        finding.Driver.Should().Be("guilty.sys");
        finding.Expected.Should().BeFalse();
        judgement.Because.Should().Contain("'victim' (pid 412)").And.Contain("10 min").And.Contain("guilty.sys holds 1 IRP without a cancel routine");
        finding.Says.Should().StartWith(judgement.Because).And.Contain("Thread 416 waits in nt!IopCancelAlertedRequest: (Executive) KernelMode Non-Alertable");
    }

    [Fact]
    public void Passes_the_same_zombie_when_the_story_expects_it()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), Tale.Zombie().Evidence);

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.Findings.Should().ContainSingle().Which.Expected.Should().BeTrue();
        judgement.Because.Should().Contain("guilty.sys holds 1 IRP");
    }

    [Fact]
    public void Passes_a_sound_driver_and_tells_how_long_the_end_took()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), Tale.Sound().Evidence);

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.Outcome.Should().Be(Outcome.Ended);
        judgement.After.Should().Be(TimeSpan.FromMilliseconds(0.1));
        judgement.Findings.Should().BeEmpty();
        judgement.Facts.Should().OnlyContain(f => f.Holds == true && f.Source != null);
    }

    [Fact]
    public void Every_fact_of_a_zombie_cites_the_line_it_comes_from()
    {
        var evidence = Tale.Zombie().Evidence;
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), evidence);

        judgement.Facts.Should().HaveCount(7).And.OnlyContain(f => f.Holds == true);
        foreach (var fact in judgement.Facts)
        {
            var (source, n) = (fact.Source!.Split(" #")[0], int.Parse(fact.Source.Split(" #")[1], null));
            evidence.Single(o => o.N == n).Source.Should().Be(source);
        }

        judgement.Facts.Select(f => f.Source!.Split(' ')[0]).Distinct().Should().BeEquivalentTo("emulator", "process-state", "kernel-memory");
    }

    [Fact]
    public void A_cancel_routine_that_ran_without_completing_is_told_by_its_wait_reason()
    {
        string[] stack = ["nt!KiSwapThread+0x21", "nt!KeDelayExecutionThread+0x3c", "nt!IopCancelAlertedRequest+0x9a", "nt!IopSynchronousServiceTail+0x4f"];
        var tale = Tale.Pending().Killed().Cancelled("guilty.sys+0x1400").Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.DelayExecution, stack));
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence);

        judgement.Findings.Should().ContainSingle().Which.Id.Should().Be("zombie-cancel-routine-did-not-complete");
        judgement.Verdict.Should().Be(Verdict.Fail);
    }

    [Fact]
    public void A_thread_seen_between_two_polls_of_its_cancelled_request_still_counts_as_waiting()
    {
        string[] stack = ["nt!KeDelayExecutionThread+0x3c", "nt!IopCancelAlertedRequest+0x9a"];
        var evidence = Tale.Pending().Killed().Cancelled("guilty.sys+0x1400").Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.DelayExecution, stack) with { State = ThreadState.Ready }).Evidence;

        Judge.Of(Tale.Run(Outcome.Zombie), evidence).Verdict.Should().Be(Verdict.Pass);
        Judge.Of(Tale.Run(Outcome.Zombie), evidence.WithThread(t => t with { WaitReason = WaitReason.Executive })).Verdict.Should().Be(Verdict.Inconclusive);
    }

    public static TheoryData<string> RundownFunctions => ["nt!IoCancelThreadIo", "nt!IopCleanupProcessResources"];

    [Theory]
    [MemberData(nameof(RundownFunctions))]
    public void A_thread_that_waits_in_rundown_is_a_zombie_of_its_own_kind(string function)
    {
        var (stack, list) = function == "nt!IoCancelThreadIo" ? (Tale.RundownStack, "thread") : (Tale.HandleRundownStack, "file");
        var tale = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.DelayExecution, stack, Tale.Held(list: list)));
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence);

        judgement.Findings.Should().ContainSingle().Which.Id.Should().Be("zombie-in-rundown");
        judgement.Facts.Should().Contain(f => f.Name == $"{function} is on its stack" && f.Holds == true);
    }

    [Fact]
    public void A_driver_that_waits_in_its_dispatch_routine_is_told_by_its_frame()
    {
        var tale = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.Executive, Tale.BlockedStack, Tale.Held(cancel: false)));
        var judgement = Judge.Of(Tale.Run(Outcome.Ended), tale.Evidence);

        judgement.Outcome.Should().Be(Outcome.Zombie);
        var finding = judgement.Findings.Should().ContainSingle().Subject;
        finding.Id.Should().Be("blocked-in-dispatch");
        finding.Driver.Should().Be("guilty.sys");
        finding.Says.Should().Contain("waits in guilty+0x1234").And.Contain("nobody has cancelled it");
        judgement.Facts.Should().Contain(f => f.Name == "the driver's own frame guilty+0x1234 waits" && f.Holds == true);
    }

    [Fact]
    public void A_lower_driver_that_blocks_is_the_guilty_one()
    {
        string[] stack = ["nt!KeWaitForSingleObject+0x3c", "lower+0x90", "nt!IofCallDriver+0x2a", "guilty+0x1234", "nt!IofCallDriver+0x2a"];
        var evidence = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.Executive, stack, Tale.Held(cancel: false))).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended), evidence).Findings.Should().ContainSingle().Which.Driver.Should().Be("lower.sys");
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(50, false)]
    [InlineData(999, false)]
    [InlineData(1000, true)]
    public void A_process_that_was_given_no_time_to_go_is_not_called_a_zombie(int milliseconds, bool isZombie)
    {
        foreach (var expected in new[] { Outcome.Zombie, Outcome.Ended })
        {
            var judgement = Judge.Of(Tale.Run(expected), Tale.Pending().Killed().Cancelled(null).LaterMs(milliseconds).Seen("settled", Tale.Stuck()).Evidence);

            judgement.Verdict.Should().Be(!isZombie ? Verdict.Inconclusive : expected == Outcome.Zombie ? Verdict.Pass : Verdict.Fail);
            judgement.Outcome.Should().Be(isZombie ? Outcome.Zombie : null);
            judgement.Findings.Should().HaveCount(isZombie ? 1 : 0);
            if (!isZombie) judgement.Because.Should().Contain("guilty.sys holds 1 IRP without a cancel routine").And.Contain("too soon to tell").And.EndWith("it needs 1 s to settle.");
        }
    }

    [Fact]
    public void A_forwarded_IRP_makes_the_lower_driver_the_guilty_one()
    {
        var location = Tale.Held().Locations[0];
        var forwarded = Tale.Held() with
        {
            StackCount = 2,
            Locations = [location with { Number = 2, Current = false }, location with { Driver = "lower.sys", Device = @"\Device\Lower" }],
            Holder = "lower.sys",
            Device = @"\Device\Lower",
        };
        var evidence = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(irps: forwarded)).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended), evidence).Findings.Should().ContainSingle().Which.Driver.Should().Be("lower.sys");
    }

    [Fact]
    public void A_create_that_is_pended_and_never_completed_is_told_as_uncancellable()
    {
        string[] stack = ["nt!KeWaitForSingleObject+0x3c", "nt!IopParseDevice+0x300", "nt!ObOpenObjectByName+0x20", "nt!NtCreateFile+0x10"];
        var evidence = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.Executive, stack, Tale.Held(cancel: false, major: IrpMajor.Create))).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended), evidence).Findings.Should().ContainSingle().Which.Id.Should().Be("zombie-uncancellable-request");
    }

    [Fact]
    public void A_kernel_wait_that_no_rule_knows_is_a_zombie_but_proves_nothing()
    {
        string[] stack = ["nt!KeWaitForSingleObject+0x3c", "nt!IopAcquireFileObjectLock+0x3f", "nt!IopCloseFile+0x44"];
        var tale = Tale.Pending().Killed().Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(WaitReason.Executive, stack) with { Irps = [] });
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), tale.Evidence);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Outcome.Should().Be(Outcome.Zombie);
        judgement.Findings.Should().ContainSingle().Which.Id.Should().Be("unexplained");
    }

    [Fact]
    public void The_thread_that_a_rule_explains_speaks_for_one_that_merely_waits_behind_it()
    {
        string[] behind = ["nt!KeWaitForSingleObject+0x3c", "nt!IopAcquireFileObjectLock+0x3f", "nt!IopCloseFile+0x44"];
        var closer = Tale.Stuck(WaitReason.Executive, behind) with { Tid = 420, Irps = [] };
        var evidence = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", closer, Tale.Stuck()).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended), evidence).Findings.Should().ContainSingle().Which.Id.Should().Be("zombie-no-cancel-routine");
    }

    [Fact]
    public void An_IRP_that_is_complete_and_only_waits_for_its_APC_holds_nobody()
    {
        var evidence = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(irps: Tale.Held() with { CurrentLocation = 3 })).Evidence;

        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), evidence);
        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Facts.Should().Contain(f => f.Name.Contains("IRP on the thread's") && f.Holds == false);
    }

    [Fact]
    public void A_cancel_routine_set_after_the_cancellation_is_told()
    {
        var evidence = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(irps: Tale.Held(routine: "guilty.sys+0x1400"))).Evidence;

        Judge.Of(Tale.Run(Outcome.Ended), evidence).Findings.Should().ContainSingle().Which.Says.Should().Contain("guilty.sys+0x1400 was set after");
    }

    public static TheoryData<string, string> MissingFacts => new()
    {
        { "kill", "terminate succeeded" },
        { "process-state", "process still listed" },
        { "process-state", "process object not signalled" },
        { "victim's state", "process object not signalled" },
        { "kernel-memory", "a thread waits in kernel mode, not alertable" },
        { "kernel-memory", "an IRP on the thread's or the file object's list" },
        { "kernel-memory", "a function that waits for a cancelled IRP is on its stack" },
        { "victim's record", "a thread waits in kernel mode, not alertable" },
        { "stack", "a function that waits for a cancelled IRP is on its stack" },
    };

    [Theory]
    [MemberData(nameof(MissingFacts))]
    public void A_fact_without_evidence_makes_the_run_inconclusive_and_is_named(string removed, string fact)
    {
        var evidence = Tale.Zombie().Evidence;
        var less = removed switch
        {
            "kill" => evidence.Without<TerminateRequested>(),
            "process-state" => evidence.Without<ProcessStates>(),
            "victim's state" => evidence.With<ProcessStates>(o => o with { Processes = [] }),
            "kernel-memory" => evidence.Without<KernelMemorySeen>(),
            "victim's record" => evidence.With<KernelMemorySeen>(o => o with { Processes = [] }),
            _ => evidence.WithThread(t => t with { Stack = [] }),
        };

        foreach (var expected in Enum.GetValues<Outcome>())
        {
            var judgement = Judge.Of(Tale.Run(expected), less);
            judgement.Verdict.Should().Be(Verdict.Inconclusive);
            judgement.Because.Should().Contain(fact);
            judgement.Facts.Should().Contain(f => f.Name == fact && f.Holds == null && f.Source == null);
            judgement.Findings.Should().BeEmpty();
        }
    }

    public static TheoryData<string> Refutations => ["terminate failed", "user-mode wait", "alertable", "running", "no irp", "not cancelled", "other function", "no threads"];

    [Theory]
    [MemberData(nameof(Refutations))]
    public void A_fact_that_does_not_hold_leaves_the_process_unexplained(string change)
    {
        var evidence = Tale.Zombie().Evidence;
        var changed = change switch
        {
            "terminate failed" => evidence.With<TerminateRequested>(o => o with { Result = NtStatus.AccessDenied }),
            "user-mode wait" => evidence.WithThread(t => t with { WaitMode = ProcessorMode.UserMode }),
            "alertable" => evidence.WithThread(t => t with { Alertable = true }),
            "running" => evidence.WithThread(t => t with { State = ThreadState.Running }),
            "no irp" => evidence.WithThread(t => t with { Irps = [] }),
            "not cancelled" => evidence.WithThread(t => t with { Irps = [Tale.Held(cancel: false)] }),
            "other function" => evidence.WithThread(t => t with { Stack = [.. t.Stack.Where(f => !f.Name.Contains("IopCancelAlertedRequest"))] }),
            _ => evidence.With<KernelMemorySeen>(o => o with { Processes = [o.Processes[0] with { Threads = [] }] }),
        };

        foreach (var expected in Enum.GetValues<Outcome>())
        {
            var judgement = Judge.Of(Tale.Run(expected), changed);
            judgement.Verdict.Should().Be(Verdict.Inconclusive);
            judgement.Findings.Should().OnlyContain(f => f.Id == "unexplained");
        }
    }

    [Fact]
    public void What_could_not_be_read_is_missing_and_not_absent()
    {
        var unread = Tale.Zombie().Evidence.WithThread(t => t with { Irps = [] })
            .With<KernelMemorySeen>(o => o with { Processes = [o.Processes[0] with { Notes = ["the IRP list of thread 416 is not readable"] }] });
        var judgement = Judge.Of(Tale.Run(Outcome.Zombie), unread);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Because.Should().Contain("the IRP list of thread 416 is not readable");
        judgement.Facts.Should().Contain(f => f.Name == "an IRP on the thread's or the file object's list" && f.Holds == null);
        judgement.Findings.Should().BeEmpty("nothing is known to be unexplained");
    }

    [Fact]
    public void A_note_about_something_else_does_not_weaken_what_was_read()
    {
        var noted = Tale.Zombie().Evidence.With<KernelMemorySeen>(o => o with { Notes = ["module 7 has no name"] });

        Judge.Of(Tale.Run(Outcome.Zombie), noted).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void Collectors_that_disagree_prove_nothing()
    {
        var signalled = Tale.Zombie().Evidence.With<KernelMemorySeen>(o => o with { Processes = [o.Processes[0] with { Signalled = true }] });
        var unlisted = Tale.Zombie().Evidence.WithState(s => s with { Listed = false });
        var ended = Tale.Pending().Killed().Cancelled(null).Ended().Seen("settled", Tale.Stuck()).Evidence;

        foreach (var evidence in new[] { signalled, unlisted, ended })
        {
            var judgement = Judge.Of(Tale.Run(Outcome.Zombie), evidence);
            judgement.Verdict.Should().Be(Verdict.Inconclusive);
            judgement.Because.Should().Contain("contradicts itself");
        }
    }

    [Fact]
    public void The_verdict_does_not_hang_on_the_driver_s_name()
    {
        var renamed = EvidenceText.Replace(Tale.Zombie().Evidence, "guilty", "blameless");

        Judge.Of(Tale.Run(Outcome.Ended), renamed).Findings.Should().ContainSingle().Which.Driver.Should().Be("blameless.sys");
    }
}
