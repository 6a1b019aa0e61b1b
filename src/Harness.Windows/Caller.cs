using System.Collections.Concurrent;
using System.Runtime.Versioning;
using System.Threading;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>
/// Makes the system calls of a story in this process, in a client as in the harness. Handles, requests and threads have the story's names. Called on the thread that the story
/// gives the act to; what a thread is in, another may cancel or close.
/// </summary>
/// <param name="device">The NT name of the driver's device.</param>
/// <param name="entered">Told before a call: thread, call, request.</param>
/// <param name="returned">Told after it.</param>
[SupportedOSPlatform("windows")]
internal sealed class Caller(string device, Action<int, string, string?> entered, Action<int, string, string?, NtStatus, ulong> returned)
{
    private readonly ConcurrentDictionary<string, Opened> _handles = new();
    private readonly ConcurrentDictionary<string, Sent> _requests = new();
    private readonly ConcurrentDictionary<string, CompletionPort> _ports = new();
    private readonly ConcurrentDictionary<string, int> _threads = new();

    /// <summary>The calling thread is the story's thread of this name.</summary>
    public void Enter(string thread) => _threads[thread] = ThreadHandle.CurrentId;

    /// <summary>Plays an act.</summary>
    /// <returns>The call's status; null when the act is not a system call of the process's own, and somebody else must play it.</returns>
    public NtStatus? Play(Act act)
    {
        switch (act)
        {
            case OpenDevice open:
                var name = NtName(open.Device ?? device) + open.File;
                return Make($"NtCreateFile({name}{(open.Overlapped ? "" : ", FILE_SYNCHRONOUS_IO_NONALERT")})", "NtCreateFile", open.Request, () =>
                {
                    var status = DeviceHandle.Open(name, open.Overlapped, out var handle);
                    if (status.IsSuccess) _handles[open.Handle] = new Opened(handle, open.Overlapped);
                    else handle.Dispose();
                    return (status, 0);
                });
            case AssociateCompletionPort associate:
                return On(associate.Handle, handle => Make($"CreateIoCompletionPort({associate.Handle})", "CreateIoCompletionPort", null, () =>
                {
                    var status = CompletionPort.Of(handle.Device, out var port);
                    if (status.IsSuccess) _ports[associate.Handle] = port;
                    return (status, 0);
                }));
            case DeviceControl control:
                return Send(control, $"DeviceIoControl({control.Handle}, 0x{control.Code:x})", "DeviceIoControl", control.Input, control.OutputLength, 0, (handle, request) => handle.Control(control.Code, request));
            case ReadFile read:
                return Send(read, $"ReadFile({read.Handle}, {read.Length})", "ReadFile", [], read.Length, read.Offset, (handle, request) => handle.Read(request));
            case WriteFile write:
                return Send(write, $"WriteFile({write.Handle}, {write.Input.Length})", "WriteFile", write.Input, 0, write.Offset, (handle, request) => handle.Write(request));
            case CancelIo cancel:
                return On(cancel.Handle, handle => Make($"CancelIo({cancel.Handle})", "CancelIo", null, () => (handle.Device.CancelOfThisThread(), 0)));
            case CancelIoEx cancel:
                return On(cancel.Handle, handle => Make($"CancelIoEx({cancel.Handle}, {cancel.Request ?? "all"})", "CancelIoEx", cancel.Request, () =>
                    (handle.Device.Cancel(cancel.Request is null ? null : _requests[cancel.Request].Native), 0)));
            case CancelSynchronousIo cancel:
                return Make($"CancelSynchronousIo({cancel.Thread})", "CancelSynchronousIo", null, () =>
                {
                    using var thread = _threads.TryGetValue(cancel.Thread, out var tid) ? ThreadHandle.ToCancel(tid) : null;
                    return (thread?.CancelSynchronous() ?? NtStatus.InvalidCid, 0);
                });
            case Close close:
                return On(close.Handle, handle => Make($"CloseHandle({close.Handle})", "CloseHandle", null, () => (handle.Device.CloseNow(), 0)));
            case AwaitRequest wait:
                return WaitFor(wait.Request, $"GetOverlappedResult({wait.Request}, wait)", "GetOverlappedResult", sent => sent.Handle.Device.Await(sent.Native));
            case DequeueCompletion wait:
                return WaitFor(wait.Request, $"GetQueuedCompletionStatus(port of {wait.Handle})", "GetQueuedCompletionStatus", sent => _ports[wait.Handle].Dequeue(sent.Native));
            default:
                return null;
        }
    }

    /// <summary>Closes what the story has left open: a driver with an open file object cannot be unloaded.</summary>
    public void CloseHandles()
    {
        foreach (var (name, opened) in _handles)
            if (!opened.Device.IsClosed) Play(new Close(name));
        foreach (var port in _ports.Values) port.Dispose();
    }

    /// <summary>The request that was sent under this name; null when none was.</summary>
    public NativeRequest? RequestNamed(string name) => _requests.GetValueOrDefault(name)?.Native;

    // \\.\X is a symbolic link in \??, as \DosDevices is.
    internal static string NtName(string device) => device.StartsWith(@"\\.\", StringComparison.Ordinal) ? @"\??\" + device[4..] : device;

    private NtStatus? Send(IRequestAct act, string call, string function, byte[] input, int outputLength, long offset, Func<DeviceHandle, NativeRequest, NtStatus> send) =>
        On(act.Handle, handle =>
        {
            var native = new NativeRequest(handle.Overlapped, input, outputLength, offset);
            var sent = _requests[act.Request] = new Sent(handle, native);
            return Make(call, function, act.Request, () =>
            {
                var status = send(handle.Device, native);
                if (status.IsError) sent.Refused = true;
                return (status, status == NtStatus.Pending ? 0 : native.Information);
            });
        });

    // A program does not wait for what it was refused.
    private NtStatus? WaitFor(string request, string call, string function, Func<Sent, NtStatus> wait) =>
        !_requests.TryGetValue(request, out var sent) || sent.Refused ? NtStatus.Success
            : Make(call, function, request, () => (wait(sent), sent.Native.Information));

    private NtStatus? On(string handle, Func<Opened, NtStatus?> act) => _handles.TryGetValue(handle, out var opened) ? act(opened) : NtStatus.InvalidHandle;

    private NtStatus? Make(string call, string function, string? request, Func<(NtStatus, ulong)> make)
    {
        var tid = ThreadHandle.CurrentId;
        entered(tid, call, request);
        var (status, information) = make();
        returned(tid, function, request, status, information);
        return status;
    }

    private sealed record Opened(DeviceHandle Device, bool Overlapped);

    private sealed record Sent(Opened Handle, NativeRequest Native)
    {
        private volatile bool _refused;

        public bool Refused { get => _refused; set => _refused = value; }
    }
}
