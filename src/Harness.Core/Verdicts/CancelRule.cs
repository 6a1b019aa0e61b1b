using Harness.Core.Evidence;
using Harness.Core.Nt;

namespace Harness.Core.Verdicts;

/// <summary>
/// A cancel routine that completes its IRP does so with STATUS_CANCELLED and nothing transferred (learn.microsoft.com, "Implementing a Cancel
/// Routine"). What is completed by others while it runs is not its business.
/// </summary>
internal static class CancelRule
{
    internal const string OtherStatus = "cancelled-with-other-status";

    internal static IEnumerable<Finding> In(Testimony testimony)
    {
        var running = new Dictionary<KernelAddress, CancelRequested>();
        foreach (var seen in testimony.Evidence)
        {
            switch (seen)
            {
                case CancelRequested { CancelRoutine: not null } o:
                    running[o.Irp] = o;
                    break;
                case CancelRoutineReturned o:
                    running.Remove(o.Irp);
                    break;
                case IrpCompleted o when running.Remove(o.Irp, out var cancel) && o.Status != NtStatus.Cancelled && ModuleOffset.Module(o.By) == ModuleOffset.Module(cancel.CancelRoutine!):
                    yield return new Finding(OtherStatus, "A cancelled IRP completed with another status", null, [], ModuleOffset.Module(o.By),
                        $"{o.By} completed IRP {o.Irp}, which its cancel routine {cancel.CancelRoutine} was called for, with {o.Status} instead of STATUS_CANCELLED ({Citation.Of(cancel)}, {Citation.Of(o)}): its caller takes the request for done.", Expected: false);
                    break;
            }
        }
    }
}
