using System.CommandLine;
using Harness.Core.Targets;

namespace Harness.Cli.Arguments;

/// <summary>What a user says of a machine that is there before the run and after it.</summary>
internal sealed class MachineArguments
{
    /// <summary>--i-know-this-machine.</summary>
    public Option<bool> Known { get; } = new("--i-know-this-machine") { Description = "target local: run on this machine although it is no virtual machine" };

    /// <summary>--timeout.</summary>
    public Option<string?> Timeout { get; } = new("--timeout") { HelpName = "TIME", Description = "targets local and hyperv: stop a run that takes longer, and clean up; default: 30m" };

    /// <summary>As they were said; null when nothing was.</summary>
    public MachineOptions? Read(ParseResult parsed) => !parsed.GetValue(Known) && parsed.GetValue(Timeout) is null ? null
        : new(parsed.GetValue(Known), parsed.GetValue(Timeout) is { } said ? TimeArgument.Limit("--timeout", said) : MachineOptions.Usual.Timeout);
}
