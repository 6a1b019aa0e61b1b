using System.Text.Json.Serialization;

namespace Harness.Core.Diagnosis;

/// <summary>What is known of a terminated process that is still there.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Standing>))]
public enum Standing
{
    /// <summary>A zombie: every fact holds, and its wait has no limit and has lasted.</summary>
    [JsonStringEnumMemberName("zombie")] Zombie,

    /// <summary>Every fact holds, but one look at a wait that is renewed, or whose beginning is not known, cannot tell how long it lasts; or a routine's name had to be inferred.</summary>
    [JsonStringEnumMemberName("likelyZombie")] LikelyZombie,

    /// <summary>It has threads, and what keeps them cannot be told or has not lasted.</summary>
    [JsonStringEnumMemberName("unclear")] Unclear,

    /// <summary>It has ended, and only its object is left: somebody has a handle or a pointer to it.</summary>
    [JsonStringEnumMemberName("ended")] Ended,
}

/// <summary>A process that was told to go and is still on the list.</summary>
/// <param name="Process">The process.</param>
/// <param name="Standing">What is known of it.</param>
/// <param name="Zombie">What keeps it; null unless it is a zombie, likely one or one too young to tell.</param>
/// <param name="Facts">What was weighed: established, refuted or (null) not to be read.</param>
/// <param name="Waited">How long the thread that keeps it has waited; null when that cannot be told.</param>
/// <param name="Says">One or two sentences.</param>
public sealed record Remains(ProcessRecord Process, Standing Standing, Zombie? Zombie, IReadOnlyList<(string Name, bool? Holds)> Facts, TimeSpan? Waited, string Says);

/// <summary>A look at all of a machine's kernel memory for processes that were terminated and are still there.</summary>
/// <param name="Processes">How many are on the active process list.</param>
/// <param name="Modules">How many modules are loaded.</param>
/// <param name="Remains">Those that were terminated, in the list's order.</param>
/// <param name="Notes">What could not be read or contradicts itself; with any, what was not found may be there all the same.</param>
public sealed record Examination(int Processes, int Modules, IReadOnlyList<Remains> Remains, IReadOnlyList<string> Notes)
{
    /// <summary>Looks; never throws for what the memory holds.</summary>
    /// <exception cref="Nt.UnknownBuildException">No layouts are known for the memory's build.</exception>
    public static Examination Of(IKernelMemory memory)
    {
        var view = new KernelView(memory);
        var terminated = view.Terminated(out var listed);
        return new Examination(listed, view.Modules.All.Count, [.. terminated.Select(process => Weigh(view, process))], [.. view.Notes]);
    }

    /// <summary>Those that are zombies, for certain or likely.</summary>
    public IEnumerable<Remains> Zombies => Remains.Where(r => r.Standing is Standing.Zombie or Standing.LikelyZombie);

    private static Remains Weigh(KernelView view, ProcessRecord process)
    {
        var who = $"'{process.Image}' (pid {process.Pid})";
        if (process.Threads.Count == 0 && process.Notes is null)
        {
            var held = view.HandlesTo(process.Address) is { } handles ? $"{handles} open {(handles == 1 ? "handle" : "handles")}" : "a handle or a pointer";
            return process.Signalled
                ? new Remains(process, Standing.Ended, null, [], null, $"{who} has ended; its process object is left, with {held} to it. No driver keeps it.")
                : new Remains(process, Standing.Unclear, null, [], null, $"{who} has no thread any more and its process object is not signalled: it was caught on its way out, or its last thread was.");
        }

        var stuck = StuckThread.Of(process, null);
        IReadOnlyList<(string Name, bool? Holds)> facts =
        [
            ("termination was asked for", process.Deleting || process.Exiting), ("process still listed", process.Listed), ("process object not signalled", !process.Signalled),
            .. new[] { ZombieFacts.Waits(stuck) }.Concat(ZombieFacts.OfItsKind(stuck)).Select(fact => fact.Holds == false && process.Notes is not null ? (fact.Name, null) : fact),
        ];
        var waited = stuck is null ? null : view.WaitOf(stuck.Thread);
        if (stuck is null || stuck.Hold == Hold.Unexplained || facts.Any(f => f.Holds != true))
        {
            var missing = string.Join("; ", facts.Where(f => f.Holds is null).Select(f => f.Name));
            var refuted = string.Join("; ", facts.Where(f => f.Holds == false).Select(f => f.Name));
            var why = missing.Length > 0 ? $"no evidence for: {missing}" : refuted.Length > 0 ? $"not so: {refuted}" : "its wait is none that the rules know";
            return new Remains(process, Standing.Unclear, null, facts, waited, $"{who} was told to go and still has {Threads(process)}; {why}.{(stuck is null ? "" : $" Thread {stuck.Thread.Tid} is in {stuck.Place}.")}");
        }

        var zombie = new Zombie(process, stuck);
        var says = $"{who}: {zombie.Blame}. {zombie.Told(null)}";
        // A poll begins its wait again every few milliseconds.
        var doubt = stuck.Hold is Hold.CancelRoutineDidNotComplete or Hold.Rundown ? "one look cannot tell how long it lasts: the wait is renewed every few milliseconds"
            : waited is null ? "one look cannot tell how long it lasts: when the wait began is not in memory"
            : stuck.Inferred && waited >= StuckThread.Soonest ? $"it has waited for {Spelled.Duration(waited.Value)}, but nt's own routines have no names here, and the one that waits was inferred" : null;
        if (doubt is not null) return new Remains(process, Standing.LikelyZombie, zombie, facts, waited, $"{says} Not certain: {doubt}.");
        if (waited!.Value < StuckThread.Soonest) return new Remains(process, Standing.Unclear, zombie, facts, waited, $"{says} It has waited for {Spelled.Duration(waited.Value)}: too soon to tell a zombie from a process that goes later.");
        return new Remains(process, Standing.Zombie, zombie, facts, waited, $"{says} It has waited for {Spelled.Duration(waited.Value)}.");
    }

    private static string Threads(ProcessRecord process) => process.Threads.Count == 1 ? "1 thread" : $"{process.Threads.Count} threads";
}
