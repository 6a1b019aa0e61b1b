using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Reports;
using Harness.Scenarios;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests;

/// <summary>README.md tells the truth, and the documents hang together.</summary>
public sealed partial class ReadmeTests
{
    private static readonly string Readme = File.ReadAllText(Repository.File("README.md"));

    [Fact]
    public void Tells_the_story_that_run_tells()
    {
        var told = Blocks().Matches(Readme).Select(block => block.Groups["text"].Value).Single(text => text.StartsWith("hang-irp", StringComparison.Ordinal));
        using var story = new StringWriter { NewLine = "\n" };
        var run = Rehearsal.Of(new HangIrp(), command: "./driverfault");
        ConsoleStory.Write(story, run.Description, run.Evidence, run.Judgement, "results/2026-11-22T084312-hang-irp-emulated", color: false);

        Shape(told).Should().Equal(Shape(story.ToString()), "README.md shows what './driverfault run hang-irp' tells; paste it anew");
    }

    [Fact]
    public void Names_only_options_that_there_are()
    {
        var help = CommandRun.Of("run", "--help").Out + CommandRun.Of("diagnose", "--help").Out + CommandRun.Of("nightly", "--help").Out;

        Options().Matches(Readme).Select(option => option.Value).Distinct().Should().OnlyContain(option => help.Contains(option, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_link_between_documents_leads_somewhere()
    {
        var documents = Directory.EnumerateFiles(Repository.Root, "*.md").Concat(new[] { "docs", "driver", "tests", "src", "results" }
            .SelectMany(folder => Directory.EnumerateFiles(Repository.File(folder), "*.md", folder == "results" ? SearchOption.TopDirectoryOnly : SearchOption.AllDirectories)))
            .Where(document => !document.Contains("node_modules", StringComparison.Ordinal));

        var dead = documents.SelectMany(document => Links().Matches(File.ReadAllText(document)).Select(link => link.Groups["to"].Value)
            .Where(to => !Path.Exists(Path.Combine(Path.GetDirectoryName(document)!, to))).Select(to => $"{Path.GetRelativePath(Repository.Root, document)}: {to}"));

        dead.Should().BeEmpty();
    }

    [Fact]
    public void Every_decision_is_in_the_list_of_decisions()
    {
        var list = File.ReadAllText(Repository.File("docs", "decisions", "README.md"));

        Directory.EnumerateFiles(Repository.File("docs", "decisions"), "*.md").Select(page => Path.GetFileName(page)!).Where(page => page != "README.md")
            .Should().OnlyContain(page => list.Contains($"({page})", StringComparison.Ordinal));
    }

    // Where things lie in guest memory may change with every routine of the kernel; what is told of them may not.
    private static string[] Shape(string text) => [.. text.TrimEnd().Split('\n').Select(line => Numbers().Replace(line.TrimEnd(), "#"))];

    [GeneratedRegex("```\n(?<text>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Blocks();

    [GeneratedRegex(@"\]\((?!https?:)(?<to>[^)#]+)")]
    private static partial Regex Links();

    [GeneratedRegex(@"(?<=[\s`])--[a-z][a-z-]+")]
    private static partial Regex Options();

    [GeneratedRegex(@"(0x)?\b[0-9a-f]{8,16}\b|\+0x[0-9a-f]+|\bpid \d+|\bThread \d+|\b[0-9a-f]{4}\.[0-9a-f]{4}\b|Cid: [0-9a-f]{4}")]
    private static partial Regex Numbers();
}
