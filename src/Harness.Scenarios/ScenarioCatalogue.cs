using Harness.Core.Stories;

namespace Harness.Scenarios;

/// <summary>Every scenario there is.</summary>
public static class ScenarioCatalogue
{
    /// <summary>In the order in which <c>driverfault list</c> tells them and <c>driverfault run</c> runs them.</summary>
    public static readonly IReadOnlyList<Scenario> All = 
    [
        new HangIrp(), new HangIrpRelease(), new PendThenTerminate(), new PendThenCancel(),
        new HangIrpOverlapped(), new HangIrpCompletionPort(), new HangIrpMany(), new HangIrpNoopCancel(), new HangCreate(),
        new CloseWhileHung(), new TerminateTwice(), new TerminateThenRelease(), new OrphanThenComplete(),
    ];

    /// <summary>The scenario of this name; case does not matter. Null when there is none.</summary>
    public static Scenario? Named(string name) =>
        All.FirstOrDefault(scenario => string.Equals(scenario.Name, name, StringComparison.OrdinalIgnoreCase));
}
