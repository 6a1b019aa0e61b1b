using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>
/// The object that <c>--format json</c> prints for a run. Addresses, codes and status values are "0x…" strings; states, wait reasons and
/// modes are spelled as NT spells them ("Waiting", "Executive", "KernelMode"), major functions as wdm.h does ("IRP_MJ_DEVICE_CONTROL").
/// What is told of the victim, its threads and IRPs was seen at the story's last checkpoint; a run that stopped before leaves it null or empty.
/// </summary>
/// <param name="Scenario">The scenario's name.</param>
/// <param name="Target">The target's name.</param>
/// <param name="Verdict">"pass", "fail", "inconclusive" or "error".</param>
/// <param name="Because">Why: who, what, how long; of an inconclusive run what kept it from being judged.</param>
/// <param name="Outcome">"zombie", "ended", "notPending", or null when it cannot be told.</param>
/// <param name="After">Milliseconds of the run's clock, from the termination request to the process object's signal; null unless it ended by it.</param>
/// <param name="Findings">What the driver did wrong, expected or not.</param>
/// <param name="Process">The victim; null when no line of evidence names it.</param>
/// <param name="Thread">The thread that still keeps the terminated victim alive at the last checkpoint, else null.</param>
/// <param name="Threads">All threads of the victim at the last checkpoint.</param>
/// <param name="Irps">Their outstanding IRPs, each once.</param>
/// <param name="RunFolder">Absolute path.</param>
/// <param name="Replay">The command line that runs it again.</param>
public sealed record RunLine(string Scenario, string Target, Verdict Verdict, string Because, Outcome? Outcome, decimal? After, IReadOnlyList<FindingLine> Findings,
    ProcessLine? Process, ThreadLine? Thread, IReadOnlyList<ThreadLine> Threads, IReadOnlyList<IrpLine> Irps, string RunFolder, string Replay);

/// <summary>A finding.</summary>
/// <param name="Id">The rule that found it, "zombie-no-cancel-routine".</param>
/// <param name="Title">A few words.</param>
/// <param name="Code">A bug check's code, "0x44"; else null.</param>
/// <param name="Parameters">A bug check's parameters.</param>
/// <param name="Driver">The guilty driver's module; null when it cannot be told.</param>
/// <param name="Says">One or two sentences.</param>
public sealed record FindingLine(string Id, string Title, string? Code, IReadOnlyList<KernelAddress> Parameters, string? Driver, string Says);

/// <summary>The victim.</summary>
/// <param name="Pid">Its process ID.</param>
/// <param name="Image">"victim.exe".</param>
/// <param name="Listed">In the process list at the last checkpoint; null: nobody looked.</param>
/// <param name="Signalled">Its process object is signalled; null: nobody looked.</param>
/// <param name="TerminateStatus">What TerminateProcess returned, "0x00000000"; null when nobody terminated it.</param>
public sealed record ProcessLine(int Pid, string Image, bool? Listed, bool? Signalled, string? TerminateStatus);

/// <summary>A thread, from kernel memory.</summary>
/// <param name="Tid">Its thread ID.</param>
/// <param name="State">KTHREAD_STATE.</param>
/// <param name="WaitReason">KWAIT_REASON.</param>
/// <param name="WaitMode">KPROCESSOR_MODE.</param>
/// <param name="Alertable">KTHREAD.Alertable.</param>
/// <param name="WaitObject">The object it waits for, <c>{address, type, belongsTo}</c>; null when it doesn't wait.</param>
/// <param name="KernelStack">Innermost first, "nt!IopCancelAlertedRequest+0x6d"; " (a guess)" after one that was found by searching the stack.</param>
public sealed record ThreadLine(int Tid, string State, string WaitReason, string WaitMode, bool Alertable, WaitObject? WaitObject, IReadOnlyList<string> KernelStack)
{
    internal static ThreadLine Of(ThreadRecord thread) => new(thread.Tid, thread.State.ToString(), thread.WaitReason.ToString(), thread.WaitMode.ToString(),
        thread.Alertable, thread.WaitObject, [.. thread.Stack.Select(f => f.Guessed ? f.Name + " (a guess)" : f.Name)]);
}

/// <summary>An outstanding IRP, from kernel memory.</summary>
/// <param name="Address">The IRP.</param>
/// <param name="List">"thread" or "file".</param>
/// <param name="Cancel">IRP.Cancel.</param>
/// <param name="CancelRoutine">"driver.sys+0x1234" or null.</param>
/// <param name="Major">Of the current stack location; null when there is none.</param>
/// <param name="Ioctl">The I/O control code; null for other requests.</param>
/// <param name="Device">Of the current stack location.</param>
/// <param name="Driver">The driver that has the IRP now.</param>
/// <param name="StackLocation">Number of the current stack location, 1 = lowest.</param>
public sealed record IrpLine(KernelAddress Address, string List, bool Cancel, string? CancelRoutine, string? Major, string? Ioctl, string? Device, string? Driver, int StackLocation)
{
    internal static IrpLine Of(IrpRecord irp)
    {
        var location = irp.Locations.FirstOrDefault(l => l.Current);
        return new IrpLine(irp.Address, irp.List, irp.Cancel, irp.CancelRoutine, location?.Major.NtName(),
            location?.Ioctl is { } code ? HexText.Of(code) : null, irp.Device, irp.Holder, irp.CurrentLocation);
    }
}
