using FluentAssertions;
using FluentAssertions.Execution;
using FluentAssertions.Primitives;
using Harness.Cli;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Verdicts;

namespace Scenarios.Tests.Vocabulary;

/// <summary>What a test says of a run. A failure tells the whole story of the run, and how to see it again.</summary>
internal sealed class RunAssertions(PlayedRun run) : ReferenceTypeAssertions<PlayedRun, RunAssertions>(run)
{
    protected override string Identifier => "run";

    /// <summary>The driver kept every promise of the story.</summary>
    public RunAssertions Pass() => Have(Verdict.Pass);

    /// <summary>The driver did what it should not. <see cref="WithFinding"/> says what.</summary>
    public RunAssertions Fail() => Have(Verdict.Fail);

    /// <summary>It could not be told, for a reason that has this in it.</summary>
    public RunAssertions BeInconclusive(string because)
    {
        Have(Verdict.Inconclusive);
        return Demand(Subject.Judgement.Because.Contains(because, StringComparison.OrdinalIgnoreCase), $"inconclusive because of \"{because}\"", $"because: {Subject.Judgement.Because}");
    }

    /// <summary>A rule found this, and blames this driver when one is named.</summary>
    public RunAssertions WithFinding(string id, string? driver = null) => Demand(
        Subject.Judgement.Findings.Any(finding => finding.Id == id && (driver is null || Same(finding.Driver, driver))),
        $"the finding {id}{(driver is null ? "" : $" of {driver}")}",
        Subject.Judgement.Findings.Count == 0 ? "no finding" : string.Join(", ", Subject.Judgement.Findings.Select(finding => $"{finding.Id} of {finding.Driver ?? "nobody"}")));

    /// <summary>No rule found anything.</summary>
    public RunAssertions WithoutFindings() => Demand(Subject.Judgement.Findings.Count == 0, "no finding",
        string.Join(", ", Subject.Judgement.Findings.Select(finding => finding.Id)));

    /// <summary>The victim has ended, at most this long after it was killed (on the run's clock).</summary>
    public RunAssertions EndWithin(TimeSpan limit)
    {
        Demand(Subject.Judgement.Outcome == Outcome.Ended, $"'{Subject.Description.Story.Victim}' to have ended", $"outcome: {Told(Subject.Judgement.Outcome)}");
        return Demand(Subject.Judgement.After <= limit, $"it to end within {limit}", $"{Subject.Judgement.After?.ToString() ?? "the time is not known"}");
    }

    /// <summary>The victim has ended, but not before this long after it was killed.</summary>
    public RunAssertions EndNotBefore(TimeSpan least)
    {
        Demand(Subject.Judgement.Outcome == Outcome.Ended, $"'{Subject.Description.Story.Victim}' to have ended", $"outcome: {Told(Subject.Judgement.Outcome)}");
        return Demand(Subject.Judgement.After >= least, $"it to end not before {least}", $"{Subject.Judgement.After?.ToString() ?? "the time is not known"}");
    }

    /// <summary>The machine stopped with this bug check.</summary>
    public RunAssertions BugCheck(uint code) => Demand(Subject.Evidence.OfType<BugChecked>().Any(seen => seen.Code == code), $"bug check 0x{code:X}",
        Subject.Evidence.OfType<BugChecked>().Select(seen => $"bug check 0x{seen.Code:X}").FirstOrDefault() ?? "no bug check");

    /// <summary>The process was terminated and is still there at the last checkpoint.</summary>
    public ZombieAssertions LeaveZombie(string process)
    {
        Demand(Subject.Description.Story.Victim == process && Subject.Judgement.Outcome == Outcome.Zombie, $"'{process}' to be a zombie", $"outcome: {Told(Subject.Judgement.Outcome)}");
        var state = Subject.Evidence.OfType<ProcessStates>().LastOrDefault()?.Processes.FirstOrDefault(seen => seen.Name == process);
        Demand(state is { Listed: true, Signalled: false }, $"'{process}' to be listed and not signalled", state is null ? "nobody looked" : $"listed: {state.Listed}, signalled: {state.Signalled}");
        var record = Subject.Evidence.OfType<KernelMemorySeen>().LastOrDefault()?.Processes.FirstOrDefault(seen => seen.Pid == state!.Pid);
        Demand(record is not null, $"'{process}' to be in kernel memory", "it is not");
        return new ZombieAssertions(this, record!);
    }

    /// <summary>Fails with the run's story unless this holds.</summary>
    internal RunAssertions Demand(bool holds, string expected, string found)
    {
        Execute.Assertion.ForCondition(holds).FailWith(Escaped($"Expected {expected}, but found {found}.{Environment.NewLine}{Story()}"));
        return this;
    }

    private RunAssertions Have(Verdict verdict) => Demand(Subject.Judgement.Verdict == verdict, $"the verdict {Told(verdict)}", $"{Told(Subject.Judgement.Verdict)} ({Subject.Judgement.Because})");

    private string Story()
    {
        using var story = new StringWriter();
        ConsoleStory.Write(story, Subject.Description, Subject.Evidence, Subject.Judgement, "(none: played by a test)", color: false);
        return story.ToString();
    }

    internal static bool Same(string? one, string other) => string.Equals(one, other, StringComparison.OrdinalIgnoreCase);

    private static string Told<T>(T? value) => value?.ToString()?.ToLowerInvariant() ?? "cannot be told";

    private static string Escaped(string message) => message.Replace("{", "{{", StringComparison.Ordinal).Replace("}", "}}", StringComparison.Ordinal);
}

/// <summary>What a test says of a zombie: each fact read from the evidence itself, not from the verdict.</summary>
internal sealed class ZombieAssertions(RunAssertions run, ProcessRecord process)
{
    private IEnumerable<IrpRecord> Irps => process.Threads.SelectMany(thread => thread.Irps);

    /// <summary>A thread of it waits with this function on its kernel stack: "nt!IopCancelAlertedRequest".</summary>
    public ZombieAssertions WaitingIn(string function) => Demand(Waiters.Any(thread => thread.Stack.Any(frame => RunAssertions.Same(Function(frame), function))),
        $"a thread of it to wait in {function}", Stacks());

    /// <summary>A thread of it waits for this reason, in kernel mode and not alertable.</summary>
    public ZombieAssertions Because(Harness.Core.Nt.WaitReason reason) => Demand(
        Waiters.Any(thread => thread.WaitReason == reason && thread is { WaitMode: Harness.Core.Nt.ProcessorMode.KernelMode, Alertable: false }),
        $"a thread of it to wait ({reason}) KernelMode Non-Alertable",
        string.Join("; ", process.Threads.Select(thread => $"thread {thread.Tid} {thread.State} ({thread.WaitReason}) {thread.WaitMode} {(thread.Alertable ? "Alertable" : "Non-Alertable")}")));

    /// <summary>This driver has an outstanding, cancelled IRP of it.</summary>
    public ZombieAssertions HeldBy(string driver) => Demand(Irps.Any(irp => irp.Cancel && RunAssertions.Same(irp.Holder, driver)),
        $"a cancelled IRP of it to be held by {driver}",
        Irps.Any() ? string.Join("; ", Irps.Select(irp => $"IRP {irp.Address} held by {irp.Holder ?? "nobody"}, Cancel {irp.Cancel}")) : "no IRP");

    /// <summary>It has no outstanding IRP.</summary>
    public ZombieAssertions WithoutCancelledIrps() => Demand(!Irps.Any(irp => irp.Cancel), "no cancelled IRP", string.Join("; ", Irps.Select(irp => irp.Address.ToString())));

    private IEnumerable<ThreadRecord> Waiters => process.Threads.Where(thread => thread.State == Harness.Core.Nt.ThreadState.Waiting);

    private ZombieAssertions Demand(bool holds, string expected, string found)
    {
        run.Demand(holds, expected, found);
        return this;
    }

    private string Stacks() => string.Join("; ", process.Threads.Select(thread => $"thread {thread.Tid} {thread.State} in {string.Join(" <- ", thread.Stack.Select(frame => frame.Name))}"));

    private static string Function(StackFrame frame) => frame.Name.Split('+')[0];
}

internal static class RunVocabulary
{
    /// <summary>A test reads: run.Should().LeaveZombie("victim").WaitingIn("nt!IopCancelAlertedRequest").HeldBy("driver.sys").</summary>
    public static RunAssertions Should(this PlayedRun run) => new(run);
}
