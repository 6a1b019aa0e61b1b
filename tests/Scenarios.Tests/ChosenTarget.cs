using Harness.Cli;
using Harness.Core.Evidence;
using Harness.Core.Targets;
using Harness.Core.Verdicts;
using Harness.Emulation;
using Harness.Windows;
using Xunit;
using Lock = System.Threading.Lock;

namespace Scenarios.Tests;

/// <summary>
/// Where the suite's stories are played: on the emulated machine, or, with DRIVERFAULT_TARGET=local, on this one (which has to be a virtual machine, or somebody says DRIVERFAULT_I_KNOW_THIS_MACHINE=1).
/// What a real machine cannot do or see is a skipped test that says what is missing.
/// </summary>
internal static class ChosenTarget
{
    private static readonly Lock Machine = new();

    private static readonly LocalTarget Local = new(TimeProvider.System, [Path.Combine(AppContext.BaseDirectory, "driverfault.exe"), ClientProgram.Command],
        Environment.GetEnvironmentVariable("_NT_SYMBOL_PATH"), _ => { },
        MachineOptions.Usual with { Vouched = Environment.GetEnvironmentVariable("DRIVERFAULT_I_KNOW_THIS_MACHINE") == "1" });

    /// <summary>The target; the test is skipped when it cannot do what the test wants.</summary>
    public static ITarget For(ref TimeSpan? settle, ulong seed, int processors)
    {
        switch (Environment.GetEnvironmentVariable("DRIVERFAULT_TARGET"))
        {
            // A guest plays every scenario in HyperV.Tests.
            case null or "" or "emulated" or "hyperv":
                return new EmulatedTarget();
            case "local":
                if (Local.Lacks is { } lacks) Assert.Skip($"target local: {lacks}");
                if (seed != 1 || processors != 1) Assert.Skip("target local: a real machine has no seed, and the processors that it has");
                // There time is real.
                if (settle > Local.DefaultSettle) settle = Local.DefaultSettle;
                return Local;
            case var other:
                throw new InvalidOperationException($"DRIVERFAULT_TARGET={other}: emulated, local or hyperv");
        }
    }

    /// <summary>As <see cref="PlayedRun.Play"/>; on a real machine one at a time, and what cannot be judged there is skipped.</summary>
    public static PlayedRun Play(RunDescription run, ITarget target, DriverUnderTest driver)
    {
        if (target != Local) return PlayedRun.Play(run, target, driver);
        lock (Machine)
        {
            var played = PlayedRun.Play(run, target, driver);
            // A driver that did not start is no limit of the machine: skipped, a suite that tried nothing would be green.
            if (!played.Evidence.OfType<DriverEntryReturned>().Any(entry => entry.Status.IsSuccess)) Assert.Fail($"target local: the driver did not start: {played.Judgement.Because}");
            if (played.Judgement.Verdict == Verdict.Inconclusive) Assert.Skip($"target local: {played.Judgement.Because}{string.Concat(played.Evidence.OfType<NotObserved>().Select(not => $" Not observed: {not.What}: {not.Why}."))}");
            return played;
        }
    }
}
