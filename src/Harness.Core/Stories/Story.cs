using System.Text.Json.Serialization;

namespace Harness.Core.Stories;

/// <summary>What happens, told without saying where: processes, their threads, and what each thread does, in order.</summary>
/// <param name="Processes">All processes start together; the one named <see cref="Controller"/> is the harness's own.</param>
/// <param name="Victim">The process whose fate is judged.</param>
/// <param name="Request">The request whose fate is judged.</param>
/// <param name="Promises">What the driver under test is held to.</param>
public sealed record Story(IReadOnlyList<ClientProcess> Processes, string Victim, string Request, IReadOnlyList<Promise> Promises)
{
    /// <summary>The harness's own process: it opens its handle before the kill and keeps it (facts: a new open may fail while a zombie holds the device).</summary>
    public const string Controller = "controller";

    /// <summary>Where the story looks for the last time; null when it never looks.</summary>
    [JsonIgnore]
    public string? LastCheckpoint => Processes.SelectMany(p => p.Threads).SelectMany(t => t.Acts).OfType<Observe>().LastOrDefault()?.Checkpoint;
}

/// <summary>A process of a story; on the emulated machine its image is called <c>Name.exe</c>.</summary>
public sealed record ClientProcess(string Name, IReadOnlyList<ClientThread> Threads);

/// <summary>A thread of a client process. When its acts are done it exits; the last thread's exit ends the process.</summary>
public sealed record ClientThread(string Name, IReadOnlyList<Act> Acts);

/// <summary>What a scenario holds a driver to. Judged from evidence alone.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "promise")]
[JsonDerivedType(typeof(OutcomePromise), "outcome")]
[JsonDerivedType(typeof(RequestStatusPromise), "requestStatus")]
[JsonDerivedType(typeof(CancelRoutineRanPromise), "cancelRoutineRan")]
[JsonDerivedType(typeof(IrpDisassociatedPromise), "irpDisassociated")]
[JsonDerivedType(typeof(ProcessEndedPromise), "processEnded")]
public abstract record Promise;

/// <summary>At the checkpoint the victim is a zombie, or has ended.</summary>
/// <param name="Checkpoint">Where it is judged.</param>
/// <param name="Expected">What should have become of it.</param>
/// <param name="OrNotPending">A request that was over before the kill is as good as one that ended in time.</param>
public sealed record OutcomePromise(string Checkpoint, Outcome Expected,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool OrNotPending = false) : Promise;

/// <summary>The request was completed with this status.</summary>
public sealed record RequestStatusPromise(string Request, Nt.NtStatus Status) : Promise;

/// <summary>The driver's cancel routine was called for the request.</summary>
public sealed record CancelRoutineRanPromise(string Request) : Promise;

/// <summary>The I/O manager gave up on the request's IRP after five minutes, and so the victim could end.</summary>
public sealed record IrpDisassociatedPromise(string Request) : Promise;

/// <summary>Another process of the story came to its end by itself: the driver serves it whatever it does to the victim.</summary>
public sealed record ProcessEndedPromise(string Process) : Promise;

/// <summary>What became of the victim.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Outcome>))]
public enum Outcome
{
    /// <summary>Terminated, and still there, held by an outstanding IRP.</summary>
    [JsonStringEnumMemberName("zombie")] Zombie,

    /// <summary>Terminated, and gone.</summary>
    [JsonStringEnumMemberName("ended")] Ended,

    /// <summary>The request finished before the kill: nothing to judge.</summary>
    [JsonStringEnumMemberName("notPending")] NotPending,
}
