using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Reports;

/// <summary>What a kernel debugger would show of a process.</summary>
internal static class DebuggerView
{
    internal static IEnumerable<string> Of(ProcessRecord process)
    {
        yield return $"PROCESS {process.Address}  Cid: {process.Pid:x4}  Image: {process.Image}";
        foreach (var thread in process.Threads)
        {
            yield return $"  THREAD {thread.Address}  Cid {process.Pid:x4}.{thread.Tid:x4}  WAIT: ({thread.WaitReason}) {thread.WaitMode} {(thread.Alertable ? "Alertable" : "Non-Alertable")}";
            if (thread.WaitObject is { } waited) yield return $"      {waited.Address}  {waited.Type}  {waited.BelongsTo}";
            foreach (var irp in thread.Irps)
            {
                yield return $"    IRP {irp.Address}  ({irp.List} list)  Cancel: {irp.Cancel}  CancelRoutine: {irp.CancelRoutine ?? "none"}";
                foreach (var location in irp.Locations)
                    yield return $"    {(location.Current ? ">" : " ")} {location.Number}: {Verdicts.Spelled.Request(location.Major, location.Ioctl)}  {location.Device}  {location.Driver}";
            }

            foreach (var frame in thread.Stack) yield return $"    {HexText.Of(frame.StackPointer.Value)}  {frame.Name}";
        }
    }
}
