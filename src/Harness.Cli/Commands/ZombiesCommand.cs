using System.CommandLine;
using Harness.Windows;
using Harness.Windows.Native;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault zombies</c>: the processes of this machine that should be gone, and what keeps them.</summary>
internal sealed class ZombiesCommand
{
    private readonly Surroundings _around;

    public ZombiesCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("zombies", "List the processes of this Windows machine that were told to end and cannot, and those that only somebody's handle keeps.");
        Command.SetAction(_ => (int)Tell());
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Tell()
    {
        if (!OperatingSystem.IsWindows()) throw new UsageException("zombies: it looks at the processes of a Windows machine, and this is none ('driverfault diagnose' reads a dump of one)");
        try
        {
            return Tell(ZombieCensus.OfThisMachine());
        }
        catch (WindowsException e)
        {
            throw new UsageException($"zombies: {e.Message}");
        }
    }

    private ExitCode Tell(ZombieCensus census)
    {
        foreach (var remaining in census.Remaining) _around.Out.WriteLine(remaining.Says);
        var zombies = census.Remaining.Count(remaining => remaining.Why == Remnant.IrpZombie);
        var dying = census.Remaining.Count(remaining => remaining.Why == Remnant.Dying);
        var kept = census.Remaining.Count(remaining => remaining.Why == Remnant.KeptByHandle);
        _around.Out.WriteLine($"{zombies} held by a driver, {dying} that cannot be told, {kept} kept by handles only");
        foreach (var note in census.Notes) _around.Out.WriteLine($"note: {note}");
        if (census.Unknown is not null) _around.Out.WriteLine($"not looked at: {census.Unknown}");
        return zombies > 0 ? ExitCode.Fail : dying > 0 || census.Unknown is not null ? ExitCode.Inconclusive : ExitCode.Pass;
    }
}
