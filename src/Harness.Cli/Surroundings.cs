using System.Text;
using Harness.Core.Targets;

namespace Harness.Cli;

/// <summary>What the command has around it: where it speaks, its wall clock, the targets of this machine, and where results go.</summary>
/// <param name="Out">Standard output: the story, or JSON Lines.</param>
/// <param name="Error">Standard error: everything else.</param>
/// <param name="Color">Standard output takes ANSI colours.</param>
/// <param name="Clock">Wall-clock time; it names run folders and decides nothing.</param>
/// <param name="Targets">Every target, also those this machine lacks something for.</param>
/// <param name="Command">How the user calls the command, ready to be pasted into a shell.</param>
/// <param name="Root">The repository's folder, or the current one where there is none: the results folder is there when the user names none, and the nightly baseline.</param>
/// <param name="SymbolPath">_NT_SYMBOL_PATH; null when it is not set.</param>
/// <param name="Debug">A failure of the harness itself is told with its stack.</param>
internal sealed record Surroundings(TextWriter Out, TextWriter Error, bool Color, TimeProvider Clock, IReadOnlyList<ITarget> Targets, string Command, string Root, string? SymbolPath, bool Debug)
{
    /// <summary>The target of this name.</summary>
    /// <param name="name">As the user says it.</param>
    /// <param name="machine">What the user says of a machine.</param>
    /// <param name="choose">Which machine, where the target has several; null: the usual one.</param>
    /// <exception cref="UsageException">There is none, or this machine lacks something for it.</exception>
    public ITarget TargetNamed(string name, MachineOptions machine, Func<ITarget, ITarget>? choose = null)
    {
        var target = Targets.FirstOrDefault(target => string.Equals(target.Name, name, StringComparison.OrdinalIgnoreCase))
            ?? throw new UsageException($"--target: there is no target '{name}'{NearMiss.Hint(name, Targets.Select(target => target.Name))}");
        target = choose?.Invoke(target) ?? target;
        if (target is IMachineTarget there) target = there.With(machine);
        return target.Lacks is null ? target : throw new UsageException($"--target: '{target.Name}' is not available here: {target.Lacks}");
    }

    /// <summary>The folder of --results, or the usual one.</summary>
    /// <exception cref="UsageException">It is not a path.</exception>
    public string ResultsIn(string? said)
    {
        if (said is not null && (said.Length == 0 || said.Contains('\0', StringComparison.Ordinal))) throw new UsageException($"--results: '{said.Replace('\0', '?')}' is not a folder's name");
        return said ?? Path.Combine(Root, "results");
    }

    /// <summary>Those of this process.</summary>
    public static Surroundings OfThisProcess(IReadOnlyList<ITarget> targets)
    {
        if (OperatingSystem.IsWindows()) Console.OutputEncoding = Encoding.UTF8;
        return new Surroundings(
            Text(Console.OpenStandardOutput()), Text(Console.OpenStandardError()),
            TakesColor(), TimeProvider.System, targets, CommandName(), RootFolder(), Environment.GetEnvironmentVariable("_NT_SYMBOL_PATH"), Environment.GetEnvironmentVariable("DRIVERFAULT_DEBUG") == "1");
    }

    // The start scripts tell how they were called. PowerShell takes what is quoted for a string, unless an & calls it.
    private static string CommandName()
    {
        if (Environment.GetEnvironmentVariable("DRIVERFAULT_COMMAND") is not { Length: > 0 } called) return "driverfault";
        var quoted = ReplayLine.Quoted(called);
        return OperatingSystem.IsWindows() && quoted != called ? "& " + quoted : quoted;
    }

    private static StreamWriter Text(Stream stream) => new(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { NewLine = "\n" };

    // An old Windows console shows the codes instead of the colours, and says nothing of itself; Windows Terminal does.
    private static bool TakesColor() =>
        !Console.IsOutputRedirected
        && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && (OperatingSystem.IsWindows()
            ? Environment.GetEnvironmentVariable("WT_SESSION") is not null
            : Environment.GetEnvironmentVariable("TERM") is { Length: > 0 } and not "dumb");

    // The repository when the command was built inside it, wherever it is called from.
    internal static string RootFolder()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
            if (File.Exists(Path.Combine(folder, "DriverFaultHarness.sln")))
                return folder;
        return Environment.CurrentDirectory;
    }
}
