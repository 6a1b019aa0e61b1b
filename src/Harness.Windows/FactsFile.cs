using System.Text.Encodings.Web;
using System.Text.Json;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Windows;

/// <summary>windows-facts.json: what no documentation tells of a zombie, answered by a machine.</summary>
/// <param name="Machine">What the machine says of itself.</param>
/// <param name="System">"Microsoft Windows 10.0.26100".</param>
/// <param name="Facts">The answers, scenario by scenario.</param>
public sealed record FactsFile(string Machine, string System, IReadOnlyList<WindowsFact> Facts);

/// <summary>One answer.</summary>
/// <param name="Scenario">The scenario that asked.</param>
/// <param name="Question">What was asked.</param>
/// <param name="Answer">What the machine says; null: it was not seen, and <paramref name="Source"/> says why.</param>
/// <param name="Source">The collector and the line of evidence, or why there is none.</param>
public sealed record WindowsFact(string Scenario, string Question, string? Answer, string Source);

/// <summary>Reads answers from the evidence of a run. Nothing is assumed: what the evidence does not hold has no answer.</summary>
public static class WindowsFacts
{
    // Indented, and every character as it is: for people.
    private static readonly WindowsJson Readable = new(new JsonSerializerOptions(WindowsJson.Default.Options) { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>The answers of one run.</summary>
    public static IReadOnlyList<WindowsFact> Of(string scenario, Story story, IReadOnlyList<Observation> evidence)
    {
        var asked = new Asked(scenario, story, evidence);
        return
        [
            asked.AtLast("is the killed process listed", state => state.Listed ? "yes" : "no"),
            asked.AtLast("is its process object signalled", state => state.Signalled ? "yes" : "no"),
            asked.WhileItHung("GetExitCodeProcess", state => state.ExitStatus.Hex),
            asked.WhileItHung("IsProcessDeleting", state => state.Deleting is { } deleting ? deleting ? "yes" : "no" : null),
            asked.WhileItHung("open handles", state => $"{state.HandleCount}"),
            asked.WhileItHung("its threads, and whether they have I/O pending", state => state.Threads.Count == 0 ? null
                : string.Join("; ", state.Threads.Select(thread => $"{thread.State}{(thread.State == ThreadState.Waiting ? $" ({thread.WaitReason})" : "")}, {(thread.IoPending switch { true => "pending", false => "nothing pending", null => "not told" })}"))),
            asked.OfMemory("the stack of the thread that waits", (_, thread) => thread.Stack.Count == 0 ? null : Joined(thread.Stack.Select(frame => frame.Name))),
            asked.OfMemory("how it waits", (_, thread) => $"{thread.State} ({thread.WaitReason}) {thread.WaitMode} {(thread.Alertable ? "Alertable" : "Non-Alertable")}"),
            asked.OfMemory("the IRPs that keep it", (_, thread) => thread.Irps.Count == 0 ? "none on the thread or its files"
                : string.Join("; ", thread.Irps.Select(irp => $"on the {irp.List}'s list, Cancel {(irp.Cancel ? "TRUE" : "FALSE")}, CancelRoutine {irp.CancelRoutine ?? "none"}, held by {irp.Holder ?? "nobody"}"))),
            .. asked.KillsTwice ? [asked.Last<TerminateRequested>("what a second TerminateProcess returns", again => again.Process == story.Victim && again.N > asked.Kill?.N, again => again.Result.ToString())] : Array.Empty<WindowsFact>(),
            asked.Once<ProcessEnded>("how long after the kill it ended", end => end.Process == story.Victim, end => asked.Kill is { } kill ? $"{(end.At - kill.At).TotalSeconds:0.000} s" : null),
            asked.Once<ProcessEnded>("how long after the driver's release it ended", end => end.Process == story.Victim, end => asked.Released is { } released && released.N < end.N ? $"{(end.At - released.At).TotalSeconds:0.000} s" : "it had ended before"),
            asked.AfterTheKill(),
            asked.Once<EventTraceSeen>("what the event trace tells", Sources.Etw, seen => asked.FateIn(seen) is { } fate ? $"{fate.Answer}: {fate.Says}" : null),
            asked.Once<EventTraceSeen>("the stack on which the thread ran again", Sources.Etw, seen => asked.FateIn(seen)?.Wait is { SwitchInStack: { Count: > 0 } stack } ? Joined(stack) : null),
            .. story.Promises.Any(promise => promise is IrpDisassociatedPromise)
                ? [asked.Once<EventLogSeen>("is IO_DRIVER_CANCEL_TIMEOUT logged", Sources.EventLog, log => log.Events.FirstOrDefault(logged => logged.IsCancelTimeout) is { } logged ? $"yes, by {logged.Provider}: {logged.Text}" : "no")] : Array.Empty<WindowsFact>(),
            asked.Once<DriverUnloaded>("does the driver unload afterwards", _ => true, _ => "yes"),
        ];
    }

    private static string Joined(IEnumerable<string> frames) => string.Join(" <- ", frames);

    /// <summary>Writes windows-facts.json.</summary>
    /// <exception cref="IOException">It cannot be written; also <see cref="UnauthorizedAccessException"/>.</exception>
    public static void Write(string path, FactsFile facts) =>
        File.WriteAllText(path, JsonSerializer.Serialize(facts, Readable.FactsFile).ReplaceLineEndings("\n") + "\n");

    private sealed class Asked(string scenario, Story story, IReadOnlyList<Observation> evidence)
    {
        public TerminateRequested? Kill { get; } = evidence.OfType<TerminateRequested>().FirstOrDefault(kill => kill.Process == story.Victim);

        /// <summary>The story terminates its victim once more.</summary>
        public bool KillsTwice { get; } = story.Processes.SelectMany(process => process.Threads).SelectMany(thread => thread.Acts).OfType<Terminate>().Count(kill => kill.Process == story.Victim) > 1;

        /// <summary>The harness's release after the story.</summary>
        public CallEntered? Released { get; } = evidence.OfType<CallEntered>().LastOrDefault(call => call.Process == Story.Controller && call.Call.StartsWith("DeviceIoControl", StringComparison.Ordinal));

        /// <summary>The looks after the kill.</summary>
        private IEnumerable<(ProcessStates Seen, ProcessState State)> Looks => evidence.OfType<ProcessStates>().Where(seen => seen.N > (Kill?.N ?? int.MaxValue))
            .SelectMany(seen => seen.Processes.Where(process => process.Name == story.Victim).Select(process => (seen, process)));

        public WindowsFact AtLast(string question, Func<ProcessState, string> answer) =>
            Looks.LastOrDefault(look => look.Seen.Checkpoint == story.LastCheckpoint) is ({ } seen, { } state) ? Told(question, answer(state), seen, Sources.ProcessState) : Told(question, null, null, Sources.ProcessState);

        /// <summary>When somebody looked last while it was there, or else at the end.</summary>
        public WindowsFact WhileItHung(string question, Func<ProcessState, string?> answer)
        {
            var (seen, state) = Looks.LastOrDefault(look => !look.State.Signalled) is ({ }, { }) hung ? hung : Looks.LastOrDefault();
            return Told(question, state is null ? null : answer(state) ?? (state.Signalled ? "it had ended" : null), seen, Sources.ProcessState);
        }

        public WindowsFact OfMemory(string question, Func<ProcessRecord, ThreadRecord, string?> answer)
        {
            var memory = evidence.OfType<KernelMemorySeen>().LastOrDefault();
            var process = memory?.Processes.FirstOrDefault(process => process.Pid == Kill?.Pid);
            var thread = process is null ? null : StuckThread.Of(process, null)?.Thread ?? process.Threads.FirstOrDefault(thread => thread.Irps.Count > 0) ?? (process.Threads.Count > 0 ? process.Threads[0] : null);
            return thread is null ? Gone(question) ?? Told(question, null, memory, Sources.KernelMemory) : Told(question, answer(process!, thread), memory, Sources.KernelMemory);
        }

        /// <summary>That its stack cannot be read is an answer too.</summary>
        public WindowsFact AfterTheKill()
        {
            const string Question = "its managed stack after the kill";
            var after = evidence.Where(seen => seen.N > (Kill?.N ?? int.MaxValue)).ToList();
            if (after.OfType<ManagedStackSeen>().LastOrDefault(seen => seen.Process == story.Victim) is { } stack) return Told(Question, Joined(stack.Frames), stack, null);
            return after.OfType<NotObserved>().LastOrDefault(not => not.Source == Sources.Clrmd) is { } none ? Told(Question, $"none: {none.Why}", none, null) : Gone(Question) ?? Told(Question, null, null, Sources.Clrmd);
        }

        public WindowsFact Once<T>(string question, Func<T, bool> about, Func<T, string?> answer) where T : Observation
        {
            var seen = evidence.OfType<T>().FirstOrDefault(about);
            return Told(question, seen is null ? null : answer(seen), seen, null);
        }

        public WindowsFact Once<T>(string question, string collector, Func<T, string?> answer) where T : Observation
        {
            var seen = evidence.OfType<T>().FirstOrDefault();
            return Told(question, seen is null ? null : answer(seen), seen, collector);
        }

        public WindowsFact Last<T>(string question, Func<T, bool> about, Func<T, string?> answer) where T : Observation
        {
            var seen = evidence.OfType<T>().LastOrDefault(about);
            return Told(question, seen is null ? null : answer(seen), seen, null);
        }

        public TracedFate? FateIn(EventTraceSeen seen) => seen.Processes.LastOrDefault(fate => fate.Pid == Kill?.Pid);

        /// <summary>The answer when it had ended by every look: there was nothing to see.</summary>
        private WindowsFact? Gone(string question) =>
            Looks.LastOrDefault() is ({ } seen, _) && Looks.All(look => look.State.Signalled) ? Told(question, "it had ended", seen, null) : null;

        private WindowsFact Told(string question, string? answer, Observation? seen, string? collector) =>
            answer is not null && seen is not null ? new WindowsFact(scenario, question, answer, $"{seen.Source} #{seen.N}")
                : new WindowsFact(scenario, question, null, WhyNot(collector));

        private string WhyNot(string? collector) =>
            evidence.OfType<NotObserved>().LastOrDefault(not => collector is null || not.Source == collector) is { } not && collector is not null ? $"not observed: {not.What}: {not.Why}"
                : evidence.OfType<RunStopped>().LastOrDefault() is { } stopped ? $"the run was stopped: {stopped.Why}"
                : "the evidence does not say";
    }
}
