using Core.Tests.Verdicts;
using FluentAssertions;
using Harness.Core.Nightly;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Nightly;

/// <summary>Each kind of difference, and that its twin without one is quiet.</summary>
public sealed class ComparisonTests
{
    private static readonly NightRow Usual = Nights.Row("hang-irp") with { Time = TimeSpan.FromMilliseconds(50), Findings = [new NightFinding("zombie-in-rundown", "guilty.sys", true)] };

    [Fact]
    public void The_same_is_no_difference() => Differences(Usual, Usual).Should().BeEmpty();

    [Theory]
    [InlineData(50, 100, null)]
    [InlineData(50, 101, DifferenceKind.Slower)]
    [InlineData(101, 50, DifferenceKind.Faster)]
    [InlineData(0, 31, null)]
    [InlineData(0, 32, DifferenceKind.Slower)]
    [InlineData(32, 0, DifferenceKind.Faster)]
    public void Slower_is_more_than_the_factor_and_a_tick_is_the_least(int then, int now, DifferenceKind? kind) =>
        Differences(Usual with { Time = TimeSpan.FromMilliseconds(then) }, Usual with { Time = TimeSpan.FromMilliseconds(now) }).Should().Equal(kind is null ? [] : [kind.Value]);

    [Fact]
    public void The_longest_time_of_all_is_compared_too() =>
        Differences(Usual with { Time = TimeSpan.MaxValue }, Usual).Should().Equal(DifferenceKind.Faster);

    [Fact]
    public void Times_of_different_outcomes_are_not_compared() =>
        Differences(Usual with { Outcome = Outcome.Ended }, Usual with { Outcome = Outcome.Zombie, Time = TimeSpan.FromMinutes(5) }).Should().Equal(DifferenceKind.Outcome);

    [Theory]
    [InlineData(Verdict.Pass, Verdict.Fail, DifferenceKind.Verdict)]
    [InlineData(Verdict.Fail, Verdict.Pass, DifferenceKind.Verdict)]
    [InlineData(Verdict.Pass, Verdict.Inconclusive, DifferenceKind.Inconclusive)]
    [InlineData(Verdict.Fail, Verdict.Inconclusive, DifferenceKind.Inconclusive)]
    [InlineData(Verdict.Inconclusive, Verdict.Inconclusive, null)]
    [InlineData(Verdict.Inconclusive, Verdict.Pass, DifferenceKind.NowJudged)]
    [InlineData(Verdict.Inconclusive, Verdict.Fail, DifferenceKind.Verdict)]
    [InlineData(Verdict.Pass, Verdict.Error, DifferenceKind.Crashed)]
    [InlineData(Verdict.Inconclusive, Verdict.Error, DifferenceKind.Crashed)]
    public void Another_verdict_is_told(Verdict then, Verdict now, DifferenceKind? kind) =>
        Differences(Usual with { Verdict = then }, Usual with { Verdict = now }).Should().Equal(kind is null ? [] : [kind.Value]);

    [Fact]
    public void A_finding_is_its_ID_and_its_driver()
    {
        var other = Usual with { Findings = [new NightFinding("zombie-in-rundown", "lower.sys", true)] };

        Differences(Usual, other).Should().Equal(DifferenceKind.NewFinding, DifferenceKind.LostFinding);
        Differences(Usual, Usual with { Findings = [] }).Should().Equal(DifferenceKind.LostFinding);
        Differences(Usual with { Findings = [] }, Usual).Should().Equal(DifferenceKind.NewFinding);
    }

    [Fact]
    public void Of_a_run_that_cannot_be_judged_no_finding_is_lost_but_one_can_be_new()
    {
        var unsure = Usual with { Verdict = Verdict.Inconclusive };

        Differences(Usual, unsure with { Findings = [] }).Should().Equal(DifferenceKind.Inconclusive);
        Differences(unsure with { Findings = [] }, unsure).Should().Equal(DifferenceKind.NewFinding);
    }

    [Fact]
    public void Another_driver_file_alone_is_a_note() =>
        Comparison.Of(new Baseline([Usual]), [Nights.Run(Usual with { Sha256 = new string('b', 64) })], 2).Should().ContainSingle().Which.Should().Match<Difference>(d => d.Kind == DifferenceKind.OtherDriver && !d.IsRegression);

    [Fact]
    public void A_run_that_the_baseline_has_not_must_pass()
    {
        IEnumerable<DifferenceKind> New(Verdict verdict) => Comparison.Of(new Baseline([]), [Nights.Run(Usual with { Verdict = verdict })], 2).Select(d => d.Kind);

        New(Verdict.Pass).Should().Equal(DifferenceKind.NewRow);
        New(Verdict.Fail).Should().Equal(DifferenceKind.Verdict, DifferenceKind.NewRow);
        New(Verdict.Inconclusive).Should().Equal(DifferenceKind.Inconclusive, DifferenceKind.NewRow);
        New(Verdict.Error).Should().Equal(DifferenceKind.Crashed, DifferenceKind.NewRow);
    }

    [Fact]
    public void Regressions_come_first_and_without_a_baseline_only_a_crash_is_one()
    {
        var found = Usual with { Findings = [.. Usual.Findings, new NightFinding("use-after-free", "guilty.sys", false)], Sha256 = new string('b', 64) };

        Differences(Usual, found).Should().Equal(DifferenceKind.NewFinding, DifferenceKind.OtherDriver);
        Comparison.Of(null, [Nights.Run(found), Nights.Run(Usual with { Verdict = Verdict.Error })], 2).Select(d => d.Kind).Should().Equal(DifferenceKind.Crashed);
    }

    [Fact]
    public void A_row_has_the_time_at_which_the_victim_had_ended_or_else_the_time_of_its_kill()
    {
        NightRow Of(Tale tale, Outcome expected)
        {
            var run = Tale.Run(expected);
            return NightRow.Of(Usual.Key, run, tale.Evidence, Judge.Of(run, tale.Evidence));
        }

        var zombie = Of(Tale.Zombie(), Outcome.Zombie);
        zombie.Should().BeEquivalentTo(new { Verdict = Verdict.Pass, Outcome = Outcome.Zombie, Time = TimeSpan.FromMilliseconds(1) });
        zombie.FindingsText.Should().Be("+zombie-no-cancel-routine");
        Of(Tale.Zombie(), Outcome.Ended).FindingsText.Should().Be("!zombie-no-cancel-routine");
        Of(Tale.Sound(), Outcome.Ended).Should().BeEquivalentTo(new { Verdict = Verdict.Pass, Outcome = Outcome.Ended });
        Of(Tale.Pending(), Outcome.Ended).Time.Should().BeNull();
    }

    private static IEnumerable<DifferenceKind> Differences(NightRow then, NightRow now) => Comparison.Of(new Baseline([then]), [Nights.Run(now)], 2).Select(d => d.Kind);
}
