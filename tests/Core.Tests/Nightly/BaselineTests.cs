using FluentAssertions;
using Harness.Core.Nightly;
using Harness.Core.Reports;
using Xunit;

namespace Core.Tests.Nightly;

public sealed class BaselineTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("driverfault-").FullName;

    private string File => Path.Combine(_folder, Baseline.FileName);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_order_of_the_runs_does_not_show_in_the_file()
    {
        NightRun[] runs = [Nights.Run(Nights.Row("b")), Nights.Run(Nights.Row("a", target: "hyperv")), Nights.Run(Nights.Row("a", "other.sys")), Nights.Run(Nights.Row("a"))];
        Baseline.Of(runs).Write(File);
        var one = System.IO.File.ReadAllBytes(File);

        Baseline.Of(runs.Reverse()).Write(File);

        System.IO.File.ReadAllBytes(File).Should().Equal(one);
        Baseline.Read(File)!.Rows.Select(row => row.Key).Should().BeInAscendingOrder();
        System.IO.File.ReadAllText(File).Should().NotContain("\r").And.EndWith("}\n");
    }

    [Fact]
    public void What_is_written_is_read_and_sentences_are_left_out()
    {
        var row = Nights.Row("hang-irp") with { Outcome = null, Time = null, Findings = [new NightFinding("use-after-free", null, false) { Says = "At 0xffff8a000000cac0." }] };

        Baseline.Of([Nights.Run(row)]).Write(File);

        Baseline.Read(File)!.Rows.Should().ContainSingle().Which.Should().BeEquivalentTo(row with { Findings = [row.Findings[0] with { Says = null }] });
        System.IO.File.ReadAllText(File).Should().NotContain("0xffff8a");
    }

    [Fact]
    public void Two_rows_for_one_run_are_refused()
    {
        new Baseline([Nights.Row("hang-irp"), Nights.Row("hang-irp")]).Write(File);

        FluentActions.Invoking(() => Baseline.Read(File)).Should().Throw<UnusableBaselineException>().WithMessage("*two rows for hang-irp with guilty.sys on emulated");
    }

    [Theory]
    [InlineData("null")]
    [InlineData("""{"key": {"target": "t", "driver": "d", "scenario": "s", "request": "r"}, "sha256": "a", "verdict": "pass", "outcome": "ended", "time": null, "findings": [null]}""")]
    public void Nothing_where_a_row_or_a_finding_should_be_is_refused(string row)
    {
        System.IO.File.WriteAllText(File, $$"""{"rows": [{{row}}]}""");

        FluentActions.Invoking(() => Baseline.Read(File)).Should().Throw<UnusableBaselineException>().WithMessage("*it is not a baseline");
    }

    [Fact]
    public void No_file_is_no_baseline_and_a_folder_is_none_either()
    {
        Baseline.Read(File).Should().BeNull();
        FluentActions.Invoking(() => Baseline.Read(_folder)).Should().Throw<UnusableBaselineException>().WithMessage("*is a folder");
        FluentActions.Invoking(() => new Baseline([]).Write(Path.Combine(File, "x"))).Should().Throw<UnwritableResultsException>();
    }
}
