namespace Harness.Windows.Native;

/// <summary>What is usually behind an error code when a test driver is installed, started, opened or removed. Codes: learn.microsoft.com, "System Error Codes".</summary>
public static class LikelyCause
{
    /// <summary>StartService fails so where the system did not load the file: its DriverEntry was not called.</summary>
    public static bool IsBeforeEntry(int code) => code is 3 or 127 or 193 or 216 or 577 or 1058 or 1275;

    /// <summary>The cause and the cure; null where the system's own text says as much.</summary>
    public static string? Of(int code) => code switch
    {
        2 => "the driver's file is not where its service says, or the device has no such name; the driver may not have made it",
        3 => "a folder in the driver's path is not there",
        5 => "run it elevated, as an administrator",
        31 => "the driver's DriverEntry failed",
        37 => "the driver's DriverEntry failed",
        127 => "the driver imports a routine that this kernel does not export",
        193 => "the file is not a driver for x64",
        216 => "the file is not a driver for x64",
        577 => "the driver is not signed for this machine: sign it with driver/myfault/sign and name the signed file with --driver, 'bcdedit /set testsigning on', Secure Boot off, restart",
        1053 => "the driver's DriverEntry has not come back",
        1056 => "the driver is loaded already: another run has it, or an older one could not stop it",
        1058 => "the service is disabled, or was deleted and waits for its last handle",
        1060 => "the service is not installed",
        1062 => "the driver is not loaded",
        1072 => "the service was deleted, and somebody still has a handle of it (services.msc, or a driver that cannot be unloaded); it goes with the last of them, or when the machine restarts",
        1073 => "a service of this name is installed already",
        1275 => "Windows has blocked the driver: the vulnerable driver blocklist, memory integrity, or a policy; see Windows Security, Device security, and the CodeIntegrity event log",
        1450 or 8 => "the machine is out of memory",
        1052 => "the driver cannot be stopped: it has no DriverUnload, or somebody has a device of it open",
        _ => null,
    };
}
