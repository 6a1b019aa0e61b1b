using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>A handle of a thread.</summary>
[SupportedOSPlatform("windows")]
public sealed partial class ThreadHandle : KernelHandle
{
    private const uint TerminateRight = 0x0001, QueryInformation = 0x0040;
    private const int ThreadIsIoPending = 16;

    /// <summary>The calling thread's identifier.</summary>
    public static int CurrentId => (int)GetCurrentThreadId();

    /// <summary>Opens a thread to ask about its I/O; null when it is gone or refused.</summary>
    public static ThreadHandle? ToAsk(int tid) => Usable(OpenThread(QueryInformation, inherit: false, (uint)tid));

    /// <summary>Opens a thread to cancel its synchronous I/O; null when it is gone or refused.</summary>
    public static ThreadHandle? ToCancel(int tid) => Usable(OpenThread(TerminateRight, inherit: false, (uint)tid));

    /// <summary>ThreadIsIoPending: there are IRPs on the thread's list. Null when the system does not say.</summary>
    public unsafe bool? IsIoPending
    {
        get
        {
            uint pending = 0;
            return new NtStatus(NtQueryInformationThread(this, ThreadIsIoPending, &pending, sizeof(uint), null)).IsSuccess ? pending != 0 : null;
        }
    }

    /// <summary>CancelSynchronousIo.</summary>
    public NtStatus CancelSynchronous() => CancelSynchronousIo(this) ? NtStatus.Success : LastStatus.OfThisThread();

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getcurrentthreadid
    [LibraryImport("kernel32")]
    private static partial uint GetCurrentThreadId();

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-openthread
    [LibraryImport("kernel32", SetLastError = true)]
    private static partial ThreadHandle OpenThread(uint access, [MarshalAs(UnmanagedType.Bool)] bool inherit, uint tid);

    // learn.microsoft.com/windows/win32/fileio/cancelsynchronousio-func
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CancelSynchronousIo(ThreadHandle thread);

    // learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntqueryinformationthread
    [LibraryImport("ntdll")]
    private static unsafe partial uint NtQueryInformationThread(ThreadHandle thread, int infoClass, void* information, uint length, uint* returned);
}
