using System.Text.RegularExpressions;
using FluentAssertions;
using Xunit;

namespace Windows.Tests;

/// <summary>Every function of Windows is declared once, beside its wrapper, and says where it is documented.</summary>
public sealed partial class NativeDeclarationTests
{
    private static readonly List<(string File, string Document, string Function)> Declared = [.. Directory.EnumerateFiles(SourceTree.File("src", "Harness.Windows"), "*.cs", SearchOption.AllDirectories)
        .SelectMany(file => Declarations().Matches(File.ReadAllText(file)).Select(found => (Path.GetFileName(file), found.Groups["document"].Value, found.Groups["function"].Value)))];

    [Fact]
    public void Each_is_declared_once()
    {
        Declared.Should().HaveCountGreaterThanOrEqualTo(40);
        Declared.GroupBy(declared => declared.Function).Where(same => same.Count() > 1).Select(same => same.Key).Should().BeEmpty();
    }

    [Fact]
    public void Each_names_its_documentation() =>
        Declared.Where(declared => !declared.Document.Contains("learn.microsoft.com/", StringComparison.Ordinal) && !declared.Document.Contains("phnt", StringComparison.Ordinal))
            .Select(declared => $"{declared.File}: {declared.Function}").Should().BeEmpty();

    [Fact]
    public void None_is_declared_elsewhere()
    {
        var sources = Directory.EnumerateFiles(SourceTree.File("src"), "*.cs", SearchOption.AllDirectories).Where(file => File.ReadAllText(file).Contains("[LibraryImport(", StringComparison.Ordinal)).ToList();
        sources.Should().OnlyContain(file => file.Contains(Path.Combine("Harness.Windows", "Native"), StringComparison.Ordinal));
        sources.Sum(file => File.ReadAllText(file).Split("[LibraryImport(").Length - 1).Should().Be(Declared.Count, "the test reads every declaration");
    }

    [GeneratedRegex(@"(?<document>[^\n]*)\n\s*\[LibraryImport\([^\n]*\n(?:\s*\[return:[^\n]*\n)?\s*(?:private|internal|public) static (?:unsafe )?partial \w+ (?<function>\w+)\(")]
    private static partial Regex Declarations();
}
