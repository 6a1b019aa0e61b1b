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
            if (!File.Exists(path)) throw new UsageException($"{option}: there is no file {path}");
            using var file = File.OpenRead(path);
            // What has no end, such as a device, says that it has no length.
            var content = new MemoryStream();
            var chunk = new byte[1 << 16];
            for (int read; (read = file.Read(chunk)) > 0;)
            {
                content.Write(chunk, 0, read);
                if (content.Length > most) throw new UsageException($"{option}: {path} has more than {most} bytes, which are not read");
            }

            return content.ToArray();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"{option}: cannot read '{path}': {Fault.Of(e)}");
        }
    }
}
