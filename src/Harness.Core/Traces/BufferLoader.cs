using Harness.Core.Nt;

namespace Harness.Core.Traces;

/// <summary>Brings the records of buffers into memory, inflated, as many at once as <see cref="TraceLimits.MostLoaded"/> allows.</summary>
internal sealed class BufferLoader(Stream file, TraceNotes notes)
{
    private byte[] _compressed = [];
    private long _held;

    public TraceNotes Notes => notes;

    /// <summary>The records of a buffer, into an array that is kept for the next; bytes of them.</summary>
    public int Load(in BufferPlace place, ref byte[] records)
    {
        var wanted = place.Saved - TraceBufferLayout.SizeInBytes;
        if (wanted > records.Length)
        {
            if (_held - records.Length + wanted > TraceLimits.MostLoaded)
            {
                notes.Add($"buffers that would take more than {TraceLimits.MostLoaded >> 20} MiB of memory together with the other processors', and are left out", place.Offset);
                return 0;
            }

            _held += wanted - records.Length;
            records = new byte[wanted];
        }

        file.Position = place.Offset + TraceBufferLayout.SizeInBytes;
        if (!place.IsCompressed) return Check(file.ReadAtLeast(records.AsSpan(0, wanted), wanted, throwOnEndOfStream: false), wanted, place, "buffers that could not be read to their end");
        var packed = place.Size - TraceBufferLayout.SizeInBytes;
        if (packed > _compressed.Length) _compressed = new byte[packed];
        var read = file.ReadAtLeast(_compressed.AsSpan(0, packed), packed, throwOnEndOfStream: false);
        return Check(Xpress.Inflate(_compressed.AsSpan(0, read), records.AsSpan(0, wanted)), wanted, place, "buffers whose compressed records are damaged or cut short");
    }

    private int Check(int got, int wanted, in BufferPlace place, string otherwise)
    {
        if (got < wanted) notes.Add(otherwise, place.Offset);
        return got;
    }
}
