namespace Harness.Emulation.Kernel;

/// <summary>The run-time library: strings, memory, bitmaps, numbers.</summary>
internal static partial class Rtl
{
    public static void Define(NtRoutines nt)
    {
    }
}
