using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>What a machine says of itself before somebody loads a driver with defects into its kernel.</summary>
/// <param name="Elevated">This process may load drivers.</param>
/// <param name="TestSigning">bcdedit's testsigning is on: nobody has that on a machine that matters. Null: the machine does not tell.</param>
/// <param name="VirtualMachine">Whose virtual machine it is; null on a physical one.</param>
/// <param name="Wine">Wine's version; null on Windows. Wine runs drivers as user-mode code and checks no signature.</param>
public sealed record TestMachine(bool Elevated, bool? TestSigning, string? VirtualMachine, string? Wine)
{
    /// <summary>Why nothing is begun here, and what would help; null when it may begin.</summary>
    /// <param name="vouched">--i-know-this-machine.</param>
    public string? Refusal(bool vouched)
    {
        if (!Elevated) return "loading a driver needs an elevated process: run it as an administrator";
        if (Wine is null && TestSigning != true)
            return $"test signing is {(TestSigning is null ? "not known to be on" : "off")}, so this may be a machine that matters; on a test machine: 'bcdedit /set testsigning on', Secure Boot off, restart";
        if (vouched) return null;
        return Wine is not null ? $"this is Wine {Wine} and not Windows; --i-know-this-machine runs the driver there all the same"
            : VirtualMachine is null ? "this is no virtual machine, and a driver with defects can take it down; --i-know-this-machine if it may"
            : null;
    }

    /// <summary>"elevated, test signing on, virtual machine (Hyper-V)".</summary>
    public override string ToString() =>
        $"{(Elevated ? "elevated" : "not elevated")}, {(Wine is not null ? $"Wine {Wine}" : TestSigning switch { true => "test signing on", false => "test signing off", null => "test signing unknown" })}, {(VirtualMachine is null ? "physical machine" : $"virtual machine ({VirtualMachine})")}";

    /// <summary>Asks this machine.</summary>
    [SupportedOSPlatform("windows")]
    public static TestMachine Probe() =>
        new(Environment.IsPrivilegedProcess, SystemInformation.TestSigning, Hypervisor.OfThisMachine().VirtualMachine, WineVersion());

    // Where it is Wine, its ntdll says so (wiki.winehq.org/Developer_FAQ).
    [SupportedOSPlatform("windows")]
    private static unsafe string? WineVersion() =>
        NativeLibrary.TryLoad("ntdll.dll", out var ntdll) && NativeLibrary.TryGetExport(ntdll, "wine_get_version", out var version)
            ? Marshal.PtrToStringUTF8((nint)((delegate* unmanaged[Cdecl]<byte*>)version)()) : null;
}
