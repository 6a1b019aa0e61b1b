using System.Text.Json;

namespace Harness.Core.Reports;

/// <summary>What went wrong with a file, in a few words for the user: a library's own message says what the library did.</summary>
public static class Fault
{
    // Linux: EEXIST, ENOTDIR, ENOSPC, EROFS, EDQUOT. Windows: ERROR_ALREADY_EXISTS, ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_WRITE_PROTECT as HRESULT.
    private const int Exists = 17, NotFolder = 20, NoSpace = 28, ReadOnly = 30, Quota = 122;
    private const int WindowsExists = unchecked((int)0x800700B7), WindowsHandleFull = unchecked((int)0x80070027), WindowsFull = unchecked((int)0x80070070), WindowsProtected = unchecked((int)0x80070013);

    /// <summary>Why a file or a folder cannot be read or written.</summary>
    public static string Of(Exception e) => e switch
    {
        UnauthorizedAccessException => "access is denied",
        DirectoryNotFoundException or FileNotFoundException => "there is no such place, and none can be made",
        PathTooLongException => "the path is too long",
        ArgumentException or NotSupportedException => "this is not a path",
        IOException { HResult: Exists or NotFolder or WindowsExists } => "there is a file where a folder should be",
        IOException { HResult: NoSpace or WindowsHandleFull or WindowsFull } => "the disk is full",
        IOException { HResult: Quota } => "the disk quota is used up",
        IOException { HResult: ReadOnly or WindowsProtected } => "the disk can only be read",
        _ => FirstSentence(e.Message),
    };

    /// <summary>Why JSON cannot be read as what it should be.</summary>
    internal static string Of(Exception e, string what) => e is JsonException { Path: { Length: > 1 } path } ? $"it is not {what} ({path})" : $"it is not {what}";

    private static string FirstSentence(string message) => (message.AsSpan().IndexOfAny('\r', '\n') is var cut and >= 0 ? message[..cut] : message).TrimEnd('.', ' ');
}
