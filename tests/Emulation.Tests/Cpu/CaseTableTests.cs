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

    /// <summary>Two trials of each encoding, as an x64 processor answered them: for machines that have none to ask. See README.md beside the tables.</summary>
    [Fact]
    public void Recorded_answers_of_a_real_processor() => Check("recorded.txt", atLeast: 1000);

    private static void Check(string table, int atLeast)
    {
        var lines = CaseLine.LinesOf(table).ToList();
        lines.Should().HaveCountGreaterThanOrEqualTo(atLeast);
        var wrong = lines.SelectMany(line => new CaseLine(line).Check().Select(difference => $"{line}\n      {difference}"));
        wrong.Should().BeEmpty();
    }
}
