using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Verdicts;

/// <summary>Promises of the stories that are about more than the victim's end.</summary>
public sealed class StoryPromiseTests
{
    private const int OtherPid = 600;

    private static readonly Promise[] GivesUp = [new OutcomePromise("rundown", Outcome.Zombie), new OutcomePromise("settled", Outcome.Ended), new IrpDisassociatedPromise("request")];

    private static Tale InRundown() => Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(4)).Seen("rundown", Tale.Stuck(WaitReason.DelayExecution, Tale.RundownStack)).Later(TimeSpan.FromMinutes(1));

    [Fact]
    public void An_irp_that_the_story_expects_to_be_given_up_is_no_reason_to_fail()
    {
        var tale = InRundown().Add(new IrpDisassociated(Tale.Irp, "request", Tale.Device, "guilty.sys")).Ended().SeenGone("settled");

        var judgement = Judge.Of(Tale.Run(GivesUp), tale.Evidence);

        judgement.Verdict.Should().Be(Verdict.Pass);
        judgement.Findings.Select(f => f.Id).Should().BeEquivalentTo("zombie-in-rundown", "cancel-timeout");
        judgement.Findings.Should().OnlyContain(f => f.Expected);
    }

    [Fact]
    public void Another_irp_that_is_given_up_is_a_reason_to_fail()
    {
        var tale = InRundown().Add(new IrpDisassociated(Tale.Irp, "request", Tale.Device, "guilty.sys"))
            .Add(new IrpDisassociated(new(0xFFFF_8000_0010_9000), "other", @"\Device\Lower", "lower.sys")).Ended().SeenGone("settled");

        Judge.Of(Tale.Run(GivesUp), tale.Evidence).Findings.Should().ContainSingle(f => f.Id == "cancel-timeout" && !f.Expected).Which.Driver.Should().Be("lower.sys");
    }

    [Fact]
    public void Catches_a_driver_that_completes_what_should_have_been_given_up()
    {
        var judgement = Judge.Of(Tale.Run(GivesUp), InRundown().Completed(NtStatus.Success).Ended().SeenGone("settled").Evidence);

        judgement.Verdict.Should().Be(Verdict.Fail);
        judgement.Findings.Should().Contain(f => f.Id == "promise-broken-irp-disassociated" && f.Driver == "guilty.sys");
    }

    [Fact]
    public void Without_either_it_cannot_be_told() =>
        Judge.Of(Tale.Run(GivesUp), InRundown().Ended().SeenGone("settled").Evidence).Verdict.Should().Be(Verdict.Inconclusive);

    private static readonly Promise[] Serves = [new OutcomePromise("settled", Outcome.Zombie), new ProcessEndedPromise("other")];

    private static IReadOnlyList<Observation> With(ProcessState? other, params ThreadRecord[] threads)
    {
        var evidence = Tale.Zombie().Evidence;
        return other is null ? evidence : evidence
            .With<ProcessStates>(o => o with { Processes = [.. o.Processes, other] })
            .With<KernelMemorySeen>(o => o with { Processes = [.. o.Processes, new ProcessRecord(new(0xFFFF_8000_0070_0080), OtherPid, "other.exe", true, false, other.Signalled, NtStatus.Pending, threads)] });
    }

    private static ProcessState Other(bool signalled) => new("other", "other.exe", OtherPid, !signalled, signalled, NtStatus.Success, 0, []);

    [Fact]
    public void Another_client_that_came_to_its_end_was_served()
    {
        Judge.Of(Tale.Run(Serves), With(Other(signalled: true))).Verdict.Should().Be(Verdict.Pass);
        Judge.Of(Tale.Run(Serves), Tale.Pending().Add(new ProcessEnded("other", OtherPid, NtStatus.Success)).Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck()).Evidence)
            .Verdict.Should().Be(Verdict.Pass);
    }

    [Fact]
    public void Catches_a_driver_that_holds_another_client_too()
    {
        var judgement = Judge.Of(Tale.Run(Serves), With(Other(signalled: false), Tale.Stuck(stack: Tale.BlockedStack, irps: Tale.Held(cancel: false))));

        judgement.Verdict.Should().Be(Verdict.Fail);
        var finding = judgement.Findings.Should().ContainSingle(f => f.Id == "promise-broken-process-ended").Subject;
        finding.Driver.Should().Be("guilty.sys");
        finding.Says.Should().Contain("'other' (pid 600)").And.Contain("(Executive) KernelMode Non-Alertable");
    }

    [Fact]
    public void Of_another_client_that_nobody_looked_at_nothing_can_be_told() =>
        Judge.Of(Tale.Run(Serves), With(null)).Verdict.Should().Be(Verdict.Inconclusive);

    [Fact]
    public void A_request_that_may_be_over_by_itself_passes_when_it_is()
    {
        var over = Tale.Pending().Completed(NtStatus.Success).LaterMs(1).Killed().Ended().SeenGone("settled").Evidence;

        Judge.Of(Tale.Run([new OutcomePromise("settled", Outcome.Ended, OrNotPending: true)]), over)
            .Should().Match<Judgement>(judgement => judgement.Verdict == Verdict.Pass && judgement.Outcome == Outcome.NotPending && judgement.Because.Contains("by itself"));
        Judge.Of(Tale.Run(Outcome.Ended), over).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void A_create_that_the_driver_refuses_is_over_and_one_that_reached_no_driver_tells_nothing()
    {
        Tale Refused(bool sent)
        {
            var tale = new Tale().Add(new CallEntered("victim", Tale.VictimPid, Tale.VictimTid, "CreateFile(device)", "request"));
            if (sent) tale.Add(new IrpSent(Tale.Irp, "request", IrpMajor.Create, null, Tale.Device, "guilty.sys", 1, Tale.VictimTid)).Completed(NtStatus.ObjectNameNotFound);
            return tale.Add(new CallReturned("victim", Tale.VictimPid, Tale.VictimTid, "CreateFile", "request", NtStatus.ObjectNameNotFound, 0)).LaterMs(1).Ended().SeenGone("settled");
        }

        var run = Tale.Run([new OutcomePromise("settled", Outcome.Ended, OrNotPending: true)]);
        Judge.Of(run, Refused(sent: true).Evidence).Verdict.Should().Be(Verdict.Pass);
        Judge.Of(run, Refused(sent: false).Evidence).Verdict.Should().Be(Verdict.Inconclusive);
    }

    [Fact]
    public void A_request_that_may_be_over_by_itself_is_a_zombie_s_all_the_same_when_it_hangs() =>
        Judge.Of(Tale.Run([new OutcomePromise("settled", Outcome.Ended, OrNotPending: true)]), Tale.Zombie().Evidence).Verdict.Should().Be(Verdict.Fail);

    [Fact]
    public void A_finding_tells_of_the_other_threads_that_stay()
    {
        ThreadRecord At(int tid, params string[] stack) => Tale.Stuck(stack: stack) with { Tid = tid, Irps = [] };
        var tale = Tale.Pending().Killed().Cancelled(null).Later(TimeSpan.FromMinutes(10)).Seen("settled", Tale.Stuck(),
            At(500, "nt!KiSwapThread+0x21", "nt!KeWaitForSingleObject+0x3c", "nt!IopCloseFile+0x10", "nt!NtClose+0x8"),
            Tale.Stuck() with { Tid = 504 }, Tale.Stuck() with { Tid = 508 },
            Tale.Stuck() with { Tid = 512, WaitMode = ProcessorMode.UserMode });

        Judge.Of(Tale.Run(Outcome.Zombie), tale.Evidence).Findings.Should().ContainSingle().Which.Says
            .Should().Contain("Its thread 500 waits too, in nt!IopCloseFile for File").And.Contain("2 more threads of it wait in nt!IopCancelAlertedRequest.").And.NotContain("512");
    }
}
