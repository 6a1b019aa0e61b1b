using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Nt;
using Microsoft.Win32.SafeHandles;

namespace Harness.Windows.Native;

/// <summary>A kernel dump of the running machine, which goes on: NtSystemDebugControl with SysDbgGetLiveKernelDump, since Windows 8.1.</summary>
[SupportedOSPlatform("windows")]
public static partial class LiveKernelDump
{
    private const int GetLiveKernelDump = 37;

    // Version of SYSDBG_LIVEDUMP_CONTROL (phnt ntexapi.h, which Process Hacker and System Informer use).
    private const uint ControlVersion = 1;

    /// <summary>Writes the kernel's memory to a new file. It needs SeDebugPrivilege.</summary>
    /// <returns>What the system says; the file is left only with a success.</returns>
    public static unsafe NtStatus Write(string path)
    {
        NtStatus status;
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            var control = new LiveDumpControl { Version = ControlVersion, BugCheckCode = 0x161, DumpFile = file.DangerousGetHandle() };
            status = new NtStatus(NtSystemDebugControl(GetLiveKernelDump, &control, (uint)sizeof(LiveDumpControl), null, 0, null));
        }

        if (status.Value != 0 || new FileInfo(path).Length == 0)
        {
            File.Delete(path);
            return status.Value == 0 ? NtStatus.NotSupported : status;
        }

        return status;
    }

    /// <summary>SYSDBG_LIVEDUMP_CONTROL: Version, BugCheckCode, four parameters, DumpFileHandle, CancelEventHandle, Flags, AddPagesControl: 0x40 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct LiveDumpControl
    {
        public uint Version, BugCheckCode;
        public nuint Parameter1, Parameter2, Parameter3, Parameter4;
        public nint DumpFile, CancelEvent;
        public uint Flags, AddPages;
    }

    // geoffchappell.com, "NtSystemDebugControl"; phnt ntexapi.h. Not documented by Microsoft.
    [LibraryImport("ntdll")]
    private static unsafe partial uint NtSystemDebugControl(int command, void* input, uint inputLength, void* output, uint outputLength, uint* returned);
}
