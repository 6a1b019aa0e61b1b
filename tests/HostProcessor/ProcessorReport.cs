using System.Globalization;
using System.Text;

namespace HostProcessor;

/// <summary>The report of a comparison, in Markdown.</summary>
internal static class ProcessorReport
{
    public static string Of(Comparison comparison)
    {
        var text = new StringBuilder();
        var unequal = comparison.Mnemonics.Values.Sum(count => count.Unequal);
        var missing = HostFeatures.Missing.Count == 0 ? "none" : string.Join(", ", HostFeatures.Missing.Order());
        var exceptions = string.Join(", ", comparison.Exceptions.Select(pair => string.Create(CultureInfo.InvariantCulture, $"{Comparison.TrapName(pair.Key)} {pair.Value:N0}")));
        text.Append(CultureInfo.InvariantCulture, $"""
            # The interpreter against a processor

            Written by `dotnet run -c Release --project tests/HostProcessor -- --trials {comparison.Trials} --seed {comparison.Seed}`; not edited by hand. What is compared and how the
            trials are made is told in `tests/Emulation.Tests/Cpu/Cases/README.md`.

            | | |
            |---|---|
            | processor | {HostFeatures.Processor} |
            | features it lacks, whose instructions were not tried | {missing} |
            | seed | {comparison.Seed} |
            | instructions the trials were made from | {CompiledCode.Instructions.Length:N0} distinct ones of {CompiledCode.Drivers} compiled drivers; those changed; random bytes |
            | trials | {comparison.Trials:N0} |
            | mnemonics | {comparison.Mnemonics.Count} |
            | encodings (Iced's codes) | {comparison.Mnemonics.Values.Sum(count => count.Encodings.Count):N0} |
            | trials that ended with an exception | {exceptions} |
            | unequal | {unequal:N0} |

            | mnemonic | encodings | trials | with an exception | unequal |
            |---|---:|---:|---:|---:|

            """);
        foreach (var (mnemonic, count) in comparison.Mnemonics)
            text.Append(CultureInfo.InvariantCulture, $"| {mnemonic} | {count.Encodings.Count} | {count.Trials} | {count.Exceptions} | {count.Unequal} |\n");
        return text.ToString();
    }
}
