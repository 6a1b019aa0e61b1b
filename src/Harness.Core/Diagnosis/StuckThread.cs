using System.Text.Json.Serialization;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>Why a thread of a terminated process cannot end.</summary>
[JsonConverter(typeof(NamedJson<Hold>))]
public enum Hold
{
    /// <summary>No rule knows.</summary>
    Unexplained,

    /// <summary>IopCancelAlertedRequest waits on the file's event without limit: IoCancelIrp found no cancel routine.</summary>
    NoCancelRoutine,

    /// <summary>IopCancelAlertedRequest polls every 10 ms: a cancel routine ran and the IRP is still not complete.</summary>
    CancelRoutineDidNotComplete,

    /// <summary>The exiting thread waits for its IRPs, or for those of a file object whose handle it closes.</summary>
    Rundown,

    /// <summary>A driver waits in kernel mode on its caller's thread.</summary>
    BlockedInDispatch,

    /// <summary>The I/O manager waits for a request that NT never cancels (create, cleanup, close).</summary>
    UncancellableRequest,
}

/// <summary>One thread and what its own kernel state says about why it cannot end. Source: facts on zombies ("Two different waits in the same function").</summary>
/// <param name="Thread">The thread.</param>
/// <param name="Hold">Why it stays.</param>
/// <param name="Function">The function that waits, "nt!IopCancelAlertedRequest"; for a driver's own wait its frame, "driver+0x1234".</param>
/// <param name="Irp">The IRP it waits for; null when none is outstanding.</param>
public sealed record StuckThread(ThreadRecord Thread, Hold Hold, string? Function, IrpRecord? Irp)
{
    /// <summary>
    /// The function was not seen, because nothing names nt's own routines in this memory (they are not exported) or this build calls it otherwise: the
    /// wait, its object and the cancelled IRP are those that it leaves.
    /// </summary>
    public bool Inferred { get; init; }

    /// <summary>nt's routines have names in this memory, and none on the stack is one of those that are known to wait for a cancelled IRP.</summary>
    public bool HasOtherName => Inferred && Thread.Stack.All(f => f.Module != ModuleOffset.Kernel || f.Name.Contains('!'));

    /// <summary>The frame that tells was not unwound to but found by searching the stack.</summary>
    public bool Guessed { get; init; }

    public const string CancelAlertedRequest = "nt!IopCancelAlertedRequest";
    public const string CancelThreadIo = "nt!IoCancelThreadIo";
    public const string CleanupProcessResources = "nt!IopCleanupProcessResources";

    /// <summary>
    /// Sooner after a termination or a cancellation, what is still there proves nothing: a sound driver may complete a cancelled request from a
    /// timer or a worker thread, and no evidence tells a request that comes late from one that never comes. Ours; NT has no such limit.
    /// </summary>
    public static readonly TimeSpan Soonest = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Waiting, in kernel mode, not alertable: neither the exit APC nor an alert ends such a wait. Nor does either end a driver's own alertable
    /// one: user APCs are delivered to waits in user mode only (learn.microsoft.com, Waits and APCs), and termination alerts nobody.
    /// </summary>
    public bool WaitsForGood => Thread.WaitMode == ProcessorMode.KernelMode && (!Thread.Alertable || Hold == Hold.BlockedInDispatch) && (Thread.State == ThreadState.Waiting || BetweenPolls);

    /// <summary>"(Executive) KernelMode Non-Alertable", as a kernel debugger says it.</summary>
    public string Wait => $"({Thread.WaitReason}) {Thread.WaitMode} {(Thread.Alertable ? "Alertable" : "Non-Alertable")}";

    /// <summary>Where it waits: <see cref="Function"/>, or else whoever called the kernel's own wait.</summary>
    public string Place => Function ?? Thread.Stack.Skip(OfKernelsWait).Select(f => ModuleOffset.Function(f.Name)).FirstOrDefault(name => !IsPartOfWait(name)) ?? "an unknown place";

    /// <summary>Frames up to and with the exported routine that waits: those inside of it may have no names.</summary>
    private int OfKernelsWait => Thread.Stack.ToList().FindIndex(f => IsPartOfWait(f.Name) && !f.Name.StartsWith("nt!Ki", StringComparison.Ordinal)) + 1;

    private static bool IsPartOfWait(string function) =>
        function.StartsWith("nt!Ki", StringComparison.Ordinal) || function.StartsWith("nt!KeWaitFor", StringComparison.Ordinal) || function.StartsWith("nt!KeDelayExecutionThread", StringComparison.Ordinal);

    /// <summary>The polls of IopCancelAlertedRequest and IoCancelThreadIo: the delay is over and the thread is about to look again.</summary>
    private bool BetweenPolls => Thread is { WaitReason: WaitReason.DelayExecution, State: ThreadState.Ready or ThreadState.DeferredReady or ThreadState.Standby };

    /// <summary>Whose fault: the driver that holds the IRP, or the one whose own frame waits.</summary>
    public string? Driver => Hold == Hold.BlockedInDispatch ? Waiting(Thread.Stack)?.Module : Irp?.Holder;

    /// <summary>The thread that keeps a terminated process alive: one that a rule explains, else one that waits for good, else any; null when it has none.</summary>
    /// <param name="process">The process.</param>
    /// <param name="request">The address of the IRP that somebody asks about, preferred when several are outstanding.</param>
    public static StuckThread? Of(ProcessRecord? process, KernelAddress? request)
    {
        if (process is null) return null;
        var threads = process.Threads.Select(t => Look(t, request)).ToList();
        return threads.FirstOrDefault(t => t.WaitsForGood && t.Hold != Hold.Unexplained && t.Irp is not null)
            ?? threads.FirstOrDefault(t => t.WaitsForGood && t.Hold != Hold.Unexplained)
            ?? threads.FirstOrDefault(t => t.WaitsForGood)
            ?? threads.FirstOrDefault();
    }

    /// <summary>Looks at one thread. <paramref name="request"/>: the address of the IRP that somebody asks about, preferred when several are outstanding.</summary>
    public static StuckThread Look(ThreadRecord thread, KernelAddress? request)
    {
        var outstanding = thread.Irps.Where(IsOutstanding).ToList();
        var irp = outstanding.FirstOrDefault(i => i.Address == request) ?? outstanding.FirstOrDefault(i => i.Cancel) ?? outstanding.FirstOrDefault();
        var waiter = thread.Stack.FirstOrDefault(f => f.Module == ModuleOffset.Kernel && ModuleOffset.Function(f.Name) is CancelAlertedRequest or CancelThreadIo or CleanupProcessResources);
        var innermost = thread.Stack.FirstOrDefault(f => ModuleOffset.IsDriver(f.Module));

        // The innermost of the two is the one that waits: a driver that waits inside IRP_MJ_CLEANUP has the rundown below it, and a driver
        // whose own request to another device is being cancelled has IopCancelAlertedRequest above it.
        if (innermost is not null && (waiter is null || Depth(thread, innermost) < Depth(thread, waiter)) && Waiting(thread.Stack) is { } driver)
            return new StuckThread(thread, Hold.BlockedInDispatch, driver.Name, AwaitedBy(thread, outstanding) ?? irp) { Guessed = driver.Guessed };
        if (waiter is not null)
            return new StuckThread(thread, HoldOf(thread, waiter), ModuleOffset.Function(waiter.Name), irp) { Guessed = waiter.Guessed };

        if (Infer(thread, irp) is { } inferred) return new StuckThread(thread, inferred, null, irp) { Inferred = true };

        var uncancellable = outstanding.FirstOrDefault(i => !i.Cancel && i.Locations.Any(l => l is { Current: true, Major: IrpMajor.Create or IrpMajor.Cleanup or IrpMajor.Close }));
        return uncancellable is not null && thread.Stack.Count > 0
            ? new StuckThread(thread, Hold.UncancellableRequest, null, uncancellable)
            : new StuckThread(thread, Hold.Unexplained, null, irp);
    }

    /// <summary>
    /// The IRP for whose completion a driver on the thread's stack waits: its event is the IRP's UserEvent (IoBuildDeviceIoControlRequest), or what a
    /// completion routine gets as its context (a filter that waits for the drivers below, the documented way).
    /// </summary>
    private static IrpRecord? AwaitedBy(ThreadRecord thread, IReadOnlyList<IrpRecord> outstanding) => thread.WaitObject is not { } wait ? null
        : outstanding.FirstOrDefault(i => wait.BelongsTo?.StartsWith($"IRP {i.Address} ", StringComparison.Ordinal) == true || i.Locations.Any(l => l.Context == wait.Address));

    /// <summary>A driver still has it: the current location lies within the stack. Above the top it is completed and only its APC is due.</summary>
    private static bool IsOutstanding(IrpRecord irp) => irp.CurrentLocation >= 1 && irp.CurrentLocation <= irp.StackCount;

    /// <summary>What the wait and the IRP say of a thread on whose stack routines of nt have no names, or others than those that are known. Null: they say nothing.</summary>
    private static Hold? Infer(ThreadRecord thread, IrpRecord? irp)
    {
        if (irp is not { Cancel: true } || thread.WaitMode != ProcessorMode.KernelMode || thread.Alertable || thread.Stack.Count == 0) return null;
        var named = thread.Stack.All(f => f.Module != ModuleOffset.Kernel || f.Name.Contains('!'));
        // Read, write and control requests come by exported system services: NtDeviceIoControlFile, NtReadFile…
        var inSystemCall = thread.Stack.Any(f => f.Name.StartsWith("nt!Nt", StringComparison.Ordinal) && ModuleOffset.Function(f.Name).EndsWith("File", StringComparison.Ordinal));
        var file = irp.Locations.FirstOrDefault(l => l.Current)?.FileObject;
        return thread.WaitReason switch
        {
            WaitReason.Executive when irp.CancelRoutine is null && file is { } of && thread.WaitObject?.BelongsTo?.StartsWith($"File {of} ", StringComparison.Ordinal) == true => Hold.NoCancelRoutine,
            // Whatever a build of nt calls the routine that waits for it; a poll with names is one of those that are known, or something else.
            _ when named => null,
            WaitReason.DelayExecution when inSystemCall && irp.List == "thread" => Hold.CancelRoutineDidNotComplete,
            WaitReason.DelayExecution => Hold.Rundown,
            _ => null,
        };
    }

    private static Hold HoldOf(ThreadRecord thread, StackFrame waiter) => (ModuleOffset.Function(waiter.Name), thread.WaitReason) switch
    {
        (CancelAlertedRequest, WaitReason.Executive) => Hold.NoCancelRoutine,
        (CancelAlertedRequest, WaitReason.DelayExecution) => Hold.CancelRoutineDidNotComplete,
        (CancelThreadIo or CleanupProcessResources, _) => Hold.Rundown,
        _ => Hold.Unexplained,
    };

    /// <summary>The innermost driver on a stack; where that is a framework, the driver that called it, unless there is none.</summary>
    private static StackFrame? Waiting(IReadOnlyList<StackFrame> stack) =>
        stack.TakeWhile(f => ModuleOffset.Function(f.Name) is not (CancelAlertedRequest or CancelThreadIo or CleanupProcessResources)).FirstOrDefault(f => ModuleOffset.IsDriver(f.Module) && !ModuleOffset.IsFramework(f.Module))
        ?? stack.FirstOrDefault(f => ModuleOffset.IsDriver(f.Module));

    private static int Depth(ThreadRecord thread, StackFrame frame) => thread.Stack.ToList().IndexOf(frame);
}
