namespace Harness.Emulation.Kernel;

/// <summary>The run-time library: what drivers call as C and as Rtl. Memory is touched on behalf of the caller (<see cref="DriverMemory"/>).</summary>
internal static partial class Rtl
{
    public static void Define(NtRoutines nt)
    {
        DefineExceptions(nt);
        DefineUnwinding(nt);
        DefineMemory(nt);
        DefineCharacters(nt);
        DefineStrings(nt);
        DefineDebug(nt);
    }
}
