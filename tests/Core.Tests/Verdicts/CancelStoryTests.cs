using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Verdicts;

/// <summary>Stories in which nobody is killed: the victim cancels its own request and leaves.</summary>
public sealed class CancelStoryTests
{
    private static readonly RunDescription Run = Tale.Run(
        [new OutcomePromise("settled", Outcome.Ended), new RequestStatusPromise("request", NtStatus.Cancelled), new CancelRoutineRanPromise("request")], kills: false);

    private static Tale Asked(string? routine) => Tale.Pending()
        .Add(new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "DeviceIoControl(h, 0x222008)", "request", NtStatus.Pending, 0))
        .Add(new CallEntered("victim", Tale.VictimPid, Tale.VictimTid, "CancelIoEx(h)", "request"))
        .Add(new CancelRequested(Tale.Irp, "request", routine, "nt!NtCancelIoFileEx+0x40"));

    private static Tale Returned(Tale tale) => tale.Add(new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "CancelIoEx(h)", "request", NtStatus.Success, 0));

    private static ThreadRecord Waits => Tale.Stuck(WaitReason.UserRequest, ["nt!KeWaitForSingleObject+0x3c", "nt!NtWaitForSingleObject+0x10"], Tale.Held()) with { WaitMode = ProcessorMode.UserMode };

    [Fact]
    public void Passes_a_driver_whose_cancel_routine_completes_the_request()
    {
        var sound = Returned(Asked("guilty.sys+0x1400").Completed(NtStatus.Cancelled)).LaterMs(1).Ended().SeenGone("settled");

        var judgement = Judge.Of(Run, sound.Evidence);
        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.Outcome.Should().Be(Outcome.Ended);
        judgement.After.Should().BeNull("nobody terminated it");
    }

    [Fact]
    public void The_victim_s_own_exit_is_not_mistaken_for_a_kill()
    {
        var sound = Returned(Asked("guilty.sys+0x1400").Completed(NtStatus.Cancelled)).LaterMs(1).Killed().Ended().SeenGone("settled");

        Judge.Of(Run, sound.Evidence).Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void Catches_a_driver_that_never_completes_the_cancelled_request()
    {
        foreach (var (routine, word) in new[] { ((string?)null, "it has no cancel routine"), ("guilty.sys+0x1400", "did not complete it") })
        {
            var judgement = Judge.Of(Run, Returned(Asked(routine)).Later(TimeSpan.FromMinutes(1)).Seen("settled", Waits).Evidence);

            judgement.Verdict.Should().Be(Verdict.Fail);
            judgement.Outcome.Should().BeNull("the process lives: it is no zombie");
            judgement.Findings[0].Id.Should().Be("request-not-completed-after-cancel");
            judgement.Findings[0].Driver.Should().Be("guilty.sys");
            judgement.Findings[0].Says.Should().Contain(word).And.Contain("60 s");
        }
    }

    [Fact]
    public void A_request_that_was_given_no_time_proves_nothing()
    {
        var judgement = Judge.Of(Tale.Run(Outcome.Ended, kills: false), Returned(Asked(null)).LaterMs(999).Seen("settled", Waits).Evidence);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Findings.Should().BeEmpty();
        judgement.Because.Should().Contain("it has no cancel routine").And.Contain("too soon to tell").And.EndWith("it needs 1 s.");
    }

    [Fact]
    public void Without_kernel_memory_a_victim_that_stays_proves_nothing()
    {
        var evidence = Returned(Asked("guilty.sys+0x1400")).LaterMs(1).Seen("settled", Waits).Evidence;

        Judge.Of(Run, evidence.Without<KernelMemorySeen>()).Verdict.Should().Be(Verdict.Inconclusive);
        Judge.Of(Run, evidence.Without<ProcessStates>()).Verdict.Should().Be(Verdict.Inconclusive);
        Judge.Of(Run, evidence.Without<CancelRequested>()).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void A_victim_that_stays_although_its_request_is_gone_is_unexplained()
    {
        var evidence = Returned(Asked("guilty.sys+0x1400").Completed(NtStatus.Cancelled)).Seen("settled", Waits with { Irps = [] }).Evidence;
        var judgement = Judge.Of(Run, evidence);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Findings.Should().ContainSingle().Which.Id.Should().Be("unexplained");
    }

    [Fact]
    public void A_request_that_was_over_before_its_cancellation_leaves_nothing_to_judge()
    {
        var early = Tale.Pending().Completed(NtStatus.Success).Add(new CallEntered("victim", Tale.VictimPid, Tale.VictimTid, "CancelIoEx(h)", "request"))
            .Add(new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "CancelIoEx(h)", "request", NtStatus.NotFound, 0)).Ended().SeenGone("settled");
        var judgement = Judge.Of(Run, early.Evidence);

        judgement.Verdict.Should().Be(Verdict.Inconclusive);
        judgement.Outcome.Should().Be(Outcome.NotPending);
    }
}
