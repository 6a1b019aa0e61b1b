using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Stories;
using Harness.Emulation;
using Harness.HyperV;
using Harness.Scenarios;
using Harness.Tracing;
using Harness.Windows;
using Xunit;

namespace Scenarios.Tests.Architecture;

/// <summary>docs/architecture.md says what may use what; here it is held.</summary>
public sealed partial class ArchitectureTests
{
    private static readonly UsesTable Table = UsesTable.Read(Repository.File("docs", "architecture.md"));

    private static readonly Dictionary<string, string> Assemblies = new[] { typeof(Scenario), typeof(EmulatedTarget), typeof(MyFault), typeof(EventTrace), typeof(LocalTarget), typeof(HyperVTarget), typeof(ExitCode) }
        .Select(type => type.Assembly).ToDictionary(assembly => assembly.GetName().Name!, assembly => assembly.Location);

    private static readonly IReadOnlyList<Use> Uses = [.. Assemblies.Values.SelectMany(file => { using var uses = new TypeUses(file); return uses.All(); })];

    [Fact]
    public void Every_type_of_ours_uses_only_what_the_table_allows()
    {
        var broken = Uses.Where(use => IsOurs(use.UsedSpace) && Table.PartOf(use.UserSpace) is { } part && Table.PartOf(use.UsedSpace) != part && !part.Allows(use.UsedSpace))
            .Select(use => $"{use.UserSpace}.{use.User} uses {use.UsedSpace}.{use.Used}").Distinct().Order();

        broken.Should().BeEmpty("docs/architecture.md, 'What may use what', allows none of these");
    }

    [Fact]
    public void Packages_are_used_only_where_the_table_allows()
    {
        var broken = Uses.Where(use => use.UsedAssembly is { } assembly && !IsOurs(use.UsedSpace) && !ComesWithDotNet(assembly) && Table.PartOf(use.UserSpace)?.Packages.Contains(assembly) != true)
            .Select(use => $"{use.UserSpace}.{use.User} uses {use.UsedAssembly}").Distinct().Order();

        broken.Should().BeEmpty("docs/architecture.md, 'What may use what', allows none of these");
    }

    [Fact]
    public void Every_namespace_of_ours_has_its_row_and_every_row_its_namespace()
    {
        var spaces = Uses.Select(use => use.UserSpace).Where(IsOurs).Distinct().ToList();

        spaces.Where(space => Table.PartOf(space) is null).Should().BeEmpty("each must be in docs/architecture.md, 'What may use what'");
        Table.Parts.Where(part => !spaces.Any(space => Table.PartOf(space) == part)).Select(part => part.Name).Should().BeEmpty("rows of the table must be about something");
    }

    [Fact]
    public void The_table_has_no_circles()
    {
        IEnumerable<Part> Below(Part part) => Table.Parts.Where(other => other != part && part.Allows(other.Name) && !other.Has(part.Name) && !part.Has(other.Name));
        bool Reaches(Part from, Part to, HashSet<Part> seen) => Below(from).Any(below => below == to || (seen.Add(below) && Reaches(below, to, seen)));

        Table.Parts.Where(part => Reaches(part, part, [])).Select(part => part.Name).Should().BeEmpty();
    }

    [Fact]
    public void What_the_test_reads_is_what_the_code_does()
    {
        Uses.Should().Contain(use => use.User == "HangIrpRelease" && use.Used == "OpenDevice", "a constructor in a method's IL is a use");
        Uses.Should().Contain(use => use.User == "Observation" && use.UsedSpace == "System.Text.Json.Serialization", "an attribute is a use");
        Uses.Should().Contain(use => use.User == "KernelMemorySeen" && use.Used == "ProcessRecord", "a type argument in a signature is a use");
        Uses.Should().Contain(use => use.User == "RunCommand" && use.UsedAssembly == "System.CommandLine", "a package is a use");
    }

    [Theory]
    [InlineData("Harness.Core")]
    [InlineData("Harness.Emulation")]
    public void Facts_and_machinery_know_no_particular_driver(string project)
    {
        var sources = Directory.EnumerateFiles(Repository.File("src", project), "*", SearchOption.AllDirectories).Where(file => Particular().IsMatch(File.ReadAllText(file)) || Particular().IsMatch(Path.GetFileName(file)));
        sources.Select(file => Path.GetRelativePath(Repository.Root, file)).Should().BeEmpty("rules judge behaviour, so no source names a driver");

        using var uses = new TypeUses(Assemblies[project]);
        uses.Strings().Should().NotBeEmpty().And.NotContain(text => Particular().IsMatch(text));
    }

    private static bool IsOurs(string space) => space.StartsWith("Harness.", StringComparison.Ordinal);

    private static bool ComesWithDotNet(string assembly) => File.Exists(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, assembly + ".dll"));

    [GeneratedRegex("my[-_ ]?fault", RegexOptions.IgnoreCase)]
    private static partial Regex Particular();
}
