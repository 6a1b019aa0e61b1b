using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Core.Verdicts;

/// <summary>What the driver did wrong on the way, whatever became of the victim: bug checks, faults a target saw at once, IRPs given up.</summary>
internal static class FaultRules
{
    /// <summary>The I/O manager's five-minute limit for the IRPs of a dying thread was reached.</summary>
    internal const string CancelTimeout = "cancel-timeout";

    internal static IEnumerable<Finding> In(Testimony testimony) =>
        testimony.Evidence.OfType<BugChecked>().Select(Stopped)
            .Concat(testimony.Evidence.OfType<DriverFault>().GroupBy(f => (f.Id, f.By)).Select(g => Faulted(g.First(), g.Count())))
            .Concat(testimony.Evidence.OfType<IrpDisassociated>().GroupBy(d => d.Driver).Select(g => GivenUp(g.First(), g.Count(), g.All(d => Promised(testimony, d)))))
            .Concat(PendingRule.In(testimony))
            .Concat(CancelRule.In(testimony));

    private static Finding Stopped(BugChecked seen)
    {
        var bugCheck = new BugCheck(seen.Code);
        var parameters = string.Join(", ", seen.Parameters);
        return new Finding("bug-check-" + bugCheck.Hex, bugCheck.Name, bugCheck.Hex, seen.Parameters, Guilty(seen.By, seen.Stack),
            $"The machine stopped with {bugCheck.Hex} {bugCheck.Name} ({parameters}) at {Spelled.Clock(seen.At)}, raised by {seen.By} ({Citation.Of(seen)}).", Expected: false);
    }

    private static Finding Faulted(DriverFault seen, int times) =>
        new(seen.Id, seen.Id.Replace('-', ' '), null, [], Guilty(seen.By, [.. seen.Stack, .. seen.Block?.FreedBy ?? [], .. seen.Block?.AllocatedBy ?? []]),
            $"{seen.By} at {Spelled.Clock(seen.At)}: {seen.Detail.TrimEnd('.')}{(times > 1 ? $", {times} times" : "")} ({Citation.Of(seen)}).", Expected: false);

    private static bool Promised(Testimony testimony, IrpDisassociated seen) =>
        testimony.Story.Promises.OfType<IrpDisassociatedPromise>().Any(p => testimony.Of<IrpDisassociated>(p.Request, o => (o.Irp, o.Request)).Contains(seen));

    private static Finding GivenUp(IrpDisassociated seen, int irps, bool expected) =>
        new(CancelTimeout, "Canceled IRP not completed in five minutes", null, [], seen.Driver,
            $"{seen.Driver} had not completed {irps} cancelled IRP{(irps > 1 ? "s" : "")} on {seen.Device} when the I/O manager gave up at {Spelled.Clock(seen.At)} (IO_DRIVER_CANCEL_TIMEOUT, {Citation.Of(seen)}).", expected);

    // A bug check is often raised by the kernel on a driver's behalf: then the innermost driver frame is the one; and where no driver is on the
    // stack, whoever freed the pool that nt then stumbled over.
    private static string? Guilty(string by, IReadOnlyList<string> stack) =>
        stack.Prepend(by).Select(ModuleOffset.Module).FirstOrDefault(ModuleOffset.IsDriver);
}
