using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Harness.Windows.Native;

/// <summary>A handle of an object of the kernel, which CloseHandle closes.</summary>
[SupportedOSPlatform("windows")]
public abstract partial class KernelHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    protected KernelHandle()
        : base(ownsHandle: true)
    {
    }

    /// <summary>The handle that a call has returned; null when it is none.</summary>
    private protected static T? Usable<T>(T handle) where T : KernelHandle
    {
        if (!handle.IsInvalid) return handle;
        handle.Dispose();
        return null;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => CloseHandle(handle);

    // learn.microsoft.com/windows/win32/api/handleapi/nf-handleapi-closehandle
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    internal static partial bool CloseHandle(nint handle);
}
