namespace Harness.Core.Reports;

/// <summary>A file that appears whole or not at all.</summary>
internal static class WholeFile
{
    /// <summary>Writes it beside its place and moves it there.</summary>
    /// <param name="path">Its place.</param>
    /// <param name="write">Its content.</param>
    /// <param name="folder">Where it is until it is whole, on the same disk; null: beside its place.</param>
    /// <exception cref="UnwritableResultsException">It cannot be written.</exception>
    internal static void Write(string path, Action<Stream> write, string? folder = null)
    {
        try
        {
            Put(path, write, folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnwritableResultsException($"cannot write '{path}': {Fault.Of(e)}", e);
        }
    }

    /// <summary>The same, with the exception as it comes.</summary>
    internal static void Put(string path, Action<Stream> write, string? folder = null)
    {
        var unfinished = (folder is null ? path : Path.Combine(folder, Path.GetFileName(path))) + ".unfinished";
        try
        {
            using (var stream = File.Create(unfinished)) write(stream);
            File.Move(unfinished, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (File.Exists(unfinished)) File.Delete(unfinished);
            throw;
        }
    }
}
