using System.Text.Json;
using Core.Tests.Evidence;
using Core.Tests.Verdicts;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Verdicts;
using Xunit;

namespace Core.Tests.Reports;

public sealed class RunFolderTests : IDisposable
{
    private static readonly DateTimeOffset Now = new(2026, 11, 22, 8, 43, 12, TimeSpan.FromHours(1));
    private readonly string _results = Directory.CreateTempSubdirectory("run-folder-tests-").FullName;

    public void Dispose() => Directory.Delete(_results, recursive: true);

    private RunFolder Written(RunDescription run, IReadOnlyList<Observation> evidence)
    {
        var folder = RunFolder.Create(_results, Now, run);
        folder.Write(evidence, Judge.Of(run, evidence));
        return folder;
    }

    [Fact]
    public void A_run_folder_is_named_by_time_scenario_and_target_and_never_used_twice()
    {
        var names = Enumerable.Range(0, 3).Select(_ => Path.GetFileName(RunFolder.Create(_results, Now, Tale.Run(Outcome.Zombie)).Path));

        names.Should().Equal("2026-11-22T084312-hang-irp-emulated", "2026-11-22T084312-hang-irp-emulated-2", "2026-11-22T084312-hang-irp-emulated-3");
    }

    [Fact]
    public void A_scenario_s_name_cannot_leave_the_results_folder()
    {
        var folder = RunFolder.Create(_results, Now, Tale.Run(Outcome.Zombie) with { Scenario = "../../x y" });

        Path.GetDirectoryName(folder.FullPath).Should().Be(_results);
    }

    [Fact]
    public void The_folder_alone_reproduces_the_verdict()
    {
        foreach (var (expected, tale) in new[] { (Outcome.Zombie, Tale.Zombie()), (Outcome.Ended, Tale.Zombie()), (Outcome.Ended, Tale.Sound()), (Outcome.Ended, Tale.Pending()) })
        {
            var run = Tale.Run(expected);
            var written = Written(run, tale.Evidence);
            var before = Directory.GetFiles(written.Path).ToDictionary(f => f, File.ReadAllBytes);

            var opened = RunFolder.Open(written.Path);
            opened.Evidence.Should().BeEquivalentTo(tale.Evidence, o => o.RespectingRuntimeTypes().WithStrictOrdering());
            opened.WriteVerdict(Judge.Of(opened.Run, opened.Evidence));

            Directory.GetFiles(written.Path).Select(Path.GetFileName).Should().BeEquivalentTo("run.json", "evidence.jsonl", "verdict.json", "junit.xml", "report.html");
            foreach (var (file, bytes) in before) File.ReadAllBytes(file).Should().Equal(bytes, Path.GetFileName(file));
        }
    }

    [Fact]
    public void The_description_of_a_run_comes_back_whole()
    {
        var run = (RunDescription)Specimen.Of(typeof(RunDescription));
        var opened = RunFolder.Open(Written(run, []).Path);

        opened.Run.Should().BeEquivalentTo(run, o => o.RespectingRuntimeTypes().WithStrictOrdering());
    }

    [Fact]
    public void The_verdict_file_speaks_camelCase_and_NT()
    {
        var folder = Written(Tale.Run(Outcome.Ended), Tale.Zombie().Evidence);
        using var verdict = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder.Path, "verdict.json")));

        verdict.RootElement.GetProperty("verdict").GetString().Should().Be("fail");
        verdict.RootElement.GetProperty("outcome").GetString().Should().Be("zombie");
        verdict.RootElement.GetProperty("findings")[0].GetProperty("id").GetString().Should().Be("zombie-no-cancel-routine");
        verdict.RootElement.GetProperty("facts")[0].GetProperty("source").GetString().Should().Be("emulator #9");
    }

    [Fact]
    public void Before_its_evidence_is_written_a_folder_cannot_be_judged()
    {
        var folder = RunFolder.Create(_results, Now, Tale.Run(Outcome.Zombie));
        var opening = () => RunFolder.Open(folder.Path);

        opening.Should().Throw<UnusableRunFolderException>().WithMessage("*no evidence.jsonl*");
        File.Exists(Path.Combine(folder.Path, "verdict.json")).Should().BeFalse();
    }

    [Fact]
    public void A_crash_while_reports_are_written_leaves_no_verdict()
    {
        var run = Tale.Run(Outcome.Zombie);
        var folder = RunFolder.Create(_results, Now, run);
        Directory.CreateDirectory(Path.Combine(folder.Path, "report.html"));
        var writing = () => folder.Write(Tale.Zombie().Evidence, Judge.Of(run, Tale.Zombie().Evidence));

        writing.Should().Throw<UnwritableResultsException>();
        File.Exists(Path.Combine(folder.Path, "verdict.json")).Should().BeFalse();
    }

    [Theory]
    [InlineData("run.json", "{")]
    [InlineData("run.json", "null")]
    [InlineData("run.json", "{\"scenario\":\"hang-irp\"}")]
    [InlineData("evidence.jsonl", "{}\n")]
    public void A_damaged_folder_is_one_clear_line(string file, string content)
    {
        var folder = Written(Tale.Run(Outcome.Zombie), Tale.Zombie().Evidence);
        File.WriteAllText(Path.Combine(folder.Path, file), content);
        var opening = () => RunFolder.Open(folder.Path);

        opening.Should().Throw<UnusableRunFolderException>().Which.Message.Should().Contain(folder.Path).And.Contain(file).And.NotContain("\n");
    }

    [Fact]
    public void A_folder_that_is_not_there_is_one_clear_line()
    {
        var opening = () => RunFolder.Open(Path.Combine(_results, "nothing"));

        opening.Should().Throw<UnusableRunFolderException>().WithMessage("*no such run folder*");
    }

    [Fact]
    public void Results_that_cannot_be_written_are_one_clear_line()
    {
        var file = Path.Combine(_results, "file");
        File.WriteAllText(file, "in the way");
        var creating = () => RunFolder.Create(Path.Combine(file, "results"), Now, Tale.Run(Outcome.Zombie));

        creating.Should().Throw<UnwritableResultsException>().Which.Message.Should().StartWith("cannot write results to").And.NotContain("\n");
    }
}
