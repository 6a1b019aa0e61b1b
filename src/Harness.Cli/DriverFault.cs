using System.CommandLine;
using System.CommandLine.Parsing;
using Harness.Cli.Commands;
using Harness.Core.Evidence;
using Harness.Core.Nightly;
using Harness.Core.Reports;
using Harness.Core.Targets;

namespace Harness.Cli;

/// <summary>The command <c>driverfault</c>: reads its arguments, runs a subcommand, and makes every failure one clear line and an exit code.</summary>
internal static class DriverFault
{
    /// <summary>Runs one command line.</summary>
    public static ExitCode Run(IReadOnlyList<string> args, Surroundings around)
    {
        var verbose = new Option<bool>("--verbose") { Description = "tell a failure of the harness itself with its stack", Recursive = true };
        around = around with { Debug = around.Debug || args.Contains(verbose.Name) };
        var root = new RootCommand("Tells the author of a Windows driver what it does to a process that dies while I/O is in flight.") { verbose };
        root.Add(new ListCommand(around).Command);
        root.Add(new RunCommand(around).Command);
        root.Add(new JudgeCommand(around).Command);
        root.Add(new ReplayCommand(around).Command);
        root.Add(new NightlyCommand(around).Command);
        root.Add(new DiagnoseCommand(around).Command);
        root.Add(new ZombiesCommand(around).Command);
        root.Add(new FactsCommand(around).Command);

        // Without response files: '@' begins the file of --input.
        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0) return Refuse(around, Explain(parsed, root));

        try
        {
            return (ExitCode)parsed.Invoke(new InvocationConfiguration { Output = around.Out, Error = around.Error, EnableDefaultExceptionHandler = false });
        }
        catch (Exception e) when (e is UsageException or UnusableDriverException or UnusableRunFolderException or UnusableBaselineException)
        {
            return Refuse(around, FirstLine(e.Message));
        }
        catch (UnwritableResultsException e)
        {
            around.Error.WriteLine($"driverfault: {FirstLine(e.Message)}");
            return ExitCode.HarnessFailure;
        }
        catch (OperationCanceledException)
        {
            around.Error.WriteLine("driverfault: interrupted");
            return ExitCode.HarnessFailure;
        }
        catch (Exception e)
        {
            return Confess(around, e);
        }
    }

    /// <summary>Tells a failure of the harness itself.</summary>
    public static ExitCode Confess(Surroundings around, Exception defect)
    {
        around.Error.WriteLine($"driverfault: {defect.GetType().Name}: {FirstLine(defect.Message)} (this is a defect of the harness{(around.Debug ? "" : "; --verbose tells more")})");
        if (around.Debug) around.Error.WriteLine(defect);
        return ExitCode.HarnessFailure;
    }

    /// <summary>A message's first line: what goes to a terminal as one line stays one, and commands it to do nothing.</summary>
    public static string FirstLine(string message) => Printable.Line(message.AsSpan().IndexOfAny('\r', '\n') is var cut and >= 0 ? message[..cut] : message);

    private static ExitCode Refuse(Surroundings around, string why)
    {
        around.Error.WriteLine($"driverfault: {Printable.Line(why)}");
        return ExitCode.Unusable;
    }

    private static string Explain(ParseResult parsed, RootCommand root)
    {
        var command = parsed.CommandResult.Command;
        if (parsed.UnmatchedTokens is [var unknown, ..])
        {
            var isOption = unknown.StartsWith('-');
            var known = isOption ? command.Options.Concat(root.Options).Select(option => option.Name) : command.Subcommands.Select(subcommand => subcommand.Name);
            return $"there is no {(isOption ? "option" : command == root ? "command" : "argument")} '{unknown}'{NearMiss.Hint(unknown, known)}";
        }

        if (command.Arguments.FirstOrDefault(argument => argument.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(argument) is null or { Tokens.Count: 0 }) is { } missing)
            return $"{command.Name}: name a {missing.Name}";
        return command == root
            ? $"name a command: {string.Join(", ", root.Subcommands.Select(subcommand => subcommand.Name))} (driverfault --help tells more)"
            : FirstLine(parsed.Errors[0].Message);
    }
}
