namespace Harness.Core.Reports;

/// <summary>A file that appears whole or not at all.</summary>
internal static class WholeFile
{
    /// <summary>Writes it beside its place and moves it there.</summary>
    /// <exception cref="UnwritableResultsException">It cannot be written.</exception>
    internal static void Write(string path, Action<Stream> write)
    {
        try
        {
            Put(path, write);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnwritableResultsException($"cannot write '{path}': {Fault.Of(e)}", e);
        }
    }

    /// <summary>The same, with the exception as it comes.</summary>
    internal static void Put(string path, Action<Stream> write)
    {
        var unfinished = path + ".unfinished";
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
