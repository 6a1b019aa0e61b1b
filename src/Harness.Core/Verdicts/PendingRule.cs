using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;

namespace Harness.Core.Verdicts;

/// <summary>
/// A dispatch routine returns STATUS_PENDING if and only if it marked the IRP pending (learn.microsoft.com, IoMarkIrpPending). Told when the
/// IRP is finished: until then a completion routine may still mark it.
/// </summary>
internal static class PendingRule
{
    internal const string NotMarked = "pending-not-marked", NotReturned = "pending-not-returned";

    internal static IEnumerable<Finding> In(Testimony testimony)
    {
        var sent = new Dictionary<KernelAddress, IrpSent>();
        var returned = new Dictionary<KernelAddress, DispatchReturned>();
        var finished = new Dictionary<KernelAddress, IrpFinished>();
        foreach (var seen in testimony.Evidence)
        {
            switch (seen)
            {
                // An IRP is sent to its top driver first; an address may be another IRP's later.
                case IrpSent s when !sent.TryGetValue(s.Irp, out var top) || finished.ContainsKey(s.Irp) || s.StackLocation >= top.StackLocation:
                    sent[s.Irp] = s;
                    returned.Remove(s.Irp);
                    finished.Remove(s.Irp);
                    continue;
                case DispatchReturned d:
                    returned[d.Irp] = d;
                    break;
                case IrpFinished f:
                    finished[f.Irp] = f;
                    break;
                default:
                    continue;
            }
            var irp = seen is DispatchReturned r ? r.Irp : ((IrpFinished)seen).Irp;
            if (sent.TryGetValue(irp, out var call) && returned.TryGetValue(irp, out var back) && finished.TryGetValue(irp, out var end) && Broken(call, back, end) is { } finding)
                yield return finding;
        }
    }

    private static Finding? Broken(IrpSent call, DispatchReturned back, IrpFinished end)
    {
        var pending = back.Status == NtStatus.Pending;
        if (pending == end.PendingReturned) return null;
        var request = Spelled.Request(call.Major, call.Ioctl);
        return pending
            ? new Finding(NotMarked, "STATUS_PENDING returned for an IRP that was not marked pending", null, [], call.Driver,
                $"{call.Driver} returned STATUS_PENDING for IRP {call.Irp} ({request}) without IoMarkIrpPending: completed with an error, it leaves its caller waiting for ever ({Citation.Of(back)}, {Citation.Of(end)}).", Expected: false)
            : new Finding(NotReturned, "IRP marked pending, but STATUS_PENDING not returned", null, [], call.Driver,
                $"{call.Driver} marked IRP {call.Irp} ({request}) pending and returned {back.Status} instead of STATUS_PENDING ({Citation.Of(back)}, {Citation.Of(end)}).", Expected: false);
    }
}
