namespace Harness.Core.Files;

/// <summary>Files that somebody names, of which all have a length and wait for nobody: to open a pipe may take for ever, and a device has no end.</summary>
public static class RegularFile
{
    /// <summary>In bytes; 0 for a pipe or a device too. Nothing is opened.</summary>
    /// <exception cref="IOException">There is no such file.</exception>
    public static long Length(string path) => Target(path).Length;

    /// <summary>There is such a file, and it is neither empty nor a pipe nor a device.</summary>
    public static bool Exists(string path) => File.Exists(path) && Target(path) is { Exists: true, Length: > 0 };

    /// <summary>Opens it for reading, unbuffered. Others may hold it open and write to it: a file is often still being copied, scanned or looked at.</summary>
    /// <exception cref="IOException">There is none, or it is empty, a pipe or a device; also <see cref="UnauthorizedAccessException"/>.</exception>
    public static FileStream Open(string path) => Length(path) == 0
        ? throw new IOException("it is empty, or a pipe or a device")
        : new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);

    private static FileInfo Target(string path) => File.ResolveLinkTarget(path, returnFinalTarget: true) as FileInfo ?? new FileInfo(path);
}
