using System.Globalization;

namespace Harness.Core.Symbols;

/// <summary>
/// Where the files of images are looked for: in folders, and in folders that are symbol stores, which keep images by their time stamp and size
/// ("SymStore folder tree", Microsoft Learn). A file of another build is refused, with a note.
/// </summary>
public sealed class ImageFiles
{
    private readonly IReadOnlyList<string> _folders;
    private readonly Dictionary<(string Name, uint TimeDateStamp, uint Size), ImageFile?> _known = [];
    private readonly List<string> _notes = [];

    private ImageFiles(IReadOnlyList<string> folders) => _folders = folders;

    /// <param name="folder">Looked into first: where the trace is.</param>
    /// <param name="symbolPath">In the grammar of _NT_SYMBOL_PATH; its folders and local stores. Null: none.</param>
    public static ImageFiles In(string? folder, string? symbolPath)
    {
        var folders = (symbolPath ?? "").Split([';', '*'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Where(Directory.Exists);
        return new ImageFiles([.. folder is null ? [] : new[] { folder }, .. folders]);
    }

    /// <summary>What could not be used and why, each sentence once.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>The images that were found.</summary>
    public IEnumerable<string> Used => _known.Where(pair => pair.Value is not null).Select(pair => pair.Key.Name);

    /// <summary>The file of a loaded image, which is looked for once; null when no folder has it.</summary>
    /// <param name="name">"ntoskrnl.exe".</param>
    /// <param name="timeDateStamp">The loaded image's.</param>
    /// <param name="size">Its SizeOfImage in bytes.</param>
    public ImageFile? Find(string name, uint timeDateStamp, uint size)
    {
        if (_known.TryGetValue((name, timeDateStamp, size), out var known)) return known;
        if (name.Length == 0 || name.AsSpan().IndexOfAny('/', '\\', ':') >= 0) return null;
        var key = string.Create(CultureInfo.InvariantCulture, $"{timeDateStamp:X8}{size:x}");
        return _known[(name, timeDateStamp, size)] = _folders.SelectMany(folder => new[] { Path.Combine(folder, name), Path.Combine(folder, name, key, name) })
            .Select(path => Open(path, timeDateStamp, size)).FirstOrDefault(file => file is not null);
    }

    private ImageFile? Open(string path, uint timeDateStamp, uint size)
    {
        try
        {
            if (!File.Exists(path)) return null;
            if (ImageFile.Open(path) is not { } file) return Noted($"{Path.GetFileName(path)} is no image of x64 that can be read");
            if (file.TimeDateStamp == timeDateStamp && file.Size == size) return file;
            return Noted($"{Path.GetFileName(path)} is of another build and was not used: time stamp 0x{file.TimeDateStamp:x}, size 0x{file.Size:x}, and the loaded image has 0x{timeDateStamp:x}, 0x{size:x}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Noted($"{Path.GetFileName(path)} cannot be read: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    private ImageFile? Noted(string note)
    {
        if (!_notes.Contains("images: " + note)) _notes.Add("images: " + note);
        return null;
    }
}
