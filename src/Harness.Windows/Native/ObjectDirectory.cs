using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Nt;
using Microsoft.Win32.SafeHandles;

namespace Harness.Windows.Native;

/// <summary>A folder of NT's object namespace.</summary>
[SupportedOSPlatform("windows")]
public static partial class ObjectDirectory
{
    private const uint Query = 0x1, CaseInsensitive = 0x40;

    /// <summary>The names of its objects; null when it cannot be read.</summary>
    /// <param name="ntName">"\Device".</param>
    public static unsafe IReadOnlyList<string>? Names(string ntName)
    {
        nint handle;
        fixed (char* name = ntName)
        {
            var text = new DeviceHandle.UnicodeString { Length = (ushort)(ntName.Length * 2), MaximumLength = (ushort)(ntName.Length * 2), Buffer = name };
            var attributes = new DeviceHandle.ObjectAttributes { Length = (uint)sizeof(DeviceHandle.ObjectAttributes), ObjectName = &text, Attributes = CaseInsensitive };
            if (!new NtStatus(NtOpenDirectoryObject(out handle, Query, &attributes)).IsSuccess) return null;
        }

        using var owner = new SafeWaitHandle(handle, ownsHandle: true);
        var names = new List<string>();
        var entry = stackalloc DeviceHandle.UnicodeString[512];
        for (uint place = 0; ;)
        {
            // OBJECT_DIRECTORY_INFORMATION: Name and TypeName, with their characters behind them.
            var status = new NtStatus(NtQueryDirectoryObject(owner, entry, (uint)(512 * sizeof(DeviceHandle.UnicodeString)), single: 1, restart: 0, ref place, out _));
            if (!status.IsSuccess || status.Value != 0) return names;
            names.Add(new string(entry->Buffer, 0, entry->Length / 2));
        }
    }

    // learn.microsoft.com/windows/win32/devnotes/ntopendirectoryobject
    [LibraryImport("ntdll")]
    private static unsafe partial uint NtOpenDirectoryObject(out nint directory, uint access, DeviceHandle.ObjectAttributes* attributes);

    // learn.microsoft.com/windows/win32/devnotes/ntquerydirectoryobject
    [LibraryImport("ntdll")]
    private static unsafe partial uint NtQueryDirectoryObject(SafeWaitHandle directory, void* buffer, uint length, byte single, byte restart, ref uint place, out uint returned);
}
