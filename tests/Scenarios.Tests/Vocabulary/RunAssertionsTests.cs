using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Vocabulary;

public sealed class RunAssertionsTests
{
    [Fact]
    public void A_zombie_is_described_from_the_evidence() => Rehearsal.Of(new HangIrp(), target: ScriptedTarget.Victim(Outcome.Zombie))
        .Should().Pass().WithFinding("zombie-no-cancel-routine", "myfault.sys")
        .LeaveZombie("victim").WaitingIn("nt!IopCancelAlertedRequest").Because(WaitReason.Executive).HeldBy("MyFault.sys");

    [Fact]
    public void A_process_that_ended_is_described_too() => Rehearsal.Of(new PendThenTerminate(), target: ScriptedTarget.Victim(Outcome.Ended, TimeSpan.FromMilliseconds(50)))
        .Should().Pass().WithoutFindings().EndWithin(TimeSpan.FromMilliseconds(50)).EndNotBefore(TimeSpan.FromMilliseconds(50));

    [Theory]
    [InlineData("pass", "verdict pass", "fail")]
    [InlineData("inconclusive", "verdict inconclusive", "fail")]
    [InlineData("ended", "to have ended", "zombie")]
    [InlineData("finding", "the finding promise-broken-outcome", "zombie-no-cancel-routine of other.sys")]
    [InlineData("no finding", "no finding", "zombie-no-cancel-routine")]
    [InlineData("bug check", "bug check 0x44", "no bug check")]
    [InlineData("another process", "'controller' to be a zombie", "zombie")]
    [InlineData("another function", "wait in nt!IoCancelThreadIo", "nt!KeWaitForSingleObject+0x20 <- nt!IopCancelAlertedRequest+0x6d")]
    [InlineData("another reason", "wait (DelayExecution) KernelMode Non-Alertable", "(Executive) KernelMode Non-Alertable")]
    [InlineData("another driver", "held by third.sys", "held by other.sys")]
    public void What_does_not_hold_fails_and_tells_what_was_found_the_story_and_the_replay(string claim, string expected, string found)
    {
        var run = Rehearsal.Of(new HangIrp(), Rehearsal.Other, target: ScriptedTarget.Victim(Outcome.Zombie));
        Action claiming = claim switch
        {
            "pass" => () => run.Should().Pass(),
            "inconclusive" => () => run.Should().BeInconclusive("x"),
            "ended" => () => run.Should().EndWithin(TimeSpan.FromDays(1)),
            "finding" => () => run.Should().WithFinding("promise-broken-outcome"),
            "no finding" => () => run.Should().WithoutFindings(),
            "bug check" => () => run.Should().BugCheck(0x44),
            "another process" => () => run.Should().LeaveZombie("controller"),
            "another function" => () => run.Should().LeaveZombie("victim").WaitingIn("nt!IoCancelThreadIo"),
            "another reason" => () => run.Should().LeaveZombie("victim").Because(WaitReason.DelayExecution),
            "another driver" => () => run.Should().LeaveZombie("victim").HeldBy("third.sys"),
            _ => throw new ArgumentOutOfRangeException(nameof(claim), claim, "no such claim"),
        };

        claiming.Should().Throw<Exception>().Which.Message.Should().MatchEquivalentOf($"Expected *{expected}*but found*{found}*")
            .And.Contain("IopCancelAlertedRequest", "the story is told").And.Contain("driverfault run hang-irp", "it can be run again");
    }
}
