namespace Harness.Emulation.Kernel;

/// <summary>System services as drivers call them: with PreviousMode = KernelMode.</summary>
internal static partial class Zw
{
    public static void Define(NtRoutines nt)
    {
    }
}
