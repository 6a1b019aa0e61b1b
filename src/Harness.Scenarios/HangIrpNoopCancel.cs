using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>
/// As <see cref="HangIrp"/>; the driver has a cancel routine that completes nothing. IoCancelIrp found a routine, so the dying thread does not
/// wait for the completion but looks for it, every 10 ms.
/// </summary>
public sealed class HangIrpNoopCancel : Scenario
{
    public override string Name => "hang-irp-noop-cancel";

    public override string Summary => "as hang-irp, of a driver whose cancel routine runs and completes nothing: the client polls for ever";

    public override uint DefaultIoctl => MyFault.NoopCancel.Code;

    public override Story Tell(Choices choices)
    {
        var story = new HangIrp().Tell(choices);
        return choices.Expected == Outcome.Zombie ? story with { Promises = [.. story.Promises, new CancelRoutineRanPromise(Cast.Request)] } : story;
    }
}
