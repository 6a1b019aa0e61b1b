using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>An open device. The calls return what the system says and throw nothing: what a driver answers is evidence.</summary>
[SupportedOSPlatform("windows")]
public sealed partial class DeviceHandle : KernelHandle
{
    private const uint GenericRead = 0x80000000, GenericWrite = 0x40000000, Synchronize = 0x00100000;
    private const uint ShareAll = 7, OpenExisting = 1, CaseInsensitive = 0x40;
    private const uint SynchronousIoNonalert = 0x20, NonDirectoryFile = 0x40;

    /// <summary>Opens a device by its NT name; the name may go on into the device's own namespace, "\Device\X\file".</summary>
    /// <param name="ntName">"\Device\X".</param>
    /// <param name="overlapped">False: the file object is FO_SYNCHRONOUS_IO.</param>
    /// <param name="device">Invalid unless the status is a success.</param>
    public static unsafe NtStatus Open(string ntName, bool overlapped, out DeviceHandle device)
    {
        device = new DeviceHandle();
        fixed (char* name = ntName)
        {
            var text = new UnicodeString { Length = (ushort)(ntName.Length * 2), MaximumLength = (ushort)(ntName.Length * 2), Buffer = name };
            var attributes = new ObjectAttributes { Length = (uint)sizeof(ObjectAttributes), ObjectName = &text, Attributes = CaseInsensitive };
            var block = new IoStatusBlock();
            var status = NtCreateFile(out var handle, GenericRead | GenericWrite | Synchronize, &attributes, &block, 0, 0, ShareAll, OpenExisting,
                overlapped ? NonDirectoryFile : NonDirectoryFile | SynchronousIoNonalert, 0, 0);
            if (new NtStatus(status).IsSuccess) device.SetHandle(handle);
            return new NtStatus(status);
        }
    }

    /// <summary>DeviceIoControl. STATUS_PENDING: an overlapped request is under way, and <paramref name="request"/> must live until it is over.</summary>
    public NtStatus Control(uint code, NativeRequest request)
    {
        request.Begin();
        return request.Answer(DeviceIoControl(this, code, request.Input, request.InputLength, request.Output, request.OutputLength, 0, request.Overlapped));
    }

    /// <summary>ReadFile into the request's output buffer.</summary>
    public NtStatus Read(NativeRequest request)
    {
        request.Begin();
        return request.Answer(ReadFile(this, request.Output, request.OutputLength, 0, request.Overlapped));
    }

    /// <summary>WriteFile from the request's input buffer.</summary>
    public NtStatus Write(NativeRequest request)
    {
        request.Begin();
        return request.Answer(WriteFile(this, request.Input, request.InputLength, 0, request.Overlapped));
    }

    /// <summary>GetOverlappedResult with bWait: waits in user mode until the request is over.</summary>
    public NtStatus Await(NativeRequest request) => request.Answer(GetOverlappedResult(this, request.Overlapped, out _, wait: true));

    /// <summary>CancelIo: the calling thread's requests.</summary>
    public NtStatus CancelOfThisThread() => Status(CancelIo(this));

    /// <summary>CancelIoEx: one request, or all of this process (null).</summary>
    public NtStatus Cancel(NativeRequest? request) => Status(CancelIoEx(this, request?.Overlapped ?? 0));

    /// <summary>
    /// CloseHandle, now: <see cref="SafeHandle.Dispose()"/> would wait until no thread is in a call on the handle, and a thread that hangs in one never leaves it.
    /// </summary>
    public NtStatus CloseNow()
    {
        var raw = handle;
        SetHandleAsInvalid();
        return Status(CloseHandle(raw));
    }

    private static NtStatus Status(bool succeeded) => succeeded ? NtStatus.Success : LastStatus.OfThisThread();

    // OBJECT_ATTRIBUTES, UNICODE_STRING and IO_STATUS_BLOCK of ntdef.h and wdm.h.
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct UnicodeString
    {
        public ushort Length, MaximumLength;
        public char* Buffer;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct ObjectAttributes
    {
        public uint Length;
        public nint RootDirectory;
        public UnicodeString* ObjectName;
        public uint Attributes;
        public nint SecurityDescriptor, SecurityQualityOfService;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct IoStatusBlock
    {
        public nint Status;
        public nuint Information;
    }

    // learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntcreatefile
    [LibraryImport("ntdll")]
    private static unsafe partial uint NtCreateFile(out nint handle, uint access, ObjectAttributes* attributes, IoStatusBlock* block, nint allocationSize, uint fileAttributes, uint share, uint disposition, uint options, nint ea, uint eaLength);

    // learn.microsoft.com/windows/win32/api/ioapiset/nf-ioapiset-deviceiocontrol
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool DeviceIoControl(DeviceHandle device, uint code, nint input, uint inputLength, nint output, uint outputLength, nint returned, nint overlapped);

    // learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-readfile
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool ReadFile(DeviceHandle device, nint buffer, uint length, nint read, nint overlapped);

    // learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-writefile
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool WriteFile(DeviceHandle device, nint buffer, uint length, nint written, nint overlapped);

    // learn.microsoft.com/windows/win32/api/ioapiset/nf-ioapiset-getoverlappedresult
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetOverlappedResult(DeviceHandle device, nint overlapped, out uint transferred, [MarshalAs(UnmanagedType.Bool)] bool wait);

    // learn.microsoft.com/windows/win32/fileio/cancelio
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CancelIo(DeviceHandle device);

    // learn.microsoft.com/windows/win32/fileio/cancelioex-func
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CancelIoEx(DeviceHandle device, nint overlapped);
}
