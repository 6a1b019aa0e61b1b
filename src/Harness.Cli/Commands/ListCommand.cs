using System.CommandLine;
using Harness.Core.Nt;
using Harness.Scenarios;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault list</c>: what there is to run, and what is lacking here.</summary>
internal sealed class ListCommand
{
    private readonly Surroundings _around;

    public ListCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("list", "Tell the scenarios, the targets and what each lacks here, and the requests of myfault.sys.");
        Command.SetAction(_ => Tell());
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private int Tell()
    {
        Section("scenarios", ScenarioCatalogue.All.Select(scenario => (scenario.Name, scenario.Summary)));
        Section("targets", _around.Targets.Select(target => (target.Name, target.Lacks ?? "ready")));
        Section($"requests of {MyFault.FileName} (--ioctl)", MyFault.Requests.Select(request => ($"{request.Name,-11} {HexText.Of(request.Code)}", request.Does)));
        return (int)ExitCode.Pass;
    }

    private void Section(string title, IEnumerable<(string Name, string Says)> rows)
    {
        _around.Out.WriteLine(title);
        foreach (var (name, says) in rows) _around.Out.WriteLine($"  {name,-24} {says}");
    }
}
