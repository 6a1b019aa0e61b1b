using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>A handle of a process, which tells of it even when it is gone from every list.</summary>
[SupportedOSPlatform("windows")]
public sealed partial class ProcessHandle : KernelHandle
{
    private const uint Terminating = 0x0001, DuplicatingHandles = 0x0040, QueryLimitedInformation = 0x1000, Synchronize = 0x00100000;
    private const uint WaitObject = 0, Infinite = uint.MaxValue;
    private const int BasicInformation = 0;

    /// <summary>PROCESS_EXTENDED_BASIC_INFORMATION.Flags, IsProcessDeleting (winternl.h and phnt).</summary>
    private const uint IsProcessDeleting = 0x4;

    /// <summary>Opens a process to end it, wait for it and ask about it.</summary>
    /// <exception cref="WindowsException">There is none, or access was refused.</exception>
    public static ProcessHandle Open(int pid)
    {
        var process = OpenProcess(Terminating | QueryLimitedInformation | Synchronize, inherit: false, (uint)pid);
        return process.IsInvalid ? throw WindowsException.Last($"OpenProcess({pid})") : process;
    }

    /// <summary>Opens a process to ask about it, with as few rights as that takes; null when it is gone or refused.</summary>
    public static ProcessHandle? ToAsk(int pid) => Usable(OpenProcess(QueryLimitedInformation | Synchronize, inherit: false, (uint)pid));

    /// <summary>Opens a process to copy its handles; null when it is gone or refused.</summary>
    public static ProcessHandle? ToCopyFrom(int pid) => Usable(OpenProcess(DuplicatingHandles, inherit: false, (uint)pid));

    /// <summary>A handle of this process for what a handle of that process is for, if that is a process; null when it is not.</summary>
    /// <param name="owner">Opened by <see cref="ToCopyFrom"/>.</param>
    /// <param name="value">The handle's value there.</param>
    public static ProcessHandle? CopyOf(ProcessHandle owner, nint value)
    {
        if (!DuplicateHandle(owner, value, GetCurrentProcess(), out var copy, QueryLimitedInformation | Synchronize, inherit: false, 0)) return null;
        if (GetProcessId(copy) != 0) return copy;
        copy.Dispose();
        return null;
    }

    /// <summary>The pseudo handle of this process, which nobody has to close.</summary>
    internal static nint OfThisProcess => GetCurrentProcess();

    /// <summary>The process's identifier, also of one that has ended.</summary>
    public int Pid => (int)GetProcessId(this);

    /// <summary>The file name of its image, also of one that has ended; null when the system does not tell.</summary>
    public unsafe string? Image
    {
        get
        {
            var path = stackalloc char[1024];
            var length = GetProcessImageFileName(this, path, 1024);
            return length == 0 ? null : new string(path, 0, (int)length).Split('\\')[^1];
        }
    }

    /// <summary>TerminateProcess. Its success does not mean that the process ends.</summary>
    public NtStatus Terminate(uint exitStatus) => TerminateProcess(this, exitStatus) ? NtStatus.Success : LastStatus.OfThisThread();

    /// <summary>WaitForSingleObject(process, 0) succeeds.</summary>
    public bool IsSignalled => WaitForSingleObject(this, 0) == WaitObject;

    /// <summary>Waits until the process object is signalled, or for so long.</summary>
    public bool Wait(TimeSpan limit) => WaitForSingleObject(this, (uint)Math.Clamp(limit.TotalMilliseconds, 0, Infinite - 1)) == WaitObject;

    /// <summary>Waits until the process object is signalled.</summary>
    public void Wait() => _ = WaitForSingleObject(this, Infinite);

    /// <summary>GetExitCodeProcess: STILL_ACTIVE (0x103) while it runs.</summary>
    public NtStatus ExitStatus => GetExitCodeProcess(this, out var code) ? new NtStatus(code) : LastStatus.OfThisThread();

    /// <summary>PROCESS_EXTENDED_BASIC_INFORMATION says that it is being deleted; null when the system does not tell.</summary>
    public unsafe bool? IsDeleting
    {
        get
        {
            var information = new ExtendedBasicInformation { Size = (nuint)sizeof(ExtendedBasicInformation) };
            var status = NtQueryInformationProcess(this, BasicInformation, &information, (uint)sizeof(ExtendedBasicInformation), null);
            return new NtStatus(status).IsSuccess ? (information.Flags & IsProcessDeleting) != 0 : null;
        }
    }

    /// <summary>PROCESS_EXTENDED_BASIC_INFORMATION: 0x40 bytes on x64.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ExtendedBasicInformation
    {
        public nuint Size;
        public nint ExitStatus, PebBaseAddress;
        public nuint AffinityMask;
        public nint BasePriority;
        public nuint UniqueProcessId, InheritedFromUniqueProcessId;
        public uint Flags;
    }

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-openprocess
    [LibraryImport("kernel32", SetLastError = true)]
    private static partial ProcessHandle OpenProcess(uint access, [MarshalAs(UnmanagedType.Bool)] bool inherit, uint pid);

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-terminateprocess
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool TerminateProcess(ProcessHandle process, uint exitStatus);

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getexitcodeprocess
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetExitCodeProcess(ProcessHandle process, out uint exitStatus);

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getprocessid
    [LibraryImport("kernel32", SetLastError = true)]
    private static partial uint GetProcessId(ProcessHandle process);

    // learn.microsoft.com/windows/win32/api/psapi/nf-psapi-getprocessimagefilenamew
    [LibraryImport("kernel32", EntryPoint = "K32GetProcessImageFileNameW", SetLastError = true)]
    private static unsafe partial uint GetProcessImageFileName(ProcessHandle process, char* path, uint length);

    // learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getcurrentprocess
    [LibraryImport("kernel32")]
    private static partial nint GetCurrentProcess();

    // learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-waitforsingleobject
    [LibraryImport("kernel32", SetLastError = true)]
    private static partial uint WaitForSingleObject(ProcessHandle process, uint milliseconds);

    // learn.microsoft.com/windows/win32/api/handleapi/nf-handleapi-duplicatehandle
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool DuplicateHandle(ProcessHandle from, nint value, nint to, out ProcessHandle copy, uint access, [MarshalAs(UnmanagedType.Bool)] bool inherit, uint options);

    // learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntqueryinformationprocess
    [LibraryImport("ntdll")]
    private static unsafe partial uint NtQueryInformationProcess(ProcessHandle process, int infoClass, void* information, uint length, uint* returned);
}
