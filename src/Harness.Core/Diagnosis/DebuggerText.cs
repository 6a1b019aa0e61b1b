using System.Globalization;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// The records as a kernel debugger would print them, so that somebody who knows !process, !thread, !irp and k finds everything where it
/// always is. Pure functions: what isn't in the records isn't here.
/// </summary>
public static class DebuggerText
{
    /// <summary>The process, its threads with their IRP lists, then each IRP whole and each thread's stack. Of threads that are alike, the first is told whole.</summary>
    public static IReadOnlyList<string> Of(ProcessRecord process)
    {
        var lines = new List<string>(Process(process));
        var told = new Dictionary<string, ThreadRecord>();
        foreach (var thread in process.Threads)
        {
            lines.Add("");
            if (!told.TryAdd(Likeness(thread), thread))
            {
                lines.AddRange(Head(thread, process.Pid));
                lines.Add($"Stack and stack locations as of tid {told[Likeness(thread)].Tid}");
                continue;
            }
            lines.AddRange(Thread(thread, process.Pid));
            foreach (var irp in thread.Irps)
            {
                lines.Add("");
                lines.AddRange(Irp(irp));
            }
        }

        return lines;
    }

    /// <summary>!process, without the threads.</summary>
    public static IReadOnlyList<string> Process(ProcessRecord process)
    {
        List<string> lines =
        [
            $"PROCESS {Digits(process.Address)}  Cid: {Id(process.Pid)} (pid {process.Pid})  Image: {process.Image}",
            $"    {(process.Listed ? "on" : "not on")} the active process list{(process.FoundIn is null ? "" : $" (found in {process.FoundIn})")}, {Flags(process)}process object {(process.Signalled ? "signalled" : "not signalled")}",
            $"    ExitStatus: {process.ExitStatus.Hex}{(process.ExitStatus.ToString() == process.ExitStatus.Hex ? "" : " " + process.ExitStatus)}  Threads: {process.Threads.Count}",
        ];
        foreach (var note in process.Notes ?? []) lines.Add("    (!) " + note);
        return lines;
    }

    /// <summary>!thread: what it waits for, its IRP list, its stack.</summary>
    /// <param name="thread">The thread.</param>
    /// <param name="pid">Its process's ID, the first half of the Cid.</param>
    public static IReadOnlyList<string> Thread(ThreadRecord thread, int pid)
    {
        var lines = Head(thread, pid);
        lines.AddRange(Stack(thread.Stack));
        return lines;
    }

    /// <summary>The same call sites, the same wait, and requests of one kind with one driver.</summary>
    private static string Likeness(ThreadRecord thread) => string.Join('\n',
        [
            State(thread), .. thread.Stack.Select(frame => frame.Name),
            .. thread.Irps.SelectMany(irp => irp.Locations.Select(l => $"{irp.List} {irp.Cancel} {irp.CancelRoutine} {irp.CurrentLocation} {l.Number} {l.Major} {l.Ioctl} {l.DeviceAddress} {l.CompletionRoutine}")),
        ]);

    private static List<string> Head(ThreadRecord thread, int pid)
    {
        var lines = new List<string> { $"THREAD {Digits(thread.Address)}  Cid {Id(pid)}.{Id(thread.Tid)} (tid {thread.Tid})  {State(thread)}" };
        if (thread.WaitObject is { } wait)
            lines.Add($"    {Digits(wait.Address)}  {wait.Type}{(wait.BelongsTo is null ? "" : "  " + wait.BelongsTo)}");
        if (thread.Irps.Count == 0) lines.Add("IRP List: empty");
        else lines.Add("IRP List:");
        foreach (var irp in thread.Irps)
            lines.Add($"    {Digits(irp.Address)}: (0006,{Hex(irp.Size, 4)}) Flags: {Hex(irp.Flags, 8)}  Cancel: {Bool(irp.Cancel)}  CancelRoutine: {irp.CancelRoutine ?? "none"}{OnFile(irp)}");
        return lines;
    }

    /// <summary>!irp: the stack locations from the first to receive it down, the current one marked with '>'.</summary>
    public static IReadOnlyList<string> Irp(IrpRecord irp)
    {
        List<string> lines =
        [
            $"Irp {Digits(irp.Address)} is {Standing(irp)}",
            $"    Held by {(irp.CurrentLocation > irp.StackCount ? "the I/O manager" : $"{irp.Holder ?? "(driver unknown)"} for {irp.Device ?? "(no device)"}")}",
            $"    Cancel: {Bool(irp.Cancel)}  CancelRoutine: {irp.CancelRoutine ?? "none"}  Thread: {Digits(irp.Thread)}{OnFile(irp)}",
            "     cmd  flg cl Device           File             Completion-Context",
        ];
        foreach (var location in irp.Locations) lines.AddRange(Location(location));
        lines.AddRange(DeviceStack(irp));
        return lines;
    }

    /// <summary>k: innermost frame first.</summary>
    public static IReadOnlyList<string> Stack(IReadOnlyList<StackFrame> frames)
    {
        if (frames.Count == 0) return ["Stack: not available"];
        var lines = new List<string> { "Child-SP          Call Site" };
        foreach (var frame in frames) lines.Add($"{Digits(frame.StackPointer)}  {frame.Name}{(frame.Guessed ? "  (a guess: found on the stack, not unwound to)" : "")}");
        return lines;
    }

    private static string Flags(ProcessRecord process) =>
        (process.Deleting ? "delete requested, " : "") + (process.Exiting ? "exiting, " : "");

    private static string State(ThreadRecord thread) => thread.State != ThreadState.Waiting
        ? thread.State.ToString().ToUpperInvariant()
        : $"WAIT: ({thread.WaitReason}) {thread.WaitMode} {(thread.Alertable ? "Alertable" : "Non-Alertable")}";

    private static string Standing(IrpRecord irp) => irp.CurrentLocation > irp.StackCount
        ? $"completed: {Plural(irp.StackCount)}, none is current"
        : $"active with {Plural(irp.StackCount)}, {irp.CurrentLocation} is current";

    private static IEnumerable<string> Location(IrpLocation location)
    {
        var major = $"{location.Major.NtName()}({Hex((byte)location.Major, 1)}), N/A({Hex(location.Minor, 1)})";
        var completion = location.CompletionRoutine is null ? "none" : $"{location.CompletionRoutine}-{Digits(location.Context)}";
        yield return $"{(location.Current ? '>' : ' ')}{location.Number,3} [{major}]";
        yield return $"           {Hex(location.Flags, 2)} {Hex(location.Control, 2)} {Digits(location.DeviceAddress)} {Digits(location.FileObject)} {completion}{(location.Pending ? "  pending" : "")}";
        if (location.DeviceAddress.IsNull) yield break;
        yield return $"           {location.Driver ?? "(driver unknown)"}  {location.Device}{(location.Ioctl is { } code ? "  IoControlCode: 0x" + Hex(code, 8) : "")}";
        if (location.Arguments.Count > 0) yield return $"           Args: {string.Join(" ", location.Arguments.Select(argument => Hex(argument.Value, 8)))}";
    }

    /// <summary>!devstack of the device that has the IRP, where others are attached to it.</summary>
    private static IEnumerable<string> DeviceStack(IrpRecord irp)
    {
        if (irp.DeviceStack is not { } devices) yield break;
        yield return "  !DevObj           !DrvObj";
        foreach (var device in devices)
            yield return $"{(irp.Locations.Any(l => l.Current && l.DeviceAddress == device.Address) ? '>' : ' ')} {Digits(device.Address)}  {device.Driver ?? "(driver unknown)"}  {device.Name}";
    }

    private static string OnFile(IrpRecord irp) => irp.List switch { "thread" => "", "pool" => "  (on no list, found in pool)", var list => $"  (on the {list}'s list)" };

    private static string Plural(int locations) => locations == 1 ? "1 stack location" : $"{locations} stack locations";

    private static string Bool(bool value) => value ? "TRUE" : "FALSE";

    private static string Id(int id) => Hex((uint)id, 4);

    private static string Digits(KernelAddress address) => Hex(address.Value, 16);

    private static string Hex(ulong value, int digits) => value.ToString("x" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}
