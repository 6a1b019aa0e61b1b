using Harness.Cli.Arguments;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.HyperV;
using Harness.Scenarios;
using Harness.Windows;

namespace Harness.Cli;

/// <summary>The command line that runs a run again, as short as it can be: what is as it would be anyway is left out.</summary>
internal static class ReplayLine
{
    private const int LongestInput = 256;

    /// <summary>It can be pasted into this system's shell. <paramref name="command"/>: as the user calls it, ready to be pasted.</summary>
    public static string Of(string command, Scenario scenario, ITarget target, DriverArgument driver, Choices choices, Conditions conditions)
    {
        List<string> words = [command, "run", scenario.Name];
        void Add(string option, string value) => words.AddRange([option, Quoted(value)]);

        if (target.Name != "emulated") Add("--target", target.Name);
        if (target is LocalTarget { Vouched: true }) words.Add("--i-know-this-machine");
        if (target is HyperVTarget { Options: var guest })
        {
            if (guest.Vm is { } vm) Add("--vm", vm);
            if (guest.Computer is { } computer) Add("--computer", computer);
            if (guest.Isolate) words.Add("--isolate");
        }

        var usual = DriverArgument.Committed(MyFault.Device);
        if (driver.Path != usual.Path) Add("--driver", driver.Path);
        if (driver.Path != usual.Path || driver.Driver.Device != usual.Driver.Device) Add("--device", driver.Driver.Device);
        if (choices.Kind != RequestKind.Control) Add("--request", RequestArgument.Text(choices.Kind));
        // Another driver's reads and writes have no control code.
        if (driver.IsMyFault ? choices.Ioctl != scenario.DefaultIoctl : choices.Kind == RequestKind.Control) Add("--ioctl", HexText.Of(choices.Ioctl));
        // A long input is in run.json, which 'replay RUN-FOLDER' reads.
        if (choices.Input.Length is > 0 and <= LongestInput) Add("--input", Convert.ToHexStringLower(choices.Input));
        if (choices.OutputLength != RunRequest.UsualOutputLength(driver, choices.Ioctl)) Add("--output-length", $"{choices.OutputLength}");
        if (choices.Cancelled && !driver.IsMyFault) Add("--expect", "cancelled");
        else if (choices.Expected != RunRequest.UsualOutcome(scenario, driver, choices.Ioctl)) Add("--expect", choices.Expected == Outcome.Zombie ? "zombie" : "ended");
        if (choices.Settle != target.DefaultSettle) Add("--settle", TimeArgument.Text(choices.Settle));
        if (conditions.Processors != RunRequest.Usual.Processors) Add("--processors", $"{conditions.Processors}");
        Add("--seed", $"{conditions.Seed}");
        return string.Join(' ', words);
    }

    /// <summary>A word as this system's shell reads it.</summary>
    public static string Quoted(string word)
    {
        if (OperatingSystem.IsWindows()) return word.Contains(' ', StringComparison.Ordinal) ? $"\"{word}\"" : word;
        return word.All(c => char.IsAsciiLetterOrDigit(c) || "_./:=,@%+-".Contains(c, StringComparison.Ordinal)) ? word : $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";
    }
}
