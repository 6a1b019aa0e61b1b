using Harness.Core.Reports;

namespace Harness.Cli.Arguments;

/// <summary>A file that the user names.</summary>
internal static class InputFile
{
    /// <summary>All its bytes, or one line saying why not. A limit, because a mistyped path may name a disk image.</summary>
    public static byte[] Read(string option, string path, long most)
    {
        try
        {
            if (Directory.Exists(path)) throw new UsageException($"{option}: {path} is a folder");
            var file = new FileInfo(path);
            if (!file.Exists) throw new UsageException($"{option}: there is no file {path}");
            if (file.Length > most) throw new UsageException($"{option}: {path} has {file.Length} bytes; at most {most} are read");
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"{option}: cannot read '{path}': {Fault.Of(e)}");
        }
    }
}
