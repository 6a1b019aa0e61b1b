using System.Net;
using System.Net.Http;
using System.Threading;
using Harness.Core.Nt;

namespace Harness.Core.Symbols;

/// <summary>
/// Fetches PDBs over HTTP as symsrv does: <c>server/name/key/name</c>. A PDB that came whole is moved to its place in the cache at once, so that no
/// other process sees half of one. A server that cannot be reached is asked once.
/// </summary>
internal sealed class SymbolServer(TimeSpan timeLimit) : IDisposable
{
    /// <summary>In bytes; ntkrnlmp.pdb has some fifteen million.</summary>
    private const long LargestFile = 1L << 30;

    private readonly HashSet<string> _unreachable = new(StringComparer.OrdinalIgnoreCase);
    private HttpClient? _client;

    /// <summary>The file, with a complaint where it could not be kept; null with a complaint, or without one where the server does not have it.</summary>
    public Stream? Fetch(SymbolSource source, PdbIdentity pdb, out string? complaint)
    {
        complaint = null;
        var server = source.Url!.TrimEnd('/');
        if (_unreachable.Contains(server)) return null;
        string? part = null;
        try
        {
            using var patience = new CancellationTokenSource(timeLimit);
            using var request = new HttpRequestMessage(HttpMethod.Get, $"{server}/{Uri.EscapeDataString(pdb.Name)}/{pdb.Key}/{Uri.EscapeDataString(pdb.Name)}");
            using var answer = Client.Send(request, HttpCompletionOption.ResponseHeadersRead, patience.Token);
            if (answer.StatusCode is HttpStatusCode.NotFound) return null;
            if (!answer.IsSuccessStatusCode)
            {
                _unreachable.Add(server);
                complaint = $"{server} answers {(int)answer.StatusCode} for {pdb}";
                return null;
            }

            using var body = answer.Content.ReadAsStream(patience.Token);
            if (source.Cache is not { } cache || Folder(cache, pdb, out complaint) is not { } folder)
            {
                var whole = new MemoryStream();
                Copy(body, whole, patience.Token);
                return whole;
            }

            part = Path.Combine(folder, $"{pdb.Name}.{Environment.ProcessId}.part");
            using (var file = new FileStream(part, FileMode.Create, FileAccess.Write)) Copy(body, file, patience.Token);
            // A page that asks for a password would be everybody's PDB from then on.
            if (Refused(part, pdb) is { } why)
            {
                complaint = $"{pdb} of {source.Url} {why}";
                return null;
            }

            var path = Path.Combine(folder, pdb.Name);
            File.Move(part, path, overwrite: true);
            part = null;
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        }
        catch (OperationCanceledException)
        {
            _unreachable.Add(server);
            complaint = $"{server} did not give {pdb} within {timeLimit.TotalSeconds:0.#} s";
        }
        catch (Exception e) when (e is HttpRequestException or IOException or UnauthorizedAccessException or UriFormatException or InvalidOperationException or NotSupportedException or ArgumentException)
        {
            _unreachable.Add(server);
            complaint = $"{pdb} could not be fetched from {server}: {SymbolPath.OneLine(e.Message)}";
        }
        finally
        {
            if (part is not null) Remove(part);
        }

        return null;
    }

    public void Dispose() => _client?.Dispose();

    // The time limit is the one of each file, not of the answer's beginning.
    private HttpClient Client => _client ??= new HttpClient { Timeout = Timeout.InfiniteTimeSpan };

    private static void Copy(Stream from, Stream to, CancellationToken patience)
    {
        var buffer = new byte[0x1_0000];
        long length = 0;
        // Asked for each piece: a server that sends a byte a second would hold a synchronous read for ever.
        while (from.ReadAsync(buffer, patience).AsTask().GetAwaiter().GetResult() is > 0 and var read)
        {
            length += read;
            if (length > LargestFile) throw new IOException($"it has more than {LargestFile >> 20} MiB");
            to.Write(buffer, 0, read);
        }
    }

    /// <summary>The PDB's folder in the cache; null, with a complaint, where none can be made: the PDB is used and not kept.</summary>
    private static string? Folder(string cache, PdbIdentity pdb, out string? complaint)
    {
        complaint = null;
        var folder = SymbolSource.Stored(cache, pdb);
        try
        {
            Directory.CreateDirectory(folder);
            return folder;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            complaint = $"{pdb} is not kept in {cache}: {SymbolPath.OneLine(e.Message)}";
            return null;
        }
    }

    /// <summary>Why what came is not the image's PDB; null: it is.</summary>
    private static string? Refused(string part, PdbIdentity pdb)
    {
        try
        {
            using var file = PdbFile.Open(part);
            return file.IsOf(pdb) ? null : SymbolPath.OfAnotherBuild(file, pdb);
        }
        catch (UnusablePdbException e)
        {
            return e.Message;
        }
    }

    private static void Remove(string part)
    {
        try
        {
            File.Delete(part);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has a name that nobody asks for.
        }
    }
}
