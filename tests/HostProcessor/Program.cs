using System.CommandLine;
using HostProcessor;

if (args is [HostOracle.Argument])
{
    HostOracle.Answer();
    return 0;
}

var trials = new Option<int>("--trials") { Description = "how many instructions to try", DefaultValueFactory = _ => 1_200_000 };
var seed = new Option<ulong>("--seed") { Description = "what the choice of instructions, registers and memory follows from", DefaultValueFactory = _ => 1 };
var report = new Option<string>("--report") { Description = "where the report goes", DefaultValueFactory = _ => "results/processor-report.md" };
var record = new Option<string?>("--record") { Description = "where the host's answers go as a case table" };
var command = new RootCommand("Compares the interpreter with the processor of this machine, instruction by instruction.") { trials, seed, report, record };
command.SetAction(parsed =>
{
    if (HostOracle.Lacks is { } lack)
    {
        Console.Error.WriteLine($"nothing to compare with: {lack}");
        return 2;
    }
    var comparison = new Comparison(parsed.GetValue(seed));
    comparison.Run(parsed.GetValue(trials));
    File.WriteAllText(parsed.GetValue(report)!, ProcessorReport.Of(comparison));
    if (parsed.GetValue(record) is { } table) Recorder.Write(table, comparison.Sample);
    Console.WriteLine($"{comparison.Trials:N0} trials of {comparison.Mnemonics.Count} mnemonics, {comparison.Disagreements.Values.Sum(disagreement => disagreement.Count):N0} unequal: {parsed.GetValue(report)}");
    foreach (var (code, disagreement) in comparison.Disagreements) Console.WriteLine($"{code} ({disagreement.Count} times): {disagreement.First}");
    return comparison.Disagreements.Count == 0 ? 0 : 1;
});
return command.Parse(args).Invoke();
