using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>The NTSTATUS behind a Win32 function's error code: of several that become one code, the one that it was.</summary>
[SupportedOSPlatform("windows")]
public static partial class LastStatus
{
    /// <summary>Of the call that has just failed on this thread.</summary>
    public static NtStatus OfThisThread()
    {
        var code = Marshal.GetLastPInvokeError();
        var status = new NtStatus(RtlGetLastNtStatus());
        // The thread may have made another call since, which left its own.
        return status.Value != 0 && ToCode(status) == code ? status : WindowsException.ToStatus(code);
    }

    /// <summary>The Win32 error code that a status becomes.</summary>
    public static int ToCode(NtStatus status) => (int)RtlNtStatusToDosError(status.Value);

    // phnt ntrtl.h: TEB.LastStatusValue, which RtlNtStatusToDosError sets.
    [LibraryImport("ntdll")]
    private static partial uint RtlGetLastNtStatus();

    // learn.microsoft.com/windows/win32/api/winternl/nf-winternl-rtlntstatustodoserror
    [LibraryImport("ntdll")]
    private static partial uint RtlNtStatusToDosError(uint status);
}
