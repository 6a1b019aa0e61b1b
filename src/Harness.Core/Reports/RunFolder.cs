using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Harness.Core.Evidence;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>
/// One run on disk: run.json, evidence.jsonl, verdict.json, junit.xml, report.html, and a kernel dump and an event trace if they were asked for. Every file appears whole or not at all, and
/// verdict.json last: a folder without it belongs to a run that did not finish.
/// </summary>
public sealed class RunFolder
{
    /// <summary>What was run.</summary>
    public const string RunFile = "run.json";

    /// <summary>The timeline.</summary>
    public const string EvidenceFileName = "evidence.jsonl";

    /// <summary>The judgement; written last.</summary>
    public const string VerdictFile = "verdict.json";

    /// <summary>For CI.</summary>
    public const string JUnitFile = "junit.xml";

    /// <summary>For a browser.</summary>
    public const string ReportFile = "report.html";

    private RunFolder(string path, RunDescription run, IReadOnlyList<Observation> evidence) => (Path, Run, Evidence) = (path, run, evidence);

    /// <summary>The folder, as it was named to <see cref="Create"/> or <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>The folder's absolute path.</summary>
    public string FullPath => System.IO.Path.GetFullPath(Path);

    /// <summary>run.json.</summary>
    public RunDescription Run { get; }

    /// <summary>evidence.jsonl; empty before <see cref="Write"/>.</summary>
    public IReadOnlyList<Observation> Evidence { get; private set; }

    /// <summary>
    /// Makes "results/2026-11-22T084312-hang-irp-emulated", or with -2, -3… when that exists, and writes run.json into it.
    /// </summary>
    /// <param name="results">The folder of all runs; made when absent.</param>
    /// <param name="now">The wall-clock time for the name.</param>
    /// <param name="run">What is to be run.</param>
    /// <exception cref="UnwritableResultsException">The folder cannot be made or written.</exception>
    public static RunFolder Create(string results, DateTimeOffset now, RunDescription run) => Writing(results, () =>
    {
        Directory.CreateDirectory(results);
        var name = $"{now.ToString("yyyy-MM-dd'T'HHmmss", CultureInfo.InvariantCulture)}-{FileNamePart(run.Scenario)}-{FileNamePart(run.Target)}";
        for (var attempt = 1; ; attempt++)
        {
            var path = System.IO.Path.Combine(results, attempt == 1 ? name : $"{name}-{attempt.ToString(CultureInfo.InvariantCulture)}");
            if (Directory.Exists(path) || File.Exists(path)) continue;
            Directory.CreateDirectory(path);
            try
            {
                if (Claim(path, run)) return new RunFolder(path, run, []);
            }
            catch (IOException)
            {
                Discard(path);
                throw;
            }
        }
    });

    /// <summary>Writes what the run left: evidence.jsonl, junit.xml, report.html, and verdict.json last.</summary>
    /// <exception cref="UnwritableResultsException">A file cannot be written.</exception>
    public void Write(IReadOnlyList<Observation> evidence, Judgement judgement)
    {
        Writing(Path, () => Put(EvidenceFileName, stream => EvidenceFile.Write(stream, evidence)));
        Evidence = evidence;
        WriteVerdict(judgement);
    }

    /// <summary>Writes a judgement of the evidence that is already there, over an older one.</summary>
    /// <exception cref="UnwritableResultsException">A file cannot be written.</exception>
    public void WriteVerdict(Judgement judgement) => Writing(Path, () =>
    {
        Put(JUnitFile, stream => JUnitReport.Write(stream, [new JudgedRun(Run, Evidence, judgement, Path)]));
        Put(ReportFile, stream => HtmlReport.Write(stream, Run, Evidence, judgement));
        return Put(VerdictFile, stream => WriteJson(stream, judgement, JsonLayout.Indented.Judgement));
    });

    /// <summary>Writes a file of a dump or a trace, piece by piece.</summary>
    /// <exception cref="UnwritableResultsException">It cannot be written.</exception>
    public void WriteRecording(string fileName, IEnumerable<ReadOnlyMemory<byte>> pieces) => Writing(Path, () => Put(fileName, stream =>
    {
        foreach (var piece in pieces) stream.Write(piece.Span);
    }));

    /// <summary>Removes the folder of a run that cannot be kept, as far as that can be done.</summary>
    public void Discard() => Discard(Path);

    /// <summary>Opens a folder to judge it again. It needs run.json and evidence.jsonl, nothing else.</summary>
    /// <exception cref="UnusableRunFolderException">One of them is absent, unreadable or not what it should be.</exception>
    public static RunFolder Open(string path)
    {
        if (!Directory.Exists(path)) throw new UnusableRunFolderException($"{path}: no such run folder");
        var run = Read(path, RunFile, stream =>
            JsonSerializer.Deserialize(stream, JsonLayout.Indented.RunDescription) ?? throw new JsonException());
        return new RunFolder(path, run, Read(path, EvidenceFileName, EvidenceFile.Read));
    }

    private static T Read<T>(string path, string file, Func<Stream, T> read)
    {
        try
        {
            using var stream = File.OpenRead(System.IO.Path.Combine(path, file));
            return read(stream);
        }
        catch (UnusableRunFolderException e)
        {
            throw new UnusableRunFolderException($"{path}: {e.Message}", e);
        }
        catch (FileNotFoundException e)
        {
            throw new UnusableRunFolderException($"{path}: there is no {file} in it", e);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or FormatException or OverflowException)
        {
            throw new UnusableRunFolderException($"{path}: {file} cannot be read: {Fault.Of(e, "the description of a run")}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnusableRunFolderException($"{path}: {file} cannot be read: {Fault.Of(e)}", e);
        }
    }

    // Two runs of the same second: whoever creates run.json has the folder.
    private static bool Claim(string path, RunDescription run)
    {
        FileStream claimed;
        var file = System.IO.Path.Combine(path, RunFile);
        try
        {
            claimed = new FileStream(file, FileMode.CreateNew, FileAccess.Write);
        }
        catch (IOException) when (File.Exists(file))
        {
            return false;
        }

        using (claimed) WriteJson(claimed, run, JsonLayout.Indented.RunDescription);
        return true;
    }

    private static void WriteJson<T>(Stream stream, T value, JsonTypeInfo<T> type)
    {
        JsonSerializer.Serialize(stream, value, type);
        stream.WriteByte((byte)'\n');
    }

    private bool Put(string file, Action<Stream> write)
    {
        var path = System.IO.Path.Combine(Path, file);
        var unfinished = path + ".unfinished";
        try
        {
            using (var stream = File.Create(unfinished)) write(stream);
            File.Move(unfinished, path, overwrite: true);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (File.Exists(unfinished)) File.Delete(unfinished);
            throw;
        }
    }

    private static void Discard(string path)
    {
        try
        {
            Directory.Delete(path, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Whatever keeps the run from being kept may keep it from being removed; the one line that is told is about the first.
        }
    }

    private static T Writing<T>(string where, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UnwritableResultsException($"cannot write results to '{where}': {Fault.Of(e)}", e);
        }
    }

    // A scenario's name is lower-case words; anything else a user could bring becomes a dash.
    private static string FileNamePart(string name) => string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' ? c : '-'));
}

/// <summary>The results folder, or one run's folder, cannot be written. The message is one line: where, and why.</summary>
public sealed class UnwritableResultsException(string message, Exception inner) : Exception(message, inner);
