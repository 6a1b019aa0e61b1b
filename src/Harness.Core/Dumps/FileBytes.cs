using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using Harness.Core.Files;

namespace Harness.Core.Dumps;

/// <summary>
/// The bytes of a file, mapped: a dump is as large as the machine's memory, and a diagnosis touches some thousand pages of it. Every read is
/// checked against the file's length, so that no number in the file leads out of it.
/// </summary>
public sealed class FileBytes : IDisposable
{
    private readonly MemoryMappedFile? _file;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte[] _bytes = [];
    private readonly ulong _viewOffset;

    private FileBytes(MemoryMappedFile file, MemoryMappedViewAccessor view, long length)
    {
        _file = file;
        _view = view;
        _viewOffset = (ulong)view.PointerOffset;
        Length = length;
    }

    /// <summary>A file that is in memory already.</summary>
    public FileBytes(byte[] bytes)
    {
        _bytes = bytes;
        Length = bytes.Length;
    }

    /// <summary>Maps a file; nothing of it is read yet.</summary>
    /// <exception cref="IOException">It cannot be opened; also <see cref="UnauthorizedAccessException"/>.</exception>
    public static FileBytes Open(string path)
    {
        // Nothing of an empty file, a pipe or a device can be mapped.
        if (RegularFile.Length(path) == 0) return new FileBytes([]);
        using var stream = RegularFile.Open(path);
        var length = stream.Length;
        if (length == 0) return new FileBytes([]);
        var file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        return new FileBytes(file, file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read), length);
    }

    /// <summary>In bytes.</summary>
    public long Length { get; }

    /// <summary>Reads all of the destination; false when the file doesn't hold it.</summary>
    public bool TryRead(ulong offset, Span<byte> destination)
    {
        if (offset > (ulong)Length || (ulong)destination.Length > (ulong)Length - offset) return false;
        if (_view is null) _bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        else _view.SafeMemoryMappedViewHandle.ReadSpan(_viewOffset + offset, destination);
        return true;
    }

    internal byte? Byte(ulong offset)
    {
        Span<byte> bytes = stackalloc byte[1];
        return TryRead(offset, bytes) ? bytes[0] : null;
    }

    internal ushort? UInt16(ulong offset)
    {
        Span<byte> bytes = stackalloc byte[2];
        return TryRead(offset, bytes) ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : null;
    }

    internal uint? UInt32(ulong offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        return TryRead(offset, bytes) ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : null;
    }

    internal ulong? UInt64(ulong offset)
    {
        Span<byte> bytes = stackalloc byte[8];
        return TryRead(offset, bytes) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : null;
    }

    public void Dispose()
    {
        _view?.Dispose();
        _file?.Dispose();
    }
}
