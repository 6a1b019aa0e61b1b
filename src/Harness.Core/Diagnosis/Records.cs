using System.Text.Json.Serialization;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>A process as !process shows it.</summary>
/// <param name="Address">EPROCESS.</param>
/// <param name="Pid">EPROCESS.UniqueProcessId.</param>
/// <param name="Image">EPROCESS.ImageFileName.</param>
/// <param name="Listed">It is on the active process list.</param>
/// <param name="Deleting">EPROCESS.Flags bit ProcessDelete: termination was asked for.</param>
/// <param name="Signalled">The process object's SignalState.</param>
/// <param name="ExitStatus">EPROCESS.ExitStatus.</param>
/// <param name="Threads">Threads on EPROCESS.ThreadListHead, those that have ended left out.</param>
public sealed record ProcessRecord(KernelAddress Address, int Pid, string Image, bool Listed, bool Deleting, bool Signalled, NtStatus ExitStatus, IReadOnlyList<ThreadRecord> Threads)
{
    /// <summary>EPROCESS.Flags bit ProcessExiting: the last thread is on its way out.</summary>
    public bool Exiting { get; init; }

    /// <summary>Where it was found when it is not on the active process list: "the table of process IDs", "pool"; else null.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? FoundIn { get; init; }

    /// <summary>What of this process could not be read or contradicts itself; null when nothing. What is not told with a note must not be taken for absent.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Notes { get; init; }
}

/// <summary>A thread as !thread shows it.</summary>
/// <param name="Address">ETHREAD.</param>
/// <param name="Tid">ETHREAD.Cid.UniqueThread.</param>
/// <param name="State">KTHREAD.State.</param>
/// <param name="WaitReason">KTHREAD.WaitReason; meaningful while Waiting.</param>
/// <param name="WaitMode">KTHREAD.WaitMode.</param>
/// <param name="Alertable">KTHREAD.Alertable.</param>
/// <param name="WaitObject">The object of the first wait block; null when it doesn't wait.</param>
/// <param name="Stack">Innermost first, unwound from guest memory; empty for a running thread.</param>
/// <param name="Irps">Outstanding IRPs: those on ETHREAD.IrpList, then those on the lists of file objects that this thread's process holds.</param>
public sealed record ThreadRecord(KernelAddress Address, int Tid,
    [property: JsonConverter(typeof(JsonStringEnumConverter<ThreadState>))] ThreadState State,
    [property: JsonConverter(typeof(JsonStringEnumConverter<WaitReason>))] WaitReason WaitReason,
    [property: JsonConverter(typeof(JsonStringEnumConverter<ProcessorMode>))] ProcessorMode WaitMode,
    bool Alertable, WaitObject? WaitObject, IReadOnlyList<StackFrame> Stack, IReadOnlyList<IrpRecord> Irps);

/// <summary>What a thread waits for.</summary>
/// <param name="Address">The dispatcher object.</param>
/// <param name="Type">"NotificationEvent", "SynchronizationEvent", "Timer", "Mutant", "Semaphore", "Thread", "Process", "Queue"….</param>
/// <param name="BelongsTo">What it is part of, when that can be told: "File 0x… \Device\X (Event)", "Thread 0x… (Timer)".</param>
public sealed record WaitObject(KernelAddress Address, string Type, string? BelongsTo);

/// <summary>One frame of a kernel stack.</summary>
/// <param name="Address">The instruction the frame will go on at.</param>
/// <param name="StackPointer">RSP in that frame.</param>
/// <param name="Name">"nt!IopCancelAlertedRequest+0x6d", "driver.sys+0x1234", or the address.</param>
/// <param name="Module">"nt", "driver.sys"; null outside any module.</param>
public sealed record StackFrame(KernelAddress Address, KernelAddress StackPointer, string Name, string? Module)
{
    /// <summary>
    /// Nobody returned here as far as unwind information tells: the stack was searched for it, because a frame below could not be unwound. It may be
    /// the remains of an earlier call.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Guessed { get; init; }
}

/// <summary>An IRP as !irp shows it.</summary>
/// <param name="Address">The IRP.</param>
/// <param name="List">"thread" (ETHREAD.IrpList) or "file" (FILE_OBJECT.IrpList); "pool": on neither, found by its pool tag.</param>
/// <param name="Cancel">IRP.Cancel.</param>
/// <param name="CancelRoutine">"driver.sys+0x1234"; null when the pointer is null.</param>
/// <param name="StackCount">Number of stack locations.</param>
/// <param name="CurrentLocation">1…StackCount while a driver holds it; StackCount+1 above the top.</param>
/// <param name="Thread">IRP.Tail.Overlay.Thread.</param>
/// <param name="Locations">From location StackCount (first to receive it) down to 1.</param>
/// <param name="Holder">The driver of the current location: who has the IRP now. Null when none does.</param>
/// <param name="Device">The device of the current location, its name or address.</param>
public sealed record IrpRecord(KernelAddress Address, string List, bool Cancel, string? CancelRoutine, int StackCount, int CurrentLocation, KernelAddress Thread,
    IReadOnlyList<IrpLocation> Locations, string? Holder, string? Device)
{
    /// <summary>IRP.Size in bytes, stack locations included.</summary>
    public ushort Size { get; init; }

    /// <summary>IRP.Flags (IRP_XXX of wdm.h).</summary>
    [JsonConverter(typeof(HexUInt32Json))] public uint Flags { get; init; }

    /// <summary>The devices attached to each other of which the current location's is one, the highest first, as !devstack shows them; null when it stands alone.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<AttachedDevice>? DeviceStack { get; init; }
}

/// <summary>A device in a stack of devices.</summary>
/// <param name="Address">DEVICE_OBJECT.</param>
/// <param name="Name">"\Device\X", or the address when unnamed.</param>
/// <param name="Driver">Its driver's module, "driver.sys"; null when it cannot be told.</param>
public sealed record AttachedDevice(KernelAddress Address, string Name, string? Driver);

/// <summary>One I/O stack location.</summary>
/// <param name="Number">1 = lowest.</param>
/// <param name="Current">The IRP's current location.</param>
/// <param name="Major">IRP_MJ code.</param>
/// <param name="Minor">IRP_MN code.</param>
/// <param name="Ioctl">The I/O control code for DeviceControl.</param>
/// <param name="Pending">SL_PENDING_RETURNED.</param>
/// <param name="DeviceAddress">DEVICE_OBJECT.</param>
/// <param name="Device">"\Device\X", or the address when unnamed.</param>
/// <param name="Driver">The module that holds the driver object's code, "driver.sys".</param>
/// <param name="FileObject">FILE_OBJECT.</param>
/// <param name="CompletionRoutine">"driver.sys+0x1234" or null.</param>
public sealed record IrpLocation(int Number, bool Current,
    [property: JsonConverter(typeof(JsonStringEnumConverter<IrpMajor>))] IrpMajor Major,
    byte Minor,
    [property: JsonConverter(typeof(HexNullableUInt32Json))] uint? Ioctl,
    bool Pending, KernelAddress DeviceAddress, string? Device, string? Driver, KernelAddress FileObject, string? CompletionRoutine)
{
    /// <summary>Flags (SL_XXX of wdm.h whose meaning depends on the major function).</summary>
    public byte Flags { get; init; }

    /// <summary>Control (SL_PENDING_RETURNED, SL_INVOKE_ON_XXX).</summary>
    public byte Control { get; init; }

    /// <summary>Parameters.Others.Argument1…4, raw; for an I/O control: output length, input length, code, Type3InputBuffer.</summary>
    public IReadOnlyList<KernelAddress> Arguments { get; init; } = [];

    /// <summary>The completion routine's context.</summary>
    public KernelAddress Context { get; init; }
}
