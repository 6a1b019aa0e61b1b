namespace Harness.Emulation.Kernel;

/// <summary>The kernel core: threads and processors, waits, APCs, DPCs, timers, IRQL, spin locks.</summary>
internal static partial class Ke
{
    public const byte PassiveLevel = 0, ApcLevel = 1, DispatchLevel = 2, HighLevel = 15;

    public static void Define(NtRoutines nt)
    {
        DefineSwitching(nt);
        DefineWaits(nt);
        DefineApcs(nt);
        DefineDpcs(nt);
        DefineTimers(nt);
        DefineObjects(nt);
        DefineLocks(nt);
        DefineProcessor(nt);
        DefineExceptions(nt);
        DefineAttaching(nt);
    }
}
