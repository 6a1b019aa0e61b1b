using System.Buffers.Binary;
using System.Xml.Linq;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Nightly;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary>
/// A night, and what is told of the next. The differences are planted in a driver: late-dpc completes its request by a timer, and the time is in its
/// machine code.
/// </summary>
public sealed class NightlyCommandTests : IDisposable
{
    private static readonly TimeSpan Usual = TimeSpan.FromMilliseconds(50);

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Baseline => _scratch["nightly-baseline.json"];

    [Fact]
    public void The_first_night_becomes_the_baseline_and_says_so()
    {
        var night = OfLateDpc(Usual);

        night.Code.Should().Be(ExitCode.Pass);
        night.Out.Should().Contain($"There was no baseline: this night is it now, {Baseline}. Commit it.");
        File.Exists(Baseline).Should().BeTrue();
        Summary.Should().StartWith("# driverfault nightly: a first night, kept as the baseline\n");
    }

    [Fact]
    public void An_unchanged_night_is_green()
    {
        OfLateDpc(Usual);
        var before = File.ReadAllText(Baseline);

        var night = OfLateDpc(Usual);

        night.Code.Should().Be(ExitCode.Pass, night.Out);
        night.Lines[^1].Should().Be("no regression");
        Cases().Should().OnlyContain(c => !c.Elements("failure").Any() && !c.Elements("error").Any());
        Summary.Should().StartWith("# driverfault nightly: no regression\n").And.NotContain("## Regressions").And.NotContain("## Notes");
        File.ReadAllText(Baseline).Should().Be(before);
    }

    [Fact]
    public void A_driver_that_lets_its_client_stay_a_minute_is_a_new_finding()
    {
        OfLateDpc(Usual);

        var night = OfLateDpc(TimeSpan.FromMinutes(1));

        night.Code.Should().Be(ExitCode.Fail);
        night.Out.Should().Contain("! new finding        hang-irp with late-dpc.sys on emulated: ended-late of late-dpc.sys:").And.Contain("! other verdict").And.Contain("! slower").And.Contain("  other driver file");
        Failure("hang-irp control 0x222000").Attribute("type")!.Value.Should().Be("new finding");
        Failure("hang-irp control 0x222000").Value.Should().Contain("ended-late").And.Contain("Replay: driverfault run hang-irp");
        Summary.Should().Contain("| **new finding** | hang-irp | late-dpc.sys | emulated |");
    }

    [Fact]
    public void A_defect_that_is_no_longer_caught_is_a_lost_finding()
    {
        OfLateDpc(TimeSpan.FromMinutes(1));

        var night = OfLateDpc(Usual);

        night.Code.Should().Be(ExitCode.Fail);
        night.Out.Should().Contain("! lost finding       hang-irp with late-dpc.sys on emulated: ended-late of late-dpc.sys is not found any more.");
        Failure("hang-irp control 0x222000").Attribute("type")!.Value.Should().Be("lost finding");
        Summary.Should().Contain("**lost finding**");
    }

    [Fact]
    public void A_driver_that_takes_three_times_as_long_is_slower_and_nothing_else()
    {
        OfLateDpc(Usual);

        var night = OfLateDpc(3 * Usual);

        night.Code.Should().Be(ExitCode.Fail);
        night.Out.Should().Contain("! slower             hang-irp with late-dpc.sys on emulated: 50 ms then, 150 ms now, on the run's clock.");
        night.Lines.Where(line => line.StartsWith('!')).Should().OnlyContain(line => line.StartsWith("! slower", StringComparison.Ordinal));
        Failure("hang-irp control 0x222000").Attribute("type")!.Value.Should().Be("slower");
        OfLateDpc(3 * Usual, "--slower", "3.5").Code.Should().Be(ExitCode.Pass, "the factor is the user's to choose");
    }

    [Fact]
    public void A_crashed_harness_is_an_error_of_that_run_and_the_others_go_on()
    {
        Of(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "close-while-hung");
        var before = File.ReadAllText(Baseline);
        var sound = ScriptedTarget.Victim(Outcome.Zombie);
        var crashing = new ScriptedTarget((story, driver, evidence) =>
        {
            if (sound.Played.Count == 0) sound.Play(story, driver, new Conditions(1, 1), evidence);
            else throw new InvalidOperationException("the emulator went wrong");
        });

        var night = Of(crashing, "hang-irp", "close-while-hung", "--update-baseline");

        night.Code.Should().Be(ExitCode.HarnessFailure);
        night.Out.Should().Contain("! crashed            close-while-hung with myfault.sys on emulated: The harness itself failed: InvalidOperationException: the emulator went wrong");
        night.Out.Should().Contain("pass          hang-irp ");
        var crashed = Cases().Single(c => c.Attribute("name")!.Value.StartsWith("close-while-hung", StringComparison.Ordinal)).Element("error")!;
        crashed.Attribute("type")!.Value.Should().Be("crashed");
        File.ReadAllText(Baseline).Should().Be(before, "a night whose harness failed never becomes the baseline");
    }

    [Fact]
    public void A_first_night_that_crashes_leaves_no_baseline()
    {
        var night = Of(new ScriptedTarget((_, _, _) => throw new InvalidOperationException("x")), "hang-irp");

        night.Code.Should().Be(ExitCode.HarnessFailure);
        night.Lines[^1].Should().Be("1 regression");
        File.Exists(Baseline).Should().BeFalse();
    }

    [Fact]
    public void While_it_runs_the_reports_say_that_it_did_not_finish()
    {
        string? summary = null, junit = null;
        var looking = new ScriptedTarget((_, _, _) =>
        {
            summary ??= Summary;
            junit ??= File.ReadAllText(_scratch["results", "nightly", "junit.xml"]);
        });

        Of(looking, "hang-irp", "terminate-twice");

        summary.Should().StartWith("# driverfault nightly: did not finish\n");
        XDocument.Parse(junit!).Descendants("error").Should().HaveCount(2, "whatever was not run is not green");
        Summary.Should().NotContain("did not finish");
    }

    [Fact]
    public void What_could_be_judged_and_cannot_be_is_newly_inconclusive()
    {
        Of(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp");

        var night = Of(new ScriptedTarget((_, _, _) => { }), "hang-irp");

        night.Code.Should().Be(ExitCode.Fail);
        night.Lines.Where(line => line.StartsWith('!')).Should().ContainSingle().Which.Should().StartWith("! newly inconclusive hang-irp");
    }

    [Fact]
    public void A_run_that_is_gone_is_a_regression_and_a_new_one_is_told()
    {
        Of(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "terminate-twice");

        var night = Of(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "close-while-hung");

        night.Code.Should().Be(ExitCode.Fail);
        night.Out.Should().Contain("! missing run        terminate-twice with myfault.sys on emulated").And.Contain("  new run            close-while-hung");
        Failure("terminate-twice control 0x222008").Attribute("type")!.Value.Should().Be("missing run");
        Of(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "terminate-twice", "close-while-hung").Code.Should().Be(ExitCode.Pass, "more than the baseline has is not less");
    }

    [Fact]
    public void The_baseline_changes_only_when_told_to()
    {
        OfLateDpc(Usual);
        OfLateDpc(3 * Usual).Code.Should().Be(ExitCode.Fail);

        var accepted = OfLateDpc(3 * Usual, "--update-baseline");

        accepted.Code.Should().Be(ExitCode.Pass);
        accepted.Out.Should().Contain("This night is the baseline now");
        Summary.Should().Contain("## Accepted: this night is the baseline now").And.Contain("**slower**");
        OfLateDpc(3 * Usual).Code.Should().Be(ExitCode.Pass);
        OfLateDpc(Usual).Out.Should().Contain("  faster").And.EndWith("no regression\n");
    }

    [Fact]
    public void Several_builds_of_a_driver_are_rows_of_their_own()
    {
        string[] builds = [.. Rehearsal.Variants.Select(variant => Path.Combine("builds", variant, "late-dpc.sys"))];
        foreach (var build in builds)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_scratch[build])!);
            File.Copy(Repository.File("tests", "drivers", "bin", build.Split(Path.DirectorySeparatorChar)[1], "late-dpc.sys"), _scratch[build]);
        }

        var night = Of(new EmulatedTarget(), ["hang-irp", .. builds.SelectMany(build => new[] { "--driver", _scratch[build] }), "--device", "LateDpc", "--ioctl", "0x222000"]);

        night.Code.Should().Be(ExitCode.Pass, night.Error);
        Harness.Core.Nightly.Baseline.Read(Baseline)!.Rows.Select(row => row.Key.Driver).Should().Equal("builds/clang-O2/late-dpc.sys", "builds/gcc-O0/late-dpc.sys", "builds/gcc-O2/late-dpc.sys");
        Cases().Select(c => (c.Attribute("classname")!.Value, c.Attribute("name")!.Value)).Should().OnlyHaveUniqueItems();
    }

    [Fact]
    public void A_build_that_is_named_twice_is_run_once()
    {
        File.Copy(Repository.File("tests", "drivers", "bin", "gcc-O2", "late-dpc.sys"), _scratch["late-dpc.sys"]);
        var twice = Of(new EmulatedTarget(), "hang-irp", "--driver", _scratch["late-dpc.sys"], "--driver", Path.Combine(_scratch.Folder, ".", "late-dpc.sys"), "--device", "LateDpc", "--ioctl", "0x222000");

        twice.Code.Should().Be(ExitCode.Pass, twice.Error);
        Harness.Core.Nightly.Baseline.Read(Baseline)!.Rows.Should().ContainSingle();
    }

    [Fact]
    public void The_name_of_a_driver_s_file_tells_a_terminal_nothing_else()
    {
        var driver = _scratch["late\u202Edpc.sys"];
        File.Copy(Repository.File("tests", "drivers", "bin", "gcc-O2", "late-dpc.sys"), driver);
        string[] rest = ["--driver", driver, "--device", "LateDpc", "--ioctl", "0x222000"];

        var night = Of(new EmulatedTarget(), ["hang-irp", .. rest]);
        var run = CommandRun.Of(["run", "hang-irp", "--results", _scratch["results"], .. rest]);
        var refused = CommandRun.Of("diagnose", driver + "x");

        (night.Code, run.Code, refused.Code).Should().Be((ExitCode.Pass, ExitCode.Pass, ExitCode.Unusable));
        foreach (var told in (string[])[night.Out, run.Out, refused.Error]) told.Should().Contain("late\\u202edpc.sys").And.NotContain("\u202E");
    }

    [Fact]
    public void A_baseline_that_cannot_be_kept_leaves_no_page_that_says_so()
    {
        var target = ScriptedTarget.Victim(Outcome.Zombie);
        Directory.CreateDirectory(Baseline + ".unfinished");

        var night = Of(target, "hang-irp");

        night.Code.Should().Be(ExitCode.HarnessFailure);
        Summary.Should().StartWith("# driverfault nightly: did not finish\n");
    }

    [Fact]
    public void Without_a_name_the_baseline_is_in_the_repository_s_root()
    {
        var night = CommandRun.In(_scratch.Folder, ScriptedTarget.Victim(Outcome.Zombie), "nightly", "hang-irp");

        night.Code.Should().Be(ExitCode.Pass);
        File.Exists(Baseline).Should().BeTrue();
        Directory.Exists(_scratch["results", "nightly", "2026-11-22T084312"]).Should().BeTrue();
    }

    [Fact]
    public void The_committed_baseline_is_what_the_committed_driver_comes_to()
    {
        File.Copy(Repository.File(Harness.Core.Nightly.Baseline.FileName), Baseline);

        var night = CommandRun.In(_scratch.Folder, new EmulatedTarget(), "nightly", "--update-baseline");

        night.Out.Should().NotContain("! ").And.Contain("orphan-then-complete");
        File.ReadAllBytes(Baseline).Should().Equal(File.ReadAllBytes(Repository.File(Harness.Core.Nightly.Baseline.FileName)), "otherwise './driverfault nightly' tells the differences, and --update-baseline accepts them");
    }

    [Theory]
    [InlineData("--slower: '1' is not a factor", "--slower", "1")]
    [InlineData("--slower: 'twice' is not a factor", "--slower", "twice")]
    [InlineData("--baseline: '' is not a file's name", "--baseline", "")]
    [InlineData("--baseline: there is no folder ", "--baseline", "nowhere/baseline.json")]
    [InlineData("there is no scenario 'hang-irpp'; did you mean 'hang-irp'?", "hang-irpp")]
    [InlineData("there is no option '--baselin'; did you mean '--baseline'?", "--baselin")]
    [InlineData("--target: 'hyperv' is not available here", "--target", "hyperv")]
    [InlineData("--driver: there is no file nowhere.sys", "--driver", "nowhere.sys")]
    public void What_cannot_be_used_is_one_line_and_nothing_is_begun(string says, params string[] args)
    {
        var night = CommandRun.In(_scratch.Folder, ScriptedTarget.Victim(Outcome.Zombie), ["nightly", .. args]);

        night.Code.Should().Be(ExitCode.Unusable);
        night.Error.Should().StartWith("driverfault: ").And.Contain(says);
        Directory.EnumerateFileSystemEntries(_scratch.Folder).Should().BeEmpty();
    }

    [Theory]
    [InlineData("{", "it is not a baseline")]
    [InlineData("{\"rows\":[{\"key\":null}]}", "it is not a baseline ($.rows[0].key)")]
    public void A_file_that_is_no_baseline_is_refused_and_kept(string content, string says)
    {
        File.WriteAllText(Baseline, content);

        var night = Of(ScriptedTarget.Victim(Outcome.Zombie), "hang-irp", "--update-baseline");

        night.Code.Should().Be(ExitCode.Unusable);
        night.Error.Should().Contain(says);
        File.ReadAllText(Baseline).Should().Be(content);
    }

    private string Summary => File.ReadAllText(_scratch["results", "nightly", "summary.md"]);

    private List<XElement> Cases() => [.. XDocument.Load(_scratch["results", "nightly", "junit.xml"]).Descendants("testcase")];

    private XElement Failure(string name) => Cases().Single(c => c.Attribute("name")!.Value == name).Element("failure")!;

    private CommandRun Of(ITarget target, params string[] args) => CommandRun.On(target, ["nightly", "--baseline", Baseline, "--results", _scratch["results"], .. args]);

    // late-dpc.sys as gcc made it, with another time in its code: the due time of its timer, in units of 100 ns, negative for "from now on".
    private CommandRun OfLateDpc(TimeSpan completesAfter, params string[] more)
    {
        var image = File.ReadAllBytes(Repository.File("tests", "drivers", "bin", "gcc-O2", "late-dpc.sys"));
        Span<byte> usual = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(usual, -(int)Usual.Ticks);
        var at = image.AsSpan().IndexOf(usual);
        at.Should().BePositive();
        image.AsSpan(at + 4).IndexOf(usual).Should().Be(-1, "otherwise another number would be changed too");
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(at), -checked((int)completesAfter.Ticks));
        return Of(new EmulatedTarget(), ["hang-irp", "terminate-twice", "--driver", _scratch.File("late-dpc.sys", image), "--device", "LateDpc", "--ioctl", "0x222000", .. more]);
    }
}
