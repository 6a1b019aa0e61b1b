using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Harness.Windows.Native;

/// <summary>Privileges that an elevated process has, and has to enable before it can use them.</summary>
[SupportedOSPlatform("windows")]
public static partial class Privilege
{
    /// <summary>SE_DEBUG_NAME: open any process, see addresses of the kernel, write a live dump of it.</summary>
    public const string Debug = "SeDebugPrivilege";

    private const uint AdjustPrivileges = 0x20, QueryToken = 0x8, Enabled = 2;
    private const int NotAllAssigned = 1300;

    /// <summary>Enables a privilege for this process; false when its token does not have it.</summary>
    public static bool Enable(string name)
    {
        if (!OpenProcessToken(ProcessHandle.OfThisProcess, AdjustPrivileges | QueryToken, out var raw)) return false;
        using var token = new SafeAccessTokenHandle(raw);
        if (!LookupPrivilegeValue(null, name, out var luid)) return false;
        var state = new TokenPrivileges { Count = 1, Luid = luid, Attributes = Enabled };
        // It succeeds also when it did nothing, and tells by the error code.
        return AdjustTokenPrivileges(token, disableAll: false, in state, 0, 0, 0) && Marshal.GetLastPInvokeError() != NotAllAssigned;
    }

    /// <summary>TOKEN_PRIVILEGES of winnt.h with one LUID_AND_ATTRIBUTES: 0x10 bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Pack = 4)]
    internal struct TokenPrivileges
    {
        public uint Count;
        public ulong Luid;
        public uint Attributes;
    }

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-openprocesstoken
    [LibraryImport("advapi32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool OpenProcessToken(nint process, uint access, out nint token);

    // learn.microsoft.com/windows/win32/api/winbase/nf-winbase-lookupprivilegevaluew
    [LibraryImport("advapi32", EntryPoint = "LookupPrivilegeValueW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool LookupPrivilegeValue(string? system, string name, out ulong luid);

    // learn.microsoft.com/windows/win32/api/securitybaseapi/nf-securitybaseapi-adjusttokenprivileges
    [LibraryImport("advapi32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool AdjustTokenPrivileges(SafeAccessTokenHandle token, [MarshalAs(UnmanagedType.Bool)] bool disableAll, in TokenPrivileges state, uint length, nint previous, nint returned);
}
