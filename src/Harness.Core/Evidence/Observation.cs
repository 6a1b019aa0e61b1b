using System.Text.Json.Serialization;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Evidence;

/// <summary>
/// One thing that was seen, on one line of evidence.jsonl. Observations are facts and not opinions: nothing here says "zombie".
/// <see cref="At"/> is the run's own clock, from the moment the story began.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(DriverLoaded), "driverLoaded")]
[JsonDerivedType(typeof(DriverEntryReturned), "driverEntryReturned")]
[JsonDerivedType(typeof(DriverUnloaded), "driverUnloaded")]
[JsonDerivedType(typeof(DriverNotUnloaded), "driverNotUnloaded")]
[JsonDerivedType(typeof(ExportsMissing), "exportsMissing")]
[JsonDerivedType(typeof(Unmodelled), "unmodelled")]
[JsonDerivedType(typeof(CallEntered), "callEntered")]
[JsonDerivedType(typeof(CallReturned), "callReturned")]
[JsonDerivedType(typeof(ConditionPassed), "conditionPassed")]
[JsonDerivedType(typeof(IrpSent), "irpSent")]
[JsonDerivedType(typeof(DispatchReturned), "dispatchReturned")]
[JsonDerivedType(typeof(CancelRequested), "cancelRequested")]
[JsonDerivedType(typeof(CancelRoutineReturned), "cancelRoutineReturned")]
[JsonDerivedType(typeof(IrpCompleted), "irpCompleted")]
[JsonDerivedType(typeof(IrpFinished), "irpFinished")]
[JsonDerivedType(typeof(IrpDisassociated), "irpDisassociated")]
[JsonDerivedType(typeof(TerminateRequested), "terminateRequested")]
[JsonDerivedType(typeof(ThreadEnded), "threadEnded")]
[JsonDerivedType(typeof(ProcessEnded), "processEnded")]
[JsonDerivedType(typeof(DebugPrinted), "debugPrinted")]
[JsonDerivedType(typeof(BugChecked), "bugChecked")]
[JsonDerivedType(typeof(DriverFault), "driverFault")]
[JsonDerivedType(typeof(RunStopped), "runStopped")]
[JsonDerivedType(typeof(ProcessStates), "processStates")]
[JsonDerivedType(typeof(KernelMemorySeen), "kernelMemory")]
[JsonDerivedType(typeof(ManagedStackSeen), "managedStack")]
[JsonDerivedType(typeof(TraceKept), "traceKept")]
[JsonDerivedType(typeof(EventTraceSeen), "eventTrace")]
[JsonDerivedType(typeof(EventLogSeen), "eventLog")]
[JsonDerivedType(typeof(NotObserved), "notObserved")]
public abstract record Observation
{
    /// <summary>Position in the timeline, from 1.</summary>
    [JsonPropertyOrder(-3)] public int N { get; init; }

    /// <summary>When, on the run's clock.</summary>
    [JsonPropertyOrder(-2)] public TimeSpan At { get; init; }

    /// <summary>Who saw it: one of <see cref="Sources"/>.</summary>
    [JsonPropertyOrder(-1)] public string Source { get; init; } = Sources.Emulator;
}

/// <summary>The collectors an observation can come from.</summary>
public static class Sources
{
    public const string Emulator = "emulator";
    public const string ProcessState = "process-state";
    public const string Etw = "etw";
    public const string KernelMemory = "kernel-memory";
    public const string Clrmd = "clrmd";

    /// <summary>A process of the story, which tells its own calls.</summary>
    public const string Client = "client";

    /// <summary>The machine's event logs.</summary>
    public const string EventLog = "event-log";

    /// <summary>The service control manager.</summary>
    public const string ServiceControl = "service-control";
}

/// <summary>The image of the driver under test (or of a library driver) was mapped.</summary>
public sealed record DriverLoaded(string Module, KernelAddress Base, uint Size) : Observation;

/// <summary>DriverEntry came back. <paramref name="Devices"/>: the names of the device objects it left, "\Device\X" or "(unnamed)".</summary>
public sealed record DriverEntryReturned(string Module, NtStatus Status, IReadOnlyList<string> Devices) : Observation;

/// <summary>The story is over and the driver's service was stopped: DriverUnload returned.</summary>
public sealed record DriverUnloaded(string Module) : Observation;

/// <summary>The story is over and the driver's service could not be stopped.</summary>
/// <param name="Module">"driver.sys".</param>
/// <param name="Why">"1 open file object on \Device\X".</param>
public sealed record DriverNotUnloaded(string Module, string Why) : Observation;

/// <summary>Imports the target doesn't model. Only a call of one stops the run.</summary>
public sealed record ExportsMissing(string Module, IReadOnlyList<string> Names) : Observation;

/// <summary>The driver needed something the target doesn't model, so nothing after this can be judged.</summary>
/// <param name="What">"nt!KeXxx", "instruction 0f 01 c8".</param>
/// <param name="Caller">"driver.sys+0x1234".</param>
/// <param name="Detail">What it was, one sentence.</param>
public sealed record Unmodelled(string What, string Caller, string Detail) : Observation;

/// <summary>A client thread entered a system call. <paramref name="Call"/> as a person would write it, the Win32 function first: "CreateFile(\\.\X)", "DeviceIoControl(h, 0x222008)".</summary>
public sealed record CallEntered(string Process, int Pid, int Tid, string Call, string? Request) : Observation;

/// <summary>A system call came back to its client. Information: IO_STATUS_BLOCK.Information in bytes where the call has one.</summary>
public sealed record CallReturned(string Process, int Pid, int Tid, string Call, string? Request, NtStatus Status, ulong Information) : Observation;

/// <summary>A condition of the story came true (<paramref name="Held"/>) or its limit passed.</summary>
public sealed record ConditionPassed(string Condition, string Process, string? Request, bool Held) : Observation;

/// <summary>An IRP was handed to a driver's dispatch routine (IoCallDriver, or the I/O manager's own call).</summary>
/// <param name="Irp">The IRP.</param>
/// <param name="Request">The client's name for it, when a client's call caused it.</param>
/// <param name="Major">IRP_MJ code.</param>
/// <param name="Ioctl">The I/O control code for DeviceControl and InternalDeviceControl.</param>
/// <param name="Device">The device's name, "\Device\X" or its address.</param>
/// <param name="Driver">The module of the dispatch routine, "driver.sys".</param>
/// <param name="StackLocation">1 = lowest; StackCount = first to receive it.</param>
/// <param name="Tid">The thread that made the call.</param>
public sealed record IrpSent(KernelAddress Irp, string? Request,
    [property: JsonConverter(typeof(JsonStringEnumConverter<IrpMajor>))] IrpMajor Major,
    [property: JsonConverter(typeof(HexNullableUInt32Json))] uint? Ioctl, string Device, string Driver, int StackLocation, int Tid) : Observation;

/// <summary>The dispatch routine of the top driver came back to the I/O manager.</summary>
public sealed record DispatchReturned(KernelAddress Irp, string? Request, NtStatus Status) : Observation;

/// <summary>IoCancelIrp was called. <paramref name="CancelRoutine"/>: "driver.sys+0x1234" about to be called, or null: there was none.</summary>
public sealed record CancelRequested(KernelAddress Irp, string? Request, string? CancelRoutine, string By) : Observation;

/// <summary>A cancel routine came back to IoCancelIrp.</summary>
public sealed record CancelRoutineReturned(KernelAddress Irp, string? Request, string CancelRoutine) : Observation;

/// <summary>IoCompleteRequest was called. <paramref name="By"/>: the caller, "driver.sys+0x1234".</summary>
public sealed record IrpCompleted(KernelAddress Irp, string? Request, NtStatus Status, ulong Information, string By) : Observation;

/// <summary>An IRP has left its top stack location: no driver has it any more.</summary>
/// <param name="PendingReturned">IRP.PendingReturned: the top driver had marked it pending (IoMarkIrpPending).</param>
public sealed record IrpFinished(KernelAddress Irp, string? Request, bool PendingReturned) : Observation;

/// <summary>The I/O manager gave up on an IRP of a dying thread (five minutes) and logged IO_DRIVER_CANCEL_TIMEOUT for its device.</summary>
public sealed record IrpDisassociated(KernelAddress Irp, string? Request, string Device, string Driver) : Observation;

/// <summary>Termination of a process was asked for.</summary>
public sealed record TerminateRequested(string Process, int Pid, NtStatus Result) : Observation;

/// <summary>A thread object was signalled.</summary>
public sealed record ThreadEnded(string Process, int Pid, int Tid) : Observation;

/// <summary>A process object was signalled.</summary>
public sealed record ProcessEnded(string Process, int Pid, NtStatus ExitStatus) : Observation;

/// <summary>DbgPrint.</summary>
public sealed record DebugPrinted(string Text) : Observation;

/// <summary>The machine stopped. Code and parameters as in Microsoft's bug check reference; the name is the rules' business.</summary>
public sealed record BugChecked([property: JsonConverter(typeof(HexUInt32Json))] uint Code, IReadOnlyList<KernelAddress> Parameters, string By, IReadOnlyList<string> Stack) : Observation;

/// <summary>The driver did something no correct driver does and that the target could see at once (an access to freed pool, a held spin lock…).</summary>
/// <param name="Id">The finding's id, "use-after-free".</param>
/// <param name="By">The driver's instruction, "driver.sys+0x1234".</param>
/// <param name="Detail">One sentence.</param>
/// <param name="Fatal">The run could not go on.</param>
public sealed record DriverFault(string Id, string By, string Detail, bool Fatal, IReadOnlyList<string> Stack) : Observation
{
    /// <summary>The pool it is about; null when it is about none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public PoolBlock? Block { get; init; }
}

/// <summary>A pool allocation.</summary>
/// <param name="Address">Its first byte.</param>
/// <param name="Length">In bytes, as asked for.</param>
/// <param name="Tag">Four characters.</param>
/// <param name="Pool">"nonpaged" or "paged".</param>
/// <param name="AllocatedBy">Return addresses, innermost first; empty when nt allocated it for itself.</param>
/// <param name="FreedBy">Likewise; null while it is allocated.</param>
public sealed record PoolBlock(KernelAddress Address, ulong Length, string Tag, string Pool, IReadOnlyList<string> AllocatedBy,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? FreedBy);


/// <summary>The target ended the run before the story's end, for its own reasons (a limit). Makes the run inconclusive.</summary>
public sealed record RunStopped(string Why) : Observation;

/// <summary>What a user-mode program sees of the story's processes (NtQuerySystemInformation, WaitForSingleObject).</summary>
public sealed record ProcessStates(string Checkpoint, IReadOnlyList<ProcessState> Processes) : Observation;

/// <summary>What a kernel debugger sees of the story's processes.</summary>
public sealed record KernelMemorySeen(string Checkpoint, IReadOnlyList<ProcessRecord> Processes) : Observation
{
    /// <summary>What could not be read of the memory as a whole (its process list, its modules); null when nothing.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Notes { get; init; }
}

/// <summary>What a thread of a managed client is in, seen while it was in a system call.</summary>
/// <param name="Process">The story's name for its process.</param>
/// <param name="Pid">Its process ID.</param>
/// <param name="Tid">Its thread ID.</param>
/// <param name="Frames">Innermost first: "Namespace.Type.Method(parameters) in File.cs:12", the line where it is known.</param>
public sealed record ManagedStackSeen(string Process, int Pid, int Tid, IReadOnlyList<string> Frames) : Observation;

/// <summary>An event trace of the run is in its folder.</summary>
/// <param name="File">The file's name in the run folder.</param>
/// <param name="EventsLost">Events that the session lost; with any, what is not in the trace may have happened all the same.</param>
public sealed record TraceKept(string File, int EventsLost) : Observation;

/// <summary>What the events of the run's trace tell of the story's processes that were to end. Times in it are from the beginning of the trace.</summary>
/// <param name="File">The file's name in the run folder.</param>
/// <param name="Processes">Those of the story that were asked to end, or are seen to be ending.</param>
/// <param name="Gaps">Why nothing in it is certain: events were lost, or a part cannot be read.</param>
/// <param name="Lacks">What was not recorded and would have told more.</param>
public sealed record EventTraceSeen(string File, IReadOnlyList<TracedFate> Processes, IReadOnlyList<string> Gaps, IReadOnlyList<string> Lacks) : Observation;

/// <summary>What one of the system's event logs has about the driver under test since the run began.</summary>
/// <param name="Log">"System".</param>
/// <param name="Events">The oldest first; none when it was read and has none.</param>
public sealed record EventLogSeen(string Log, IReadOnlyList<LoggedEvent> Events) : Observation
{
    /// <summary>How many more there were, none of them IO_DRIVER_CANCEL_TIMEOUT.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int LeftOut { get; init; }
}

/// <summary>One event of a log.</summary>
/// <param name="Provider">Who logged it; of a driver's errors the driver's name.</param>
/// <param name="EventId">Of the I/O manager's errors the low 16 bits of the code (ntiologc.h).</param>
/// <param name="Text">Its strings.</param>
public sealed record LoggedEvent(string Provider, int EventId, string Text)
{
    /// <summary>The high 16 bits of the code: severity and facility; null when the log does not tell.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Qualifiers { get; init; }

    /// <summary>IO_DRIVER_CANCEL_TIMEOUT, 0x80040036. A driver's own errors have any number, but a facility of their own.</summary>
    [JsonIgnore]
    public bool IsCancelTimeout => EventId == 0x36 && (Qualifiers ?? 0x8004) == 0x8004;
}

/// <summary>A collector could not look, or not at all of it: what it does not tell is unknown, and not absent.</summary>
/// <param name="What">"the event trace".</param>
/// <param name="Why">One sentence.</param>
public sealed record NotObserved(string What, string Why) : Observation;

/// <summary>One process as user mode sees it.</summary>
/// <param name="Name">The story's name for it.</param>
/// <param name="Image">"victim.exe".</param>
/// <param name="Pid">Its process ID.</param>
/// <param name="Listed">NtQuerySystemInformation(SystemProcessInformation) lists it.</param>
/// <param name="Signalled">WaitForSingleObject(process, 0) would succeed.</param>
/// <param name="ExitStatus">GetExitCodeProcess: 0x103 (STILL_ACTIVE) while it runs.</param>
/// <param name="HandleCount">Open handles.</param>
/// <param name="Threads">Its threads.</param>
public sealed record ProcessState(string Name, string Image, int Pid, bool Listed, bool Signalled, NtStatus ExitStatus, int HandleCount, IReadOnlyList<ThreadStateSeen> Threads)
{
    /// <summary>NtQueryInformationProcess says that it is being deleted (PROCESS_EXTENDED_BASIC_INFORMATION.IsProcessDeleting); null: nobody asked, or it does not say.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? Deleting { get; init; }
}

/// <summary>One thread as SYSTEM_THREAD_INFORMATION and NtQueryInformationThread(ThreadIsIoPending) tell it; null: the system does not say.</summary>
public sealed record ThreadStateSeen(int Tid,
    [property: JsonConverter(typeof(JsonStringEnumConverter<ThreadState>))] ThreadState State,
    [property: JsonConverter(typeof(JsonStringEnumConverter<WaitReason>))] WaitReason WaitReason,
    bool? IoPending);
