namespace Harness.HyperV;

/// <summary>How long each step may take, and how often one that may succeed later is tried again.</summary>
/// <param name="Check">Looking at host and machine.</param>
/// <param name="Restore">Going back to the checkpoint; a physical machine's restart.</param>
/// <param name="Connect">A boot, until the guest takes commands; after a bug check with the time to write its dump.</param>
/// <param name="Copy">A copy into the guest or out of it, without a dump.</param>
/// <param name="Run">A story in the guest.</param>
/// <param name="Dump">Writing or fetching a kernel dump.</param>
/// <param name="Tries">Further tries of a step.</param>
/// <param name="Pause">Before the first of them; each later one waits twice as long.</param>
public sealed record Patience(TimeSpan Check, TimeSpan Restore, TimeSpan Connect, TimeSpan Copy, TimeSpan Run, TimeSpan Dump, int Tries, TimeSpan Pause)
{
    /// <summary>Of a guest with 4 GiB on an SSD, with room to spare; nobody has measured it yet.</summary>
    public static readonly Patience Usual = new(TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(32), TimeSpan.FromMinutes(20), 3, TimeSpan.FromSeconds(5));

    /// <summary>When the guest's own harness stops a story: early enough to clean up and to tell why before the guest is given up.</summary>
    public TimeSpan Story => Run > 2 * Check ? Run - Check : Run / 2;
}
