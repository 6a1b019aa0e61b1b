using System.Globalization;
using Core.Tests;
using Core.Tests.Traces;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Xunit;
using static Tracing.Tests.Zombies.KernelStory;

namespace Tracing.Tests.Zombies;

/// <summary>Damaged traces through the analysis: it answers, and where damage was seen it is certain of nothing.</summary>
public sealed class AnalysisFuzzTests
{
    // A long run: this many files. CONTRIBUTING.md has the command.
    private const string MoreCases = "DRIVERFAULT_ANALYSIS_CASES";

    [Fact]
    public void Every_damaged_trace_is_answered()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreCases) ?? "400", CultureInfo.InvariantCulture);
        var chance = new Chance(0xD1B54A32D192ED03);
        var names = new KernelStory();
        IReadOnlyList<byte[]> files = [.. Damage.Traces(), Hang(new KernelStory()), Hang(new KernelStory { CachesStacks = true, LongSwitches = true }), Poll()];
        var (answered, doubtful) = (0, 0);
        for (var number = 0; number < count; number++)
        {
            var (damaged, heal) = Damage.Wound(files[chance.Below(files.Count)], chance);
            try
            {
                var diagnosis = KernelStory.Of(damaged, names, stop: TestContext.Current.CancellationToken);
                answered += diagnosis.Fates.Count;
                if (diagnosis.Gaps.Count == 0) continue;
                doubtful++;
                if (diagnosis.Verdict != "unclear" || diagnosis.Fates.Any(fate => fate.Answer != Answer.CannotTell)) Assert.Fail($"case {number}: {diagnosis.Gaps[0]}, and yet it answers {diagnosis.Verdict}");
            }
            catch (UnusableTraceException)
            {
                // The reader's own tests tell when.
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"case {number} escaped: {e.Message}", e);
            }
            finally
            {
                heal();
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{count} files: {answered} processes, {doubtful} with gaps");
        (answered, doubtful).Should().Match<(int, int)>(seen => seen.Item1 > count / 4 && seen.Item2 > count / 8);
    }

    private static byte[] Hang(KernelStory story) => story.Begin().Hangs().Releases().Ends().Lists(Controller).Bytes();

    private static byte[] Poll()
    {
        var story = new KernelStory().Begin().Requests().Kills();
        for (var i = 0; i < 20; i++) story.WaitsFor(100, WaitReason.DelayExecution, Polled);
        return story.Lists(Victim, Controller).Bytes();
    }
}
