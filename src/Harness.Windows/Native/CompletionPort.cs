using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>An I/O completion port of one device handle.</summary>
[SupportedOSPlatform("windows")]
public sealed partial class CompletionPort : KernelHandle
{
    private const uint Infinite = uint.MaxValue;

    /// <summary>A new port, with the device's handle associated.</summary>
    public static NtStatus Of(DeviceHandle device, out CompletionPort port)
    {
        port = CreateIoCompletionPort(device, 0, 0, 0);
        return port.IsInvalid ? LastStatus.OfThisThread() : NtStatus.Success;
    }

    /// <summary>Waits in user mode for a packet, without limit. The status of its request, and whether it is the one that was expected.</summary>
    public NtStatus Dequeue(NativeRequest expected)
    {
        var succeeded = GetQueuedCompletionStatus(this, out _, out _, out var overlapped, Infinite);
        if (overlapped == 0) return LastStatus.OfThisThread();
        if (overlapped != expected.Overlapped) throw new InvalidOperationException("The port's packet is of another request than the story says.");
        return expected.Answer(succeeded);
    }

    // learn.microsoft.com/windows/win32/fileio/createiocompletionport
    [LibraryImport("kernel32", SetLastError = true)]
    private static partial CompletionPort CreateIoCompletionPort(DeviceHandle file, nint existing, nuint key, uint threads);

    // learn.microsoft.com/windows/win32/api/ioapiset/nf-ioapiset-getqueuedcompletionstatus
    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool GetQueuedCompletionStatus(CompletionPort port, out uint transferred, out nuint key, out nint overlapped, uint milliseconds);
}
