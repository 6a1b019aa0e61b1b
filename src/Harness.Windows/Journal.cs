using System.Text;
using System.Text.Json;

namespace Harness.Windows;

/// <summary>What a run has left or is about to leave in the machine. What is not there any more when it is cleaned is no harm.</summary>
/// <param name="Service">The driver's service.</param>
/// <param name="Image">The driver's file.</param>
/// <param name="Device">Its device.</param>
/// <param name="ReleaseCode">The I/O control code by which the driver lets go of what it holds; null when it has none.</param>
/// <param name="ReleaseLength">That request's output buffer in bytes.</param>
/// <param name="Session">The ETW session.</param>
/// <param name="Clients">The story's processes.</param>
internal sealed record Leftovers(string Service, string Image, string Device, uint? ReleaseCode, int ReleaseLength, string? Session, IReadOnlyList<LeftProcess> Clients);

/// <summary>A process that may still be there.</summary>
/// <param name="Pid">Its process ID, which the system gives away again.</param>
/// <param name="Created">FILETIME of its start.</param>
internal sealed record LeftProcess(int Pid, long Created);

/// <summary>
/// The one file by which a run knows what a crashed run has left. A line is written before each step that leaves something, and the file is empty when nothing is left. Who has it
/// open has the machine: the system closes it when its owner dies, whatever kills it.
/// </summary>
internal sealed class Journal : IDisposable
{
    private const string FileName = "journal.jsonl";

    private readonly FileStream _file;
    private readonly Action<string>? _wrote;
    private Leftovers? _last;

    private Journal(FileStream file, Leftovers? found, Action<string>? wrote) => (_file, Found, _wrote) = (file, found, wrote);

    /// <summary>What an earlier run has left; null: nothing.</summary>
    public Leftovers? Found { get; }

    /// <summary>Takes the machine.</summary>
    /// <param name="folder">Made when absent.</param>
    /// <param name="wrote">Told the step's name after each line.</param>
    /// <returns>Null when another run has it.</returns>
    public static Journal? Take(string folder, Action<string>? wrote)
    {
        Directory.CreateDirectory(folder);
        FileStream file;
        try
        {
            file = new FileStream(Path.Combine(folder, FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }

        using var reader = new StreamReader(file, leaveOpen: true);
        return new Journal(file, Last(reader.ReadToEnd()), wrote);
    }

    // The last line that can be read. One that a crash cut short was never acted upon; after a bug check a file may also end in zeros.
    private static Leftovers? Last(string text) => text.Split('\n')[..^1].Reverse().Select(Read).FirstOrDefault(line => line is not null);

    private static Leftovers? Read(string line)
    {
        try
        {
            return JsonSerializer.Deserialize(line.Trim('\0'), WindowsJson.Default.Leftovers);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Before a step: what there will be after it. A step that leaves nothing more needs no other line, and so no room on the disk.</summary>
    public void Write(string step, Leftovers left)
    {
        if (!ReferenceEquals(left, _last))
        {
            _file.Seek(0, SeekOrigin.End);
            // What stands before it may be a line that was cut short.
            _file.Write(Encoding.UTF8.GetBytes("\n" + JsonSerializer.Serialize(left, WindowsJson.Default.Leftovers) + "\n"));
            _file.Flush(flushToDisk: true);
            _last = left;
        }

        _wrote?.Invoke(step);
    }

    /// <summary>Nothing is left.</summary>
    public void Clear()
    {
        _file.SetLength(0);
        _file.Flush(flushToDisk: true);
        _last = null;
    }

    public void Dispose() => _file.Dispose();
}
