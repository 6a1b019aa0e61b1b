using System.Text.Json.Serialization;
using Harness.Core.Nt;

namespace Harness.Core.Stories;

/// <summary>
/// One thing a client thread does. The first part are the system calls a Windows program makes; the second is what only a harness does
/// (wait for a moment, let time pass, look). All of it is data: an emulated thread can be saved and restored in the middle of it, and a
/// Windows process can be handed it as JSON.
/// </summary>
/// <remarks>Handles and requests have names within their process, as variables would.</remarks>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "act")]
[JsonDerivedType(typeof(OpenDevice), "open")]
[JsonDerivedType(typeof(AssociateCompletionPort), "associateCompletionPort")]
[JsonDerivedType(typeof(DeviceControl), "deviceControl")]
[JsonDerivedType(typeof(ReadFile), "readFile")]
[JsonDerivedType(typeof(WriteFile), "writeFile")]
[JsonDerivedType(typeof(CancelIo), "cancelIo")]
[JsonDerivedType(typeof(CancelIoEx), "cancelIoEx")]
[JsonDerivedType(typeof(CancelSynchronousIo), "cancelSynchronousIo")]
[JsonDerivedType(typeof(Close), "close")]
[JsonDerivedType(typeof(Terminate), "terminate")]
[JsonDerivedType(typeof(Exit), "exit")]
[JsonDerivedType(typeof(AwaitRequest), "awaitRequest")]
[JsonDerivedType(typeof(DequeueCompletion), "dequeueCompletion")]
[JsonDerivedType(typeof(Sleep), "sleep")]
[JsonDerivedType(typeof(UntilWaiting), "untilWaiting")]
[JsonDerivedType(typeof(UntilGone), "untilGone")]
[JsonDerivedType(typeof(Observe), "observe")]
public abstract record Act;

/// <summary>An act that sends the driver a request with a name, on a handle with a name.</summary>
public interface IRequestAct
{
    /// <summary>The handle's name.</summary>
    string Handle { get; }

    /// <summary>The request's name, by which conditions, promises and evidence speak of it.</summary>
    string Request { get; }
}

/// <summary>CreateFile on the device. Without <paramref name="Overlapped"/> the file object is FO_SYNCHRONOUS_IO.</summary>
/// <param name="Handle">The name of the new handle.</param>
/// <param name="Device">The device's NT name, "\Device\X"; null: the driver under test's device.</param>
/// <param name="Overlapped">FILE_FLAG_OVERLAPPED.</param>
/// <param name="File">What follows the device's name, "\file": the driver finds it in FILE_OBJECT.FileName. Null: nothing.</param>
/// <param name="Request">The name of the create itself, where it is the request that the story is about.</param>
public sealed record OpenDevice(string Handle, string? Device = null, bool Overlapped = false,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? File = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Request = null) : Act;

/// <summary>CreateIoCompletionPort: a new port for an overlapped handle. What is sent on it from then on belongs to no thread.</summary>
/// <param name="Handle">The handle's name.</param>
public sealed record AssociateCompletionPort(string Handle) : Act;

/// <summary>DeviceIoControl. On an overlapped handle it returns at once and <see cref="AwaitRequest"/> waits.</summary>
/// <param name="Handle">The handle's name.</param>
/// <param name="Request">The request's name, by which conditions, promises and evidence speak of it.</param>
/// <param name="Code">The I/O control code.</param>
/// <param name="Input">The input buffer's bytes.</param>
/// <param name="OutputLength">The output buffer's length in bytes.</param>
public sealed record DeviceControl(string Handle, string Request,
    [property: JsonConverter(typeof(HexUInt32Json))] uint Code,
    [property: JsonConverter(typeof(HexBytesJson))] byte[] Input, int OutputLength) : Act, IRequestAct;

/// <summary>ReadFile. On an overlapped handle it returns at once and <see cref="AwaitRequest"/> waits.</summary>
/// <param name="Handle">The handle's name.</param>
/// <param name="Request">The request's name.</param>
/// <param name="Length">The buffer's length in bytes.</param>
/// <param name="Offset">Where in the file, in bytes.</param>
public sealed record ReadFile(string Handle, string Request, int Length, long Offset = 0) : Act, IRequestAct;

/// <summary>WriteFile. On an overlapped handle it returns at once and <see cref="AwaitRequest"/> waits.</summary>
/// <param name="Handle">The handle's name.</param>
/// <param name="Request">The request's name.</param>
/// <param name="Input">The bytes to write.</param>
/// <param name="Offset">Where in the file, in bytes.</param>
public sealed record WriteFile(string Handle, string Request,
    [property: JsonConverter(typeof(HexBytesJson))] byte[] Input, long Offset = 0) : Act, IRequestAct;

/// <summary>CancelIo: the calling thread's requests on the handle.</summary>
public sealed record CancelIo(string Handle) : Act;

/// <summary>CancelIoEx: one request of the calling process on the handle, or all (null).</summary>
public sealed record CancelIoEx(string Handle, string? Request = null) : Act;

/// <summary>CancelSynchronousIo on another thread of the same process.</summary>
public sealed record CancelSynchronousIo(string Thread) : Act;

/// <summary>CloseHandle.</summary>
public sealed record Close(string Handle) : Act;

/// <summary>TerminateProcess on another process of the story.</summary>
public sealed record Terminate(string Process, [property: JsonConverter(typeof(HexUInt32Json))] uint ExitStatus) : Act;

/// <summary>ExitProcess: the process ends itself.</summary>
public sealed record Exit([property: JsonConverter(typeof(HexUInt32Json))] uint ExitStatus) : Act;

/// <summary>GetOverlappedResult(wait): waits in user mode for an overlapped request.</summary>
public sealed record AwaitRequest(string Request) : Act;

/// <summary>GetQueuedCompletionStatus: waits in user mode for a completion packet of the handle's port, which must be that of this request.</summary>
public sealed record DequeueCompletion(string Handle, string Request) : Act;

/// <summary>Lets time pass: Sleep on Windows, the virtual clock on the emulated target.</summary>
public sealed record Sleep(TimeSpan For) : Act;

/// <summary>Goes on once the request has reached the driver and its issuer waits for it, or it was completed, or the limit has passed.</summary>
public sealed record UntilWaiting(string Process, string Request, TimeSpan Limit) : Act;

/// <summary>Goes on once the process object is signalled, or the limit has passed.</summary>
public sealed record UntilGone(string Process, TimeSpan Limit) : Act;

/// <summary>A checkpoint: every collector of the target looks at every process of the story now.</summary>
public sealed record Observe(string Checkpoint) : Act;
