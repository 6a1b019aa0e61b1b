using System.Reflection;
using FluentAssertions;
using Harness.Windows;
using Xunit;

namespace Windows.Tests;

/// <summary>Lines of source are read from PDBs.</summary>
public sealed class SourceLinesTests : IDisposable
{
    private readonly SourceLines _lines = new();

    public void Dispose() => _lines.Dispose();

    private static MethodInfo Method { get; } = typeof(SourceLinesTests).GetMethod(nameof(An_instruction_has_its_line))!;

    [Fact]
    public void An_instruction_has_its_line()
    {
        var first = _lines.Of(Method.Module.FullyQualifiedName, Method.MetadataToken, 0);
        var last = _lines.Of(Method.Module.FullyQualifiedName, Method.MetadataToken, int.MaxValue);
        var text = File.ReadAllLines(SourceTree.File("tests", "Windows.Tests", "SourceLinesTests.cs"));
        first.Should().StartWith("SourceLinesTests.cs:");
        int Number(string? line) => int.Parse(line!.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture);
        Number(last).Should().BeGreaterThan(Number(first) + 3);
        Enumerable.Range(Number(first) - 3, 4).Should().Contain(number => text[number].Contains(nameof(An_instruction_has_its_line), StringComparison.Ordinal));
    }

    [Fact]
    public void Without_a_file_there_is_no_line() => _lines.Of("nowhere.dll", Method.MetadataToken, 0).Should().BeNull();

    [Fact]
    public void What_is_no_method_has_no_line() => _lines.Of(Method.Module.FullyQualifiedName, typeof(SourceLinesTests).MetadataToken, 0).Should().BeNull();
}
