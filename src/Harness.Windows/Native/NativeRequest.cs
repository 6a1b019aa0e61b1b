using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Threading;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>
/// A request's OVERLAPPED and buffers, in memory that stays where it is. The system writes there whenever the driver completes the request, so that they are freed only by
/// who knows that it is over; a client's go with its process.
/// </summary>
[SupportedOSPlatform("windows")]
public sealed unsafe class NativeRequest : IDisposable
{
    private readonly OverlappedBlock* _block;
    private readonly EventWaitHandle? _done;

    /// <param name="overlapped">The handle it is sent on is overlapped: its completion sets an event.</param>
    /// <param name="input">The input buffer's bytes.</param>
    /// <param name="outputLength">The output buffer's length in bytes.</param>
    /// <param name="offset">Where in the file, in bytes.</param>
    public NativeRequest(bool overlapped, ReadOnlySpan<byte> input, int outputLength, long offset = 0)
    {
        _block = (OverlappedBlock*)NativeMemory.AllocZeroed((nuint)sizeof(OverlappedBlock));
        _block->Offset = (ulong)offset;
        if (overlapped)
        {
            _done = new EventWaitHandle(false, EventResetMode.ManualReset);
            _block->Event = _done.SafeWaitHandle.DangerousGetHandle();
        }

        if (input.Length > 0)
        {
            Input = (nint)NativeMemory.Alloc((nuint)input.Length);
            input.CopyTo(new Span<byte>((void*)Input, input.Length));
        }

        if (outputLength > 0) Output = (nint)NativeMemory.AllocZeroed((nuint)outputLength);
        (InputLength, OutputLength) = ((uint)input.Length, (uint)outputLength);
    }

    internal nint Overlapped => (nint)_block;

    internal nint Input { get; }

    internal uint InputLength { get; }

    internal nint Output { get; }

    internal uint OutputLength { get; }

    /// <summary>IO_STATUS_BLOCK.Status: STATUS_PENDING until the request is over.</summary>
    public NtStatus Status => new((uint)_block->Internal);

    /// <summary>IO_STATUS_BLOCK.Information in bytes.</summary>
    public ulong Information => _block->InternalHigh;

    /// <summary>Waits in user mode until the completion of an overlapped request sets its event, or for so long.</summary>
    public bool Wait(TimeSpan limit) => (_done ?? throw new InvalidOperationException("A synchronous request has no event.")).WaitOne(limit);

    /// <summary>What the driver wrote, as far as IO_STATUS_BLOCK.Information says.</summary>
    public byte[] Result() => new ReadOnlySpan<byte>((void*)Output, (int)Math.Min(OutputLength, Information)).ToArray();

    internal void Begin()
    {
        _done?.Reset();
        _block->Internal = NtStatus.Pending.Value;
        _block->InternalHigh = 0;
    }

    // The status block tells more than GetLastError, once the system has written it. A call that was refused before it became a request leaves it alone.
    internal NtStatus Answer(bool succeeded)
    {
        if (Status != NtStatus.Pending) return Status;
        return succeeded ? NtStatus.Success : LastStatus.OfThisThread();
    }

    /// <summary>Only when the request is over, or was never sent.</summary>
    public void Dispose()
    {
        _done?.Dispose();
        NativeMemory.Free((void*)Input);
        NativeMemory.Free((void*)Output);
        NativeMemory.Free(_block);
    }

    /// <summary>OVERLAPPED of minwinbase.h: Internal and InternalHigh are the IO_STATUS_BLOCK.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct OverlappedBlock
    {
        public nuint Internal, InternalHigh;
        public ulong Offset;
        public nint Event;
    }
}
