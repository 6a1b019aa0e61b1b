using System.CommandLine;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Verdicts;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault judge</c>: today's rules on the evidence of a saved run, from whatever machine it came.</summary>
internal sealed class JudgeCommand
{
    private readonly Surroundings _around;
    private readonly Argument<string> _folder = new("RUN-FOLDER") { Description = "a folder that 'run' left" };
    private readonly Option<string?> _format = new("--format") { HelpName = "text|json", Description = "text (default), or one JSON object" };

    public JudgeCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("judge", "Judge a saved run again, with today's rules.") { _folder, _format };
        Command.SetAction(parsed => (int)Judge(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Judge(ParseResult parsed)
    {
        var format = Formats.Parse(parsed.GetValue(_format));
        var folder = RunFolder.Open(parsed.GetRequiredValue(_folder));
        var judgement = Core.Verdicts.Judge.Of(folder.Run, folder.Evidence);
        format.Tell(_around, folder.Run, folder.Evidence, judgement, folder.FullPath);
        try
        {
            folder.WriteVerdict(judgement);
        }
        catch (UnwritableResultsException e)
        {
            // A run kept where nobody may write can be judged all the same.
            _around.Error.WriteLine($"driverfault: the new verdict was not kept: {DriverFault.FirstLine(e.Message)}");
        }

        return ExitCodes.Of(judgement.Verdict);
    }
}
