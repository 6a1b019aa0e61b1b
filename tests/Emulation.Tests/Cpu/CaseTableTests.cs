using FluentAssertions;
using Xunit;

namespace Emulation.Tests.Cpu;

public class CaseTableTests
{
    /// <summary>By hand: what a user-mode process can't ask its processor.</summary>
    [Fact]
    public void System_instructions_and_addressing() => Check("system.txt", atLeast: 60);

    /// <summary>By hand: what the architecture leaves undefined and we don't.</summary>
    [Fact]
    public void Undefined_flags_have_fixed_values() => Check("undefined.txt", atLeast: 15);

    /// <summary>Two trials of each encoding, as processors of two makers answered them: for machines that have none to ask. See README.md beside the tables.</summary>
    [Theory]
    [InlineData("recorded-amd.txt")]
    [InlineData("recorded-intel.txt")]
    public void Recorded_answers_of_a_real_processor(string table) => Check(table, atLeast: 1000);

    private static void Check(string table, int atLeast)
    {
        var lines = CaseLine.LinesOf(table).ToList();
        lines.Should().HaveCountGreaterThanOrEqualTo(atLeast);
        var wrong = lines.SelectMany(line => new CaseLine(line).Check().Select(difference => $"{line}\n      {difference}"));
        wrong.Should().BeEmpty();
    }
}
