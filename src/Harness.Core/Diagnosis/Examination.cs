using System.Text.Json.Serialization;
using Harness.Core.Nt;

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
public sealed record Remains(ProcessRecord Process, Standing Standing, Zombie? Zombie, IReadOnlyList<(string Name, bool? Holds)> Facts, TimeSpan? Waited, string Says)
{
    /// <summary>Of a process that has ended: who has a handle to it or to a thread of it.</summary>
    public IReadOnlyList<HandleHolder> Holders { get; init; } = [];

    /// <summary>The module that is to blame; null when none is, or it is not loaded.</summary>
    public ModuleRecord? Module { get; init; }
}

/// <summary>A look at all of a machine's kernel memory for processes that were terminated and are still there.</summary>
/// <param name="Processes">How many are on the active process list.</param>
/// <param name="Modules">How many modules are loaded.</param>
/// <param name="Remains">Those that were terminated, in the list's order.</param>
/// <param name="Notes">What could not be read or contradicts itself; with any, what was not found may be there all the same.</param>
public sealed record Examination(int Processes, int Modules, IReadOnlyList<Remains> Remains, IReadOnlyList<string> Notes)
{
    private const int MostHoldersTold = 4;

    /// <summary>Looks; never throws for what the memory holds. Where a list is broken or leads to no IRP that explains a wait, physical memory is searched too.</summary>
    /// <exception cref="UnknownBuildException">No layouts are known for the memory's build.</exception>
    public static Examination Of(IKernelMemory memory)
    {
        var view = new KernelView(memory);
        var terminated = view.Terminated(out var listed, out var whole);
        if ((!whole || terminated.Any(LacksIrp)) && view.SearchPool() is { } pool)
            terminated = [.. terminated.Concat(view.InPool(pool, terminated)).Select(process => LacksIrp(process) ? view.WithIrps(process, pool) : process)];
        var holders = view.HoldersOf([.. terminated.Where(HasEnded).Select(process => process.Address)]);
        return new Examination(listed, view.Modules.All.Count, [.. terminated.Select(process => Weigh(view, process, holders))], [.. view.Notes]);
    }

    /// <summary>Those that are zombies, for certain or likely.</summary>
    public IEnumerable<Remains> Zombies => Remains.Where(r => r.Standing is Standing.Zombie or Standing.LikelyZombie);

    /// <summary>Its wait is one that an IRP explains, and no list leads to that IRP.</summary>
    private static bool LacksIrp(ProcessRecord process) => StuckThread.Of(process, null) is { WaitsForGood: true, Irp: null, Hold: not Hold.BlockedInDispatch };

    private static Remains Weigh(KernelView view, ProcessRecord process, ILookup<KernelAddress, HandleHolder> holders)
    {
        var who = $"'{process.Image}' (pid {process.Pid})";
        if (HasEnded(process))
        {
            return process.Signalled
                ? Ended(view, process, who, [.. holders[process.Address]])
                : new Remains(process, Standing.Unclear, null, [], null, $"{who} has no thread any more and its process object is not signalled: it was caught on its way out, or its last thread was.");
        }

        var stuck = StuckThread.Of(process, null);
        IReadOnlyList<(string Name, bool? Holds)> facts =
        [
            ("termination was asked for", process.Deleting || process.Exiting),
            process.FoundIn is { } place ? ($"process still there: on no list, found in {place}", true) : ("process still listed", process.Listed), ("process object not signalled", !process.Signalled),
            .. new[] { ZombieFacts.Waits(stuck) }.Concat(ZombieFacts.OfItsKind(stuck)).Select(fact => fact.Holds == false && process.Notes is not null ? (fact.Name, null) : fact),
        ];
        var waited = stuck is null ? null : view.WaitOf(stuck.Thread);
        if (stuck is null || stuck.Hold == Hold.Unexplained || facts.Any(f => f.Holds != true && f.Name != ZombieFacts.OtherName))
        {
            var missing = string.Join("; ", facts.Where(f => f.Holds is null).Select(f => f.Name));
            var refuted = string.Join("; ", facts.Where(f => f.Holds == false).Select(f => f.Name));
            var why = missing.Length > 0 ? $"no evidence for: {missing}" : refuted.Length > 0 ? $"not so: {refuted}" : "its wait is none that the rules know";
            return new Remains(process, Standing.Unclear, null, facts, waited, $"{who} was told to go and still has {Threads(process)}; {why}.{(stuck is null ? "" : $" Thread {stuck.Thread.Tid} is in {stuck.Place}.")}");
        }

        var zombie = new Zombie(process, stuck);
        var says = $"{who}: {zombie.Blame}. {zombie.Told(null)}";
        var remains = new Remains(process, Standing.Zombie, zombie, facts, waited, "") { Module = stuck.Driver is { } driver ? view.Modules.Describe(driver) : null };
        var doubt = Doubt(view, process, stuck, waited);
        if (doubt is not null) return remains with { Standing = Standing.LikelyZombie, Says = $"{says} Not certain: {doubt}." };
        if (waited!.Value < StuckThread.Soonest) return remains with { Standing = Standing.Unclear, Says = $"{says} It has waited for {Spelled.Duration(waited.Value)}: too soon to tell a zombie from a process that goes later." };
        return remains with { Says = $"{says} It has waited for {Spelled.Duration(waited.Value)}." };
    }

    /// <summary>Why one look is not enough to be certain; null when it is, or when the wait has only begun.</summary>
    private static string? Doubt(KernelView view, ProcessRecord process, StuckThread stuck, TimeSpan? waited)
    {
        if (process.FoundIn is not null) return "a process that is on no list may be the remains of one";
        if (stuck.Irp is { List: "pool" }) return "the IRP is on no list and was found by its pool tag: it may be the remains of one";
        if (stuck.Guessed) return "its stack could not be unwound, and was searched for return addresses";
        // A poll begins its wait again every few milliseconds.
        if (stuck.Hold is Hold.CancelRoutineDidNotComplete or Hold.Rundown) return "one look cannot tell how long it lasts: the wait is renewed every few milliseconds";
        var limited = stuck.Hold == Hold.BlockedInDispatch && view.HasLimit(stuck.Thread);
        if (waited is null || (limited && waited < StuckThread.Soonest))
            return $"one look cannot tell how long it lasts: {(limited ? "the driver's wait has a time limit, after which it may go on or wait again" : "when the wait began is not in memory")}";
        if (waited < StuckThread.Soonest) return null;
        return stuck switch
        {
            _ when limited => Lasted("the driver's wait has a time limit, after which it may go on or wait again"),
            { Hold: Hold.BlockedInDispatch } when ModuleOffset.IsFramework(stuck.Driver) => Lasted($"{stuck.Driver} is a framework of Windows, and for which driver it waits cannot be told"),
            // The other waits begin when the process is killed; these began before.
            { Hold: Hold.BlockedInDispatch or Hold.UncancellableRequest } => Lasted("how long ago the process was killed is not in memory: the wait may still end"),
            { Inferred: true } => Lasted("by its name the routine of nt that waits is none of those that are known, and was inferred"),
            _ => null,
        };

        string Lasted(string but) => $"it has waited for {Spelled.Duration(waited.Value)}, but {but}";
    }

    private static bool HasEnded(ProcessRecord process) => process.Threads.Count == 0 && process.Notes is null;

    private static Remains Ended(KernelView view, ProcessRecord process, string who, IReadOnlyList<HandleHolder> holders)
    {
        var handles = view.HandlesTo(process.Address);
        var held = holders.Count > 0 ? string.Join(", ", holders.GroupBy(h => (h.Pid, h.Image)).Take(MostHoldersTold).Select(of => Told([.. of], process.Address)))
                + (holders.DistinctBy(h => h.Pid).Count() is > MostHoldersTold and var all ? $" and {all - MostHoldersTold} more processes" : "")
            : handles is > 0 ? $"{handles} open {(handles == 1 ? "handle" : "handles")}, in no handle table that is in memory,"
            : handles is 0 ? "no handle; something in the kernel, such as a driver's reference, still points to it and"
            : "a handle or a pointer";
        return new Remains(process, Standing.Ended, null, [], null, $"{who} has ended; its process object is left: {held} {(holders.Count > 1 || (holders.Count == 0 && handles > 1) ? "keep" : "keeps")} it. Its threads are gone, and no IRP holds it.") { Holders = holders };
    }

    /// <summary>"'monitor.exe' (pid 1200) with handle 0x1c8".</summary>
    private static string Told(IReadOnlyList<HandleHolder> holders, KernelAddress process) =>
        $"'{holders[0].Image}' (pid {holders[0].Pid}) with {(holders.Count == 1 ? "handle" : "handles")} {string.Join(", ", holders.Take(MostHoldersTold).Select(h => HexText.Of(h.Handle) + (h.Target == process ? "" : " to a thread of it")))}{(holders.Count > MostHoldersTold ? $" and {holders.Count - MostHoldersTold} more" : "")}";

    private static string Threads(ProcessRecord process) => process.Threads.Count == 1 ? "1 thread" : $"{process.Threads.Count} threads";
}
